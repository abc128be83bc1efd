"""The constants are those that docs/method.md states, and were measured with."""

import re
from pathlib import Path

from stream_adapter.adapter.anchors.weights import NEARNESS
from stream_adapter.adapter.mixture import constants as c
from stream_adapter.config import AdapterConfig

PAGE = (Path(__file__).parents[3] / "docs" / "method.md").read_text()
NUMBER = r"[¼½]|(?<![\w.])\d[\d,]*(?:\.\d+)?"


def numbers(text: str) -> list[float]:
    return [
        {"¼": 0.25, "½": 0.5}.get(one) or float(one.rstrip(",").replace(",", "")) for one in re.findall(NUMBER, text)
    ]


def test_the_table_of_constants() -> None:
    rows = dict(re.findall(r"^\| (\S[^|]*?) \| ([^|]*?) \|", PAGE[PAGE.index("| constant |") :], re.MULTILINE))
    given = AdapterConfig()
    assert {name: numbers(value.replace(", ", " ")) for name, value in list(rows.items())[1:10]} == {
        "τ": [NEARNESS],
        "ν, k": [c.FREEDOM, c.DIMENSIONS],
        "W": [c.WORTH],
        "κ": [c.KAPPA],
        "φ": [c.FADE],
        "u": [c.UNCHECKED],
        "σ": [c.SPHERE],
        "variance": [c.SPREAD],
        "v": [given.protection],
    }
    assert c.FEW == c.WORTH / 2  # "of labels half as many do"
    assert c.PRIOR == c.DIMENSIONS  # "it weighs k pictures"
    untuned = PAGE[PAGE.index("Not tuned:") :].partition("\n\n")[0].replace("twice", "2")
    fixed = [c.DIRECTIONS, c.ROUNDS, c.RATIO_LIMIT, c.OWN_TRAFFIC, c.TAKES_PART, c.LEAST_MASS, c.COPY]
    assert numbers(untuned) == [given.mixture.window, *fixed]
