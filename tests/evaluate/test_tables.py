import pytest

from stream_adapter.evaluate.methods import METHODS
from stream_adapter.evaluate.results import Interval, Row
from stream_adapter.evaluate.tables import accuracy, legend, style_of, table


def row(method: str, mean: float, half: float = 0.0) -> Row:
    return Row(method, "labelled", "all", None, Interval(mean, mean - half, mean + half), ())


def test_every_method_has_a_colour_of_its_own() -> None:
    methods = list(METHODS)
    assert len({style_of(method, methods) for method in methods}) == len(methods)
    assert style_of("zero-shot", methods) == "c0"
    assert legend(methods).count("<li>") == len(methods)


@pytest.mark.parametrize(("gain", "style"), [(0.02, "up"), (-0.02, "down"), (0.0001, "soft")])
def test_a_cell_says_how_far_it_is_from_zero_shot(gain: float, style: str) -> None:
    text = accuracy(row("default", 0.8 + gain, half=0.05), row("zero-shot", 0.8))
    assert text.startswith(f"{80 + 100 * gain:.1f} <small>")
    assert f'class="{style}">{100 * gain:+.1f}' in text


def test_zero_shot_is_not_compared_with_itself() -> None:
    assert accuracy(row("zero-shot", 0.8), row("zero-shot", 0.8)) == "80.0"


def test_captions_are_escaped() -> None:
    assert "<caption>a &lt; b</caption>" in table("a < b", ["x"], [["1"]])
