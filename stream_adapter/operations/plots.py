"""Small plots over time as inline SVG: lines, bands and marks, in colours that the page's style sheet defines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from stream_adapter.events.headers import format_time

_WIDTH, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 150, 16, 12, 28
_ROW = 24  # height of a row of marks
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Line:
    """A line, with a band around it where `band` has as many (low, high) as there are points.

    Attributes:
        name: for the legend; lines of one name share a colour.
        times_ms: milliseconds since the epoch.
        values: one per time.
        band: intervals, one per time, or none.
    """

    name: str
    times_ms: Sequence[int]
    values: Sequence[float]
    band: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark in a row of a timeline.

    Attributes:
        row: name of the row.
        time_ms: milliseconds since the epoch.
        shape: "dot", "down" or "up".
        kind: CSS class that colours it.
        title: shown under the pointer, and read aloud.
    """

    row: str
    time_ms: int
    shape: str
    kind: str
    title: str


def line_plot(lines: Sequence[Line], label: str, *, zero: bool = False, height: int = 220) -> str:
    """Lines over time; an empty text where there is no point.

    Args:
        lines: what to draw; values are shares.
        label: what it shows, for those who cannot see it.
        zero: whether to draw a line at zero.
        height: pixels.
    """
    points = [value for line in lines for value in (*line.values, *(bound for pair in line.band for bound in pair))]
    times = [time for line in lines for time in line.times_ms]
    if not points:
        return ""
    low, high = min(points + [0.0] * zero), max(points + [0.0] * zero)
    margin = max((high - low) * 0.08, 0.005)
    low, high = low - margin, high + margin
    axis = _TimeAxis(times)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (height - _TOP - _BOTTOM)

    colours = {name: number for number, name in enumerate(dict.fromkeys(line.name for line in lines))}
    parts = [axis.svg(height)]
    for value in _round_values(low, high):
        shown = f"{value:.1%}"
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{shown}</text>')
    if zero:
        parts.append(f'<line class="zero" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>')
    for line in lines:
        colour = f"series{colours[line.name] % 6}"
        xs = [axis.x(time) for time in line.times_ms]
        if line.band:
            upper = [f"{x:.1f},{y(high):.1f}" for x, (_, high) in zip(xs, line.band, strict=True)]
            lower = [f"{x:.1f},{y(low):.1f}" for x, (low, _) in zip(xs, line.band, strict=True)]
            parts.append(f'<polygon class="band {colour}" points="{" ".join(upper + lower[::-1])}"/>')
        drawn = " ".join(f"{x:.1f},{y(value):.1f}" for x, value in zip(xs, line.values, strict=True))
        parts.append(f'<polyline class="line {colour}" points="{drawn}"/>')
        parts += [
            f'<circle class="point {colour}" cx="{x:.1f}" cy="{y(value):.1f}" r="2"><title>'
            f"{escape(line.name)}, {format_time(time)}: {value:.2%}</title></circle>"
            for x, time, value in zip(xs, line.times_ms, line.values, strict=True)
        ]
    legend = "".join(f'<span class="key series{number % 6}">{escape(name)}</span>' for name, number in colours.items())
    return f'<p class="legend">{legend}</p>{_svg(parts, height, label)}'


def timeline(marks: Sequence[Mark], label: str) -> str:
    """Marks in rows over time; an empty text where there is none."""
    if not marks:
        return ""
    rows = {name: number for number, name in enumerate(dict.fromkeys(mark.row for mark in marks))}
    height = _TOP + _ROW * len(rows) + _BOTTOM
    axis = _TimeAxis([mark.time_ms for mark in marks])
    parts = [axis.svg(height)]
    for name, number in rows.items():
        y = _TOP + _ROW * (number + 0.5)
        shown = name if len(name) <= 20 else name[:19] + "…"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(shown)}'
            f"<title>{escape(name)}</title></text>"
        )
    for mark in marks:
        x, y = axis.x(mark.time_ms), _TOP + _ROW * (rows[mark.row] + 0.5)
        shapes = {
            "dot": f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"',
            "down": f'<polygon points="{x - 6:.1f},{y - 5:.1f} {x + 6:.1f},{y - 5:.1f} {x:.1f},{y + 6:.1f}"',
            "up": f'<polygon points="{x - 6:.1f},{y + 5:.1f} {x + 6:.1f},{y + 5:.1f} {x:.1f},{y - 6:.1f}"',
        }
        tag = "circle" if mark.shape == "dot" else "polygon"
        parts.append(f'{shapes[mark.shape]} class="mark {mark.kind}"><title>{escape(mark.title)}</title></{tag}>')
    return _svg(parts, height, label)


class _TimeAxis:
    def __init__(self, times_ms: Sequence[int]) -> None:
        self._first, self._last = min(times_ms), max(times_ms)
        self._span = max(self._last - self._first, 1)

    def x(self, time_ms: int) -> float:
        return _LEFT + (time_ms - self._first) / self._span * (_WIDTH - _LEFT - _RIGHT)

    def svg(self, height: int) -> str:
        count = _TICKS if self._last > self._first else 1
        moments = [self._first + self._span * number // max(count - 1, 1) for number in range(count)]
        # The day only where there are several: "2026-01-02T03:04:05.678Z".
        part = slice(5, 16) if self._span >= 24 * 3_600_000 else slice(11, 19)
        return "".join(
            f'<text x="{self.x(moment):.1f}" y="{height - 8}" text-anchor="middle">'
            f"{format_time(moment)[part].replace('T', ' ')}</text>"
            for moment in moments
        )


def _round_values(low: float, high: float) -> list[float]:
    """Four to eight round numbers between the two."""
    raw = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _svg(parts: Sequence[str], height: int, label: str) -> str:
    # The label is also the title, for those who see it.
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}"><title>{escape(label)}</title>'
        f"{''.join(parts)}</svg>"
    )
