"""Plots as inline SVG: small, sharp at any size, coloured by the page's style sheet, so light and dark alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 460, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 40
_CHARACTER, _LINE = 6.2, 12.0  # about the size of a label's text


@dataclass(frozen=True, slots=True)
class Series:
    """One line or set of points.

    Attributes:
        name: for the tooltip.
        style: CSS class that gives the colour.
        x: values.
        y: as many values; nan breaks a line.
    """

    name: str
    style: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Axis:
    """From where to where, and what it is called; `percent` shows 0.5 as 50."""

    label: str
    low: float
    high: float
    percent: bool = False

    def ticks(self) -> list[float]:
        """Four to eight round values within the axis."""
        rough = (self.high - self.low) / 5 or 1.0
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * min((1, 2, 2.5, 5, 10), key=lambda factor: abs(factor * power - rough))
        first = math.ceil(self.low / step - 1e-9)
        return [count * step for count in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def shown(self, value: float) -> str:
        """A tick's text."""
        return f"{100 * value if self.percent else value:g}"


def padded(values: Sequence[float], label: str) -> Axis:
    """An axis of shares in % around these values, within 0..1."""
    known = [value for value in values if not math.isnan(value)] or [0.0, 1.0]
    room = max(0.05 * (max(known) - min(known)), 0.01)
    return Axis(label, max(min(known) - room, 0.0), min(max(known) + room, 1.0), percent=True)


class Plot:
    """A frame with axes, to which marks are added.

    Args:
        title: read out where the plot cannot be seen.
        x: horizontal axis.
        y: vertical axis.
    """

    def __init__(self, title: str, x: Axis, y: Axis) -> None:
        self._title = title
        self._x, self._y = x, y
        self._marks: list[str] = []
        self._labels: list[tuple[float, float, float]] = []  # left, right, height of those that are placed

    def line(self, series: Series) -> None:
        """A line, broken where y is nan."""
        path, pen = [], "M"
        for x, y in zip(series.x, series.y, strict=True):
            if math.isnan(y):
                pen = "M"
                continue
            path.append(f"{pen}{self._across(x):.1f} {self._up(y):.1f}")
            pen = "L"
        self._marks.append(f'<path class="line {series.style}" d="{"".join(path)}">{_tip(series.name)}</path>')

    def point(self, name: str, style: str, x: float, y: float, label: str | None = None) -> None:
        """A point, with its name beside it where `label` is given."""
        if math.isnan(x) or math.isnan(y):
            return
        across, up = self._across(x), self._up(y)
        self._marks.append(f'<circle class="point {style}" cx="{across:.1f}" cy="{up:.1f}" r="5">{_tip(name)}</circle>')
        if label is not None:
            before = across > 0.7 * _WIDTH
            beside = across - 8 if before else across + 8
            place = f'x="{beside:.1f}" y="{self._free(beside, up + 4, label, before=before):.1f}"'
            place += f' text-anchor="{"end" if before else "start"}"'
            self._marks.append(f'<text class="label" {place}>{escape(label)}</text>')

    def _free(self, beside: float, height: float, label: str, *, before: bool) -> float:
        """The height for a label, further down where others are in the way already."""
        width = _CHARACTER * len(label)
        left, right = (beside - width, beside) if before else (beside, beside + width)
        while any(left < high and low < right and abs(height - h) < _LINE for low, high, h in self._labels):
            height += _LINE
        self._labels.append((left, right, height))
        return height

    def segment(self, style: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """A straight line between two points."""
        (x1, y1), (x2, y2) = start, end
        if any(math.isnan(value) for value in (x1, y1, x2, y2)):
            return
        ends = (
            f'x1="{self._across(x1):.1f}" y1="{self._up(y1):.1f}" x2="{self._across(x2):.1f}" y2="{self._up(y2):.1f}"'
        )
        self._marks.append(f'<line class="{style}" {ends}/>')

    def bar(self, name: str, style: str, left: float, right: float, value: float) -> None:
        """A bar from 0 to a value, up or down."""
        base, tip = self._up(0.0), self._up(value)
        width = max(self._across(right) - self._across(left) - 1.0, 0.5)
        box = (
            f'x="{self._across(left):.1f}" y="{min(base, tip):.1f}" width="{width:.1f}" height="{abs(base - tip):.1f}"'
        )
        self._marks.append(f'<rect class="bar {style}" {box}>{_tip(name)}</rect>')

    def render(self) -> str:
        """The whole SVG element."""
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        parts = [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(self._title)}">'
            f"<title>{escape(self._title)}</title>"
        ]
        for tick in self._x.ticks():
            x = self._across(tick)
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
            parts.append(
                f'<text class="tick" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{self._x.shown(tick)}</text>'
            )
        for tick in self._y.ticks():
            y = self._up(tick)
            parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{self._y.shown(tick)}</text>'
            )
        middle = (_TOP + bottom) / 2
        parts += self._marks
        for place, axis in (
            (f"translate({(_LEFT + right) / 2} {_HEIGHT - 6})", self._x),
            (f"translate(12 {middle}) rotate(-90)", self._y),
        ):
            parts.append(f'<text class="axis" transform="{place}" text-anchor="middle">{escape(axis.label)}</text>')
        return "".join(parts) + "</svg>"

    def _across(self, value: float) -> float:
        share = (value - self._x.low) / ((self._x.high - self._x.low) or 1.0)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def _up(self, value: float) -> float:
        share = (value - self._y.low) / ((self._y.high - self._y.low) or 1.0)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>"
