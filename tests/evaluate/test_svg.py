import itertools
import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.evaluate.svg import Axis, Plot, RowAxis, Series, TimeAxis, padded


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


HOUR = 3_600_000


def test_a_line_goes_up_where_its_values_do_and_its_band_is_around_it() -> None:
    plot = Plot("Harm", TimeAxis.of([0, HOUR, 2 * HOUR]), Axis("", -0.2, 0.2), width=960, left=150)
    plot.band("c0", [0, HOUR], [-0.1, 0.0], [0.1, 0.2])
    plot.line(Series("difference", "c0", [0, HOUR, 2 * HOUR], [0.0, 0.1, 0.05]))
    root = ElementTree.fromstring(plot.render())
    assert root.get("viewBox") == "0 0 960 300"
    (path,) = root.iter("path")
    (x0, y0), (x1, y1), (x2, y2) = (map(float, part.split()) for part in path.get("d", "")[1:].split("L"))
    assert 150 == x0 < x1 < x2 == 948
    assert y1 < y2 < y0, "up is a smaller y"
    (band,) = root.iter("polygon")
    corners = [tuple(map(float, corner.split(","))) for corner in band.get("points", "").split()]
    assert [x for x, _ in corners] == [x0, x1, x1, x0]
    assert corners[0][1] < y0 < corners[3][1]


@pytest.mark.parametrize(
    ("span", "first", "last"), [(2 * HOUR, "00:00:00", "02:00:00"), (26 * HOUR, "01-01 00:00", "01-02 02:00")]
)
def test_times_have_their_date_where_there_are_several(span: int, first: str, last: str) -> None:
    axis = TimeAxis.of([span, 0, span // 2])
    ticks = axis.ticks()
    assert len(ticks) == 6
    assert (axis.shown(ticks[0]), axis.shown(ticks[-1])) == (first, last)


def test_one_moment_is_an_axis_too() -> None:
    plot = Plot("Flat", TimeAxis.of([5]), Axis("", 0, 1))
    plot.line(Series("a", "c0", [5], [0.5]))
    times = [text.text for text in ElementTree.fromstring(plot.render()).iter("text") if text.get("class") == "tick"]
    assert times[0] == "00:00:00"


def test_the_last_tick_stays_within_the_plot() -> None:
    root = ElementTree.fromstring(Plot("Days", TimeAxis.of([0, HOUR]), Axis("", 0, 1)).render())
    (last,) = [text for text in root.iter("text") if text.text == "01:00:00"]
    assert (last.get("text-anchor"), last.get("x")) == ("end", "460.0")


def test_marks_stand_in_the_rows_of_their_names() -> None:
    rows = ["<b>", "dog", "a name that is too long for its place"]
    plot = Plot("Alarms", TimeAxis.of([0, HOUR]), RowAxis(rows))
    plot.mark("a & b", "harm", "dot", 0, 0.5)
    plot.mark("lowered", "guard", "down", HOUR, 1.5)
    plot.mark("raised", "guard", "up", HOUR, 1.5)
    root = ElementTree.fromstring(plot.render())
    dot, down, up = [element for element in root if (element.get("class") or "").startswith("mark")]
    assert [shape[0].text for shape in (dot, down, up)] == ["a & b", "lowered", "raised"]
    heights = [[float(corner.split(",")[1]) for corner in shape.get("points", "").split()] for shape in (down, up)]
    assert heights[0][2] > heights[0][0], "the tip points down"
    assert heights[1][2] < heights[1][0]
    names = {text.text: float(text.get("y", "0")) for text in root.iter("text") if text.get("x") == "42"}
    assert list(names) == ["<b>", "dog", "a name that is too …"]
    assert names["<b>"] < names["dog"], "the first row is on top"
    assert names["<b>"] - 4 == pytest.approx(float(dot.get("cy", "0")), abs=0.1)
