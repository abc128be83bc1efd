import pytest

from stream_adapter.config import AdapterConfig
from stream_adapter.evaluate.html import Table, page
from stream_adapter.evaluate.methods import METHODS
from stream_adapter.evaluate.report import figures_tables, legend, style_of
from stream_adapter.evaluate.results import Interval, Row
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.evaluate.stream import StreamSettings
from tests.evaluate.data import make_features


def row(method: str, mean: float, half: float = 0.0) -> Row:
    return Row(method, "labelled", "all", None, Interval(mean, mean - half, mean + half), ())


def test_every_method_has_a_colour_of_its_own() -> None:
    methods = list(METHODS)
    assert len({style_of(method, methods) for method in methods}) == len(methods)
    assert style_of("zero-shot", methods) == "c0"
    assert legend(methods).count("<li>") == len(methods)


@pytest.mark.parametrize(("gain", "style"), [(0.02, "up"), (-0.02, "down")])
def test_a_cell_says_how_far_it_is_from_zero_shot(gain: float, style: str) -> None:
    evaluation = Evaluation(make_features(60), StreamSettings(), ("zero-shot", "default"), 1, AdapterConfig())
    found = [row("default", 0.8 + gain, half=0.05), row("zero-shot", 0.8)]
    (table,) = figures_tables(evaluation, found, ("ece",))
    assert table.header == ["method", "labelled"]  # where no answer was judged there is no ECE
    assert table.rows == [["zero-shot", "80.0"], ["default", f"{80 + 100 * gain:.1f} ±5.0 ({100 * gain:+.1f})"]]
    assert f'<small class="{style}">({100 * gain:+.1f})</small>' in table.html()


def test_a_page_shows_texts_as_they_are() -> None:
    shown = page("a < b", [Table("c < d", ["x", "y"], [["e < f", "<g>"]]).html()])
    for text in ("<h1>a &lt; b</h1>", "<caption>c &lt; d</caption>", '<td class="text">e &lt; f</td>', "<td>&lt;g&gt;"):
        assert text in shown
