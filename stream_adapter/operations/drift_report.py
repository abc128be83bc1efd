"""What the monitors said in the last hours, as one page: a timeline, plots over time, new classes, the evidence."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from stream_adapter.config import Config
from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.evaluate.html import Table, page
from stream_adapter.evaluate.svg import Axis, Plot, RowAxis, Series, TimeAxis
from stream_adapter.events.drift import DriftEvent
from stream_adapter.events.headers import format_time
from stream_adapter.output_file import open_output
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import read_all

_HOUR_MS = 3_600_000
_ROWS, _TABLE, _HARM_PLOTS = 30, 500, 12
_SHAPES: dict[str, Literal["dot", "down", "up"]] = {"lowered": "down", "raised": "up", "none": "dot"}
_WIDTH, _HEIGHT, _LEFT, _ROW = 960, 230, 150, 24  # of plots; the height of a row of the timeline


@dataclass(frozen=True, slots=True)
class _Line:
    """A line over time, with a band around it where there are bounds; lines of one name share a colour."""

    name: str
    times_ms: Sequence[int]
    values: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def write_drift_report(config: Config, output: Path, *, hours: float) -> int:
    """Write the page of the last `hours` before the newest event; returns how many events are on it.

    Time is the events' own, so a recording of last year has a last day too.
    """
    events: list[DriftEvent] = []
    unreadable = 0
    for record in read_all(transport_of(config), "drift"):
        try:
            events.append(DriftEvent.from_record(record.value, record.headers))
        except MalformedEvent:
            unreadable += 1
    events.sort(key=lambda event: event.time_ms)
    if events:
        since = events[-1].time_ms - hours * _HOUR_MS
        events = [event for event in events if event.time_ms >= since]
    try:
        with open_output(output) as file:
            file.write(_page(events, hours=hours, unreadable=unreadable).encode(errors="replace"))
    except OSError as error:
        raise TransportError(f"cannot write {output}: {error.strerror}") from error
    return len(events)


def _page(events: Sequence[DriftEvent], *, hours: float, unreadable: int = 0) -> str:
    """The page, self-contained: no script, no other file."""
    alarms = [event for event in events if event.alarm.kind != "status"]
    statuses = [event for event in events if event.alarm.kind == "status"]
    until = format_time(events[-1].time_ms) if events else "–"
    counts = Counter(event.alarm.kind for event in alarms)
    found = ", ".join(f"{number} {kind.replace('_', ' ')}" for kind, number in counts.most_common()) or "no alarm"
    broken = f", {unreadable} records that could not be read" if unreadable else ""
    sections = [
        f"<p>{len(alarms)} alarms and actions ({found}), {len(statuses)} status reports{broken}.</p>",
        _section("Alarms and actions of the guard", _timeline(alarms), "Nothing happened."),
        _section("Harm on unseen classes: adapted − zero-shot", _harm(statuses), "No group has labels enough."),
        _section("Accuracy of the newest labels", _accuracy(statuses), "No group has labels enough."),
        _section("Share of novel events", _traffic(statuses), "Not enough events yet."),
        _section("Classes that turned up", _new_classes(alarms), "None."),
        _section("Classes at risk, and what their first label bought", _at_risk(alarms), "None."),
        _section("Evidence", _table(alarms), "None."),
    ]
    return page(f"Drift, {hours:g} hours until {until}", sections)


def _section(title: str, content: str, otherwise: str) -> str:
    shown = content or f'<p class="none">{escape(otherwise)}</p>'
    return f"<h2>{escape(title)}</h2>{shown}"


def _timeline(alarms: Sequence[DriftEvent]) -> str:
    if not alarms:
        return ""
    rows = [row for row, _ in Counter(event.alarm.group for event in alarms).most_common(_ROWS)]
    shown = [event for event in alarms if event.alarm.group in rows]
    times = TimeAxis.of([event.time_ms for event in shown])
    height = 52 + _ROW * len(rows)
    plot = Plot("Alarms over time", times, RowAxis(rows), width=_WIDTH, height=height, left=_LEFT)
    for event in shown:
        shape = _SHAPES[event.alarm.action]
        plot.mark(_in_words(event), event.alarm.kind, shape, event.time_ms, rows.index(event.alarm.group) + 0.5)
    kinds = sorted({event.alarm.kind for event in alarms})
    legend = "".join(f'<span class="key {kind}">{kind.replace("_", " ")}</span>' for kind in kinds)
    return f'<p class="legend">{legend}▼ lowered ▲ raised</p>{plot.render()}'


def _in_words(event: DriftEvent) -> str:
    alarm = event.alarm
    moved = "protection" if alarm.kind == "protection" else "damping"
    what = f"{moved} {alarm.action}" if alarm.action != "none" else alarm.kind.replace("_", " ")
    return f"{format_time(event.time_ms)} {alarm.group}: {what} ({alarm.detector}, {alarm.observed} observed)"


def _harm(statuses: Iterable[DriftEvent]) -> str:
    by_group = _by_group(event for event in statuses if event.alarm.detector == "harm" and event.alarm.interval)
    plots = []
    for group, by_source in list(by_group.items())[:_HARM_PLOTS]:
        lines = []
        for source, events in by_source.items():
            bounds = [interval for e in events if (interval := e.alarm.interval) is not None]
            differences = [e.alarm.evidence["difference"] for e in events]
            low, high = [bound.low for bound in bounds], [bound.high for bound in bounds]
            lines.append(_Line(_name("difference", source, by_source), _times(events), differences, low, high))
        newest = max(events[-1].alarm.labels for events in by_source.values())
        title = f"{group}, on {newest:,} labels since the guard last acted"
        plots.append(f"<h3>{escape(title)}</h3>{_over_time(lines, f'Harm on {group} over time', zero=True)}")
    return "".join(plots)


def _accuracy(statuses: Iterable[DriftEvent]) -> str:
    by_group = _by_group(event for event in statuses if event.alarm.detector == "accuracy" and event.alarm.enough)
    plots = []
    for group, by_source in by_group.items():
        lines = [
            _Line(_name(shown, source, by_source), _times(events), [e.alarm.evidence[model] for e in events])
            for source, events in by_source.items()
            for model, shown in (
                ("adapted", "published"),
                ("zero_shot", "zero-shot"),
                ("undamped", "without the guard"),
            )
        ]
        plots.append(f"<h3>{escape(group)} classes</h3>{_over_time(lines, f'Accuracy on {group} classes over time')}")
    return "".join(plots)


def _traffic(statuses: Iterable[DriftEvent]) -> str:
    by_group = _by_group(event for event in statuses if "novelty" in event.alarm.evidence)
    lines = [
        _Line(_name("novel", source, by_source), _times(events), [e.alarm.evidence["novelty"] for e in events])
        for by_source in by_group.values()
        for source, events in by_source.items()
    ]
    return _over_time(lines, "Share of novel events over time")


def _by_group(events: Iterable[DriftEvent]) -> dict[str, dict[str, list[DriftEvent]]]:
    """Events by group and worker."""
    by_group: dict[str, dict[str, list[DriftEvent]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        by_group[event.alarm.group][event.source].append(event)
    return by_group


def _over_time(lines: Sequence[_Line], title: str, *, zero: bool = False) -> str:
    """Shares over time, with a legend; an empty text where there is no point. `zero` draws a line there."""
    values = [value for line in lines for value in (*line.values, *line.low, *line.high)]
    if not values:
        return ""
    times = TimeAxis.of([time for line in lines for time in line.times_ms])
    least, most = min(values + [0.0] * zero), max(values + [0.0] * zero)
    room = max((most - least) * 0.08, 0.005)
    y = Axis("in %", least - room, most + room, percent=True)
    plot = Plot(title, times, y, width=_WIDTH, height=_HEIGHT, left=_LEFT)
    if zero:
        plot.segment("zero", (times.low, 0.0), (times.high, 0.0))
    styles = {name: f"c{number % 6}" for number, name in enumerate(dict.fromkeys(line.name for line in lines))}
    for line in lines:
        style = styles[line.name]
        if line.low:
            plot.band(style, line.times_ms, line.low, line.high)
        plot.line(Series(line.name, style, line.times_ms, line.values))
        for time, value in zip(line.times_ms, line.values, strict=True):
            plot.point(f"{line.name}, {format_time(time)}: {value:.2%}", style, time, value, radius=2.0)
    legend = "".join(f'<span class="key {style}">{escape(name)}</span>' for name, style in styles.items())
    return f'<p class="legend">{legend}</p>{plot.render()}'


def _new_classes(alarms: Iterable[DriftEvent]) -> str:
    rows = []
    for event in alarms:
        if event.alarm.kind == "new_class":
            share, witnesses = (event.alarm.evidence.get(name, 0.0) for name in ("share", "witnesses"))
            name, ids = event.alarm.group, " ".join(event.alarm.event_ids)
            rows.append((format_time(event.time_ms), name, ids, f"{share:.1%}", f"{witnesses:.0f}"))
    return _as_table(("time", "class", "label these", "share", "events that say so"), rows, words=3)


def _at_risk(alarms: Iterable[DriftEvent]) -> str:
    rows = []
    for event in alarms:
        evidence = event.alarm.evidence
        if event.alarm.kind == "at_risk":
            lost, after = evidence.get("lost"), evidence.get("kept_after")
            what = (format_time(event.time_ms), event.alarm.group, " ".join(event.alarm.event_ids))
            kept = (f"{evidence['kept']:.0%}", "" if after is None else f"{after:.0%}")
            rows.append((*what, "" if lost is None else f"{lost:.1f}", *kept))
    heads = ("time", "class", "label one of these", "events lost, expected", "kept without a label", "kept with labels")
    return _as_table(heads, rows, words=3)


def _table(alarms: Sequence[DriftEvent]) -> str:
    rows = []
    for event in reversed(alarms[-_TABLE:]):
        alarm = event.alarm
        bounds = alarm.interval
        interval = f"[{bounds.low:.3f}, {bounds.high:.3f}] at {bounds.confidence:.2%}" if bounds else ""
        evidence = ", ".join(f"{name} {value:.4g}" for name, value in alarm.evidence.items())
        rests_on = f"{alarm.labels:,} labels" if alarm.labels else f"{alarm.observed:,} events, no label"
        e_value = "" if alarm.e_value is None else f"{alarm.e_value:.3g}"
        what = (format_time(event.time_ms), event.source, alarm.kind.replace("_", " "), alarm.group, alarm.action)
        rows.append((*what, alarm.detector, rests_on, e_value, interval, evidence, " ".join(alarm.event_ids)))
    heads = ("time", "worker", "kind", "group", "action", "detector", "rests on", "e-value", "interval", "figures")
    left_out = len(alarms) - _TABLE
    note = f'<p class="soft">The newest {_TABLE}; {left_out} older ones are left out.</p>' if left_out > 0 else ""
    return note + _as_table((*heads, "events"), rows, words=11)


def _as_table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    return Table("", heads, rows, text_columns=words).html() if rows else ""


def _times(events: Iterable[DriftEvent]) -> list[int]:
    return [event.time_ms for event in events]


def _name(figure: str, source: str, sources: Iterable[str]) -> str:
    """With the worker where there are several."""
    return figure if len(list(sources)) == 1 else f"{figure}, {source}"
