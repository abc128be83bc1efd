import xml.etree.ElementTree as ET

from stream_adapter.operations.plots import Line, Mark, line_plot, timeline

HOUR = 3_600_000


def _svg(html: str) -> ET.Element:
    return ET.fromstring(html[html.index("<svg") :])


def test_a_line_goes_up_where_its_values_do() -> None:
    plot = _svg(line_plot([Line("accuracy", [0, HOUR, 2 * HOUR], [0.5, 0.7, 0.6])], "Accuracy"))
    (line,) = [element for element in plot if element.get("class") == "line series0"]
    (x0, y0), (x1, y1), (x2, y2) = ((float(n) for n in point.split(",")) for point in line.attrib["points"].split())
    assert x0 < x1 < x2
    assert y1 < y2 < y0  # up is a smaller y


def test_a_band_is_around_its_line() -> None:
    plot = _svg(line_plot([Line("d", [0, HOUR], [0.0, 0.1], [(-0.1, 0.1), (0.0, 0.2)])], "Harm", zero=True))
    (band,) = [element for element in plot if element.get("class") == "band series0"]
    assert len(band.attrib["points"].split()) == 4
    assert [element for element in plot if element.get("class") == "zero"]


def test_one_point_and_one_value_are_enough() -> None:
    assert _svg(line_plot([Line("a", [5], [0.0])], "Flat")).get("aria-label") == "Flat"


def test_nothing_is_no_plot() -> None:
    assert line_plot([Line("a", [], [])], "Nothing") == ""
    assert timeline([], "Nothing") == ""


def test_marks_stand_in_the_rows_of_their_groups_and_names_are_escaped() -> None:
    marks = [
        Mark("<b>", 0, "dot", "harm", "a & b"),
        Mark("dog", HOUR, "down", "guard", "lowered"),
        Mark("dog", 26 * HOUR, "up", "guard", "raised"),
    ]
    plot = _svg(timeline(marks, "Alarms"))
    shapes = [element for element in plot if (element.get("class") or "").startswith("mark")]
    assert [shape.tag for shape in shapes] == ["circle", "polygon", "polygon"]
    assert [shape[0].text for shape in shapes] == ["a & b", "lowered", "raised"]
    names = [element.text for element in plot.iter("text")]
    assert "<b>" in names
    assert "01-02 02:00" in names  # more than a day: with the date
