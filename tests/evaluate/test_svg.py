import itertools
import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.evaluate.svg import Axis, Plot, Series, padded


@given(st.floats(0, 1), st.floats(0, 1))
def test_ticks_lie_within_the_axis_and_are_neither_few_nor_many(first: float, second: float) -> None:
    axis = Axis("x", min(first, second), max(first, second) + 1e-3)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 12
    assert all(axis.low - 1e-6 <= tick <= axis.high + 1e-6 for tick in ticks)


def test_an_axis_of_shares_stays_within_them() -> None:
    axis = padded([0.99, 1.0, float("nan")], "accuracy")
    assert axis.high == 1.0
    assert 0.97 < axis.low < 0.99
    assert axis.shown(0.5) == "50"


def test_a_plot_is_well_formed_says_what_it_shows_and_escapes_names() -> None:
    plot = Plot("<accuracy> & more", Axis("events", 0, 10), Axis("accuracy", 0, 1, percent=True))
    plot.line(Series("a<b", "c1", [0, 1, 2, 3], [0.1, math.nan, 0.2, 0.3]))
    plot.point("p&q", "c2", 5, 0.5, "p&q")
    plot.point("nowhere", "c2", math.nan, 0.5)
    plot.bar("bar", "fixed", 1, 2, -0.5)
    plot.segment("whisker", (0, 0), (1, 1))
    root = ElementTree.fromstring(plot.render())
    assert root.get("role") == "img"
    assert root.get("aria-label") == "<accuracy> & more"
    (path,) = root.iter("path")
    assert path.get("d", "").count("M") == 2, "the line is broken where a value is missing"
    assert len(list(root.iter("circle"))) == 1


def test_labels_do_not_lie_on_each_other() -> None:
    plot = Plot("crowd", Axis("x", 0, 1), Axis("y", 0, 1))
    for number in range(4):
        plot.point(f"method {number}", "c1", 0.5, 0.5, f"method {number}")
    labels = [text for text in ElementTree.fromstring(plot.render()).iter("text") if text.get("class") == "label"]
    heights = sorted(float(text.get("y", "0")) for text in labels)
    assert all(later - earlier == pytest.approx(12) for earlier, later in itertools.pairwise(heights))
