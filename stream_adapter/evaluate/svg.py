"""Plots as inline SVG: small, sharp at any size, coloured by the page's style sheet, so light and dark alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from stream_adapter.events.headers import format_time

_RIGHT, _TOP, _BOTTOM = 12, 12, 40
_TIMES = 6  # ticks of an axis of times
_LONGEST = 20  # characters of a row's name that are shown
_CHARACTER, _LINE = 6.2, 12.0  # about the size of a label's text


@dataclass(frozen=True, slots=True)
class Series:
    """One line or set of points.

    Attributes:
        name: for the tooltip.
        style: CSS class that gives the colour.
        y: as many values; nan breaks a line.
    """

    name: str
    style: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of numbers; `percent` shows 0.5 as 50."""

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


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """An axis of times in milliseconds since the epoch."""

    low: float
    high: float
    label: str = ""

    @classmethod
    def of(cls, times_ms: Sequence[int]) -> "TimeAxis":
        """From the first to the last of these times, of which there is at least one."""
        return cls(float(min(times_ms)), float(max(times_ms)))

    def ticks(self) -> list[float]:
        """Moments at equal distances, the first and the last among them."""
        count = _TIMES if self.high > self.low else 1
        return [self.low + (self.high - self.low) * number // max(count - 1, 1) for number in range(count)]

    def shown(self, value: float) -> str:
        """The time of day, with the date where the axis is as long as a day."""
        # Of "2026-01-02T03:04:05.678Z".
        part = slice(5, 16) if self.high - self.low >= 24 * 3_600_000 else slice(11, 19)
        return format_time(int(value))[part].replace("T", " ")


@dataclass(frozen=True, slots=True)
class RowAxis:
    """A vertical axis of named rows, the first on top; the middle of row n is n + 0.5."""

    names: Sequence[str]
    label: str = ""
    high: float = 0.0

    @property
    def low(self) -> float:
        """As many as there are rows: the last one is at the bottom."""
        return float(len(self.names))

    def ticks(self) -> list[float]:
        """The middle of each row."""
        return [number + 0.5 for number in range(len(self.names))]

    def shown(self, value: float) -> str:
        """The row's name, cut where it is long."""
        name = self.names[int(value)]
        return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


Scale = Axis | TimeAxis | RowAxis
"""From `low`, left or at the bottom, to `high`; `ticks` are the values that are marked, `shown` their texts."""


def padded(values: Sequence[float], label: str) -> Axis:
    """An axis of shares in % around these values, within 0..1."""
    known = [value for value in values if not math.isnan(value)] or [0.0, 1.0]
    room = max(0.05 * (max(known) - min(known)), 0.01)
    return Axis(label, max(min(known) - room, 0.0), min(max(known) + room, 1.0), percent=True)


class Plot:
    """A frame with axes, to which marks are added.

    Args:
        title: read out where the plot cannot be seen.
        width: of the whole, in the units of the style sheet's text sizes.
        left: room for the ticks of the vertical axis.
    """

    def __init__(self, title: str, x: Scale, y: Scale, *, width: int = 460, height: int = 300, left: int = 48) -> None:
        self._title = title
        self._x, self._y = x, y
        self._width, self._height, self._left = width, height, left
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

    def band(self, style: str, x: Sequence[float], low: Sequence[float], high: Sequence[float]) -> None:
        """The area between two lines."""
        upper = [f"{self._across(at):.1f},{self._up(value):.1f}" for at, value in zip(x, high, strict=True)]
        lower = [f"{self._across(at):.1f},{self._up(value):.1f}" for at, value in zip(x, low, strict=True)]
        self._marks.append(f'<polygon class="band {style}" points="{" ".join(upper + lower[::-1])}"/>')

    def mark(self, name: str, style: str, shape: Literal["dot", "down", "up"], x: float, y: float) -> None:
        """A dot, or a triangle that points down or up."""
        across, up = self._across(x), self._up(y)
        if shape == "dot":
            self._marks.append(
                f'<circle class="mark {style}" cx="{across:.1f}" cy="{up:.1f}" r="5">{_tip(name)}</circle>'
            )
            return
        base, tip = (up - 5, up + 6) if shape == "down" else (up + 5, up - 6)
        corners = f"{across - 6:.1f},{base:.1f} {across + 6:.1f},{base:.1f} {across:.1f},{tip:.1f}"
        self._marks.append(f'<polygon class="mark {style}" points="{corners}">{_tip(name)}</polygon>')

    def point(
        self, name: str, style: str, x: float, y: float, label: str | None = None, *, radius: float = 5.0
    ) -> None:
        """A point, with its name beside it where `label` is given."""
        if math.isnan(x) or math.isnan(y):
            return
        across, up = self._across(x), self._up(y)
        self._marks.append(
            f'<circle class="point {style}" cx="{across:.1f}" cy="{up:.1f}" r="{radius:g}">{_tip(name)}</circle>'
        )
        if label is not None:
            before = across > 0.7 * self._width
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

    def render(self) -> str:
        """The whole SVG element."""
        bottom, right = self._height - _BOTTOM, self._width - _RIGHT
        parts = [
            f'<svg viewBox="0 0 {self._width} {self._height}" role="img" aria-label="{escape(self._title)}">'
            f"<title>{escape(self._title)}</title>"
        ]
        for tick in self._x.ticks():
            x = self._across(tick)
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
            shown = self._x.shown(tick)
            cut = x + _CHARACTER * len(shown) / 2 > self._width
            place = f'x="{self._width if cut else x:.1f}" y="{bottom + 14}" text-anchor="{"end" if cut else "middle"}"'
            parts.append(f'<text class="tick" {place}>{shown}</text>')
        for tick in self._y.ticks():
            y = self._up(tick)
            parts.append(f'<line class="grid" x1="{self._left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
            place = f'x="{self._left - 6}" y="{y + 4:.1f}" text-anchor="end"'
            parts.append(f'<text class="tick" {place}>{escape(self._y.shown(tick))}</text>')
        middle = (_TOP + bottom) / 2
        parts += self._marks
        for place, axis in (
            (f"translate({(self._left + right) / 2} {self._height - 6})", self._x),
            (f"translate(12 {middle}) rotate(-90)", self._y),
        ):
            parts.append(f'<text class="axis" transform="{place}" text-anchor="middle">{escape(axis.label)}</text>')
        return "".join(parts) + "</svg>"

    def _across(self, value: float) -> float:
        fraction = (value - self._x.low) / ((self._x.high - self._x.low) or 1.0)
        return self._left + fraction * (self._width - self._left - _RIGHT)

    def _up(self, value: float) -> float:
        fraction = (value - self._y.low) / ((self._y.high - self._y.low) or 1.0)
        return self._height - _BOTTOM - fraction * (self._height - _TOP - _BOTTOM)


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>"
