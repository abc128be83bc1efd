"""Labels from a person's side: sending them by their events' ids, what became of them, and what to label next."""

import contextlib
import csv
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from stream_adapter import config
from stream_adapter.config import Config
from stream_adapter.errors import EventError, MalformedEvent, TransportError
from stream_adapter.events.headers import format_time, parse_time
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent, PlainLabels, parse_label_event
from stream_adapter.events.payloads import as_text, json_object
from stream_adapter.events.waiting import LABEL_PREFIX, LabelRecord, WaitingEvent, is_of_an_event
from stream_adapter.journey.suggesting import choose
from stream_adapter.operations.anchors import read_anchors, whoever
from stream_adapter.transport import dead_letters
from stream_adapter.transport.base import Record
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import Transport, read_all

# The square of it is what choosing takes: 64 MB, and a second or two.
_NEWEST = 4_000

COLUMNS = ("source", "id", "label", "annotator", "time", "reference")
_SEPARATORS = ",;\t|"
_PORTION = 10_000
_SHOWN_PROBLEMS = 10


def sender() -> str:
    """`ce_source` of the labels that the commands send: it says whose they are."""
    return f"stream_adapter/labels/{whoever()}"


def come_apart(config: Config) -> bool:
    """Whether labels may come apart from their events here, so that there is something that waits for them."""
    on_files = config.transport == "files" and config.files is not None and config.files.labels_file is not None
    return bool(config.labels.wait_max_events) and (config.transport == "kafka" or on_files)


def last_waiting(transport: Transport) -> dict[str, bytes]:
    """What the waiting topic has under each of its keys now."""
    last = {(record.key or b"").decode(errors="replace"): record.value for record in read_all(transport, "waiting")}
    return {key: value for key, value in last.items() if value is not None}


def waiting_events(waiting: Mapping[str, bytes]) -> Iterator[WaitingEvent]:
    """The events that `last_waiting` found, labelled since or not."""
    for key, value in waiting.items():
        if is_of_an_event(key):
            with contextlib.suppress(MalformedEvent):
                yield WaitingEvent.from_value(value)


def send_labels(file: Config | Path | str, labels: Iterable[LabelEvent]) -> int:
    """Send labels to where the workers of a configuration read them; returns how many, once they are durable.

    Raises:
        ConfigError: the configuration is wrong.
        TransportError: they cannot be written.
    """
    transport = transport_of(file if isinstance(file, Config) else config.load(Path(file)))
    sent, rest = 0, iter(labels)
    while portion := list(islice(rest, _PORTION)):
        transport.write([label.to_output() for label in portion])
        sent += len(portion)
    return sent


def read_labels(
    path: Path, *, source: str | None = None, annotator: str | None = None, withdraw: bool = False
) -> list[LabelEvent]:
    """The labels in a table with a header (CSV) or in JSON lines; all are checked before any is sent.

    Args:
        path: columns or members are `id`, `label` and, where the arguments do not give them, `source`, `annotator`,
            `time` and `reference`; the time of a label that has none is now.
        source: of the image events, where a row names none.
        annotator: where a row names none.
        withdraw: take back the labels of these events; there need be no `label`. JSON lines may have a null label, too.
    """
    now_ms, labels, problems = int(time.time() * 1000), [], []
    try:
        for line, row, surplus in _rows(path):
            try:
                if surplus:  # which column they are of, nobody can tell
                    raise MalformedEvent(f"has more fields than line 1: {', '.join(surplus)}")
                known = {name: one for name in COLUMNS if (one := row.get(name)) is not None}
                given = {n: as_text(str(one) if type(one) is int else one, f"`{n}`") for n, one in known.items()}
                if not withdraw and row.get("label", "") == "":  # None is JSON's null, and means something
                    raise MalformedEvent("`label` is empty; to take labels back, use --withdraw")
                said = given.get("time")
                labels.append(
                    LabelEvent.new(
                        given.get("source") or source or "",
                        given.get("id", ""),
                        None if withdraw else given.get("label"),
                        time_ms=parse_time(said) if said else now_ms,
                        annotator=given.get("annotator") or annotator,
                        sender=sender(),
                        reference=given.get("reference"),
                    )
                )
            except MalformedEvent as error:
                problems.append(f"line {line}: {error}")
    except (OSError, UnicodeDecodeError, csv.Error, MalformedEvent) as error:
        problems.append(str(error))
    if problems or not labels:
        shown = "".join(f"\n  - {problem}" for problem in problems[:_SHOWN_PROBLEMS] or ["it has no label"])
        more = f"\n  - and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        raise TransportError(f"{path} is wrong, no label was sent:{shown}{more}")
    return labels


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any], list[str]]]:
    """Rows with their line, of a table by lower-case names; and what has no column."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        file.seek(0)
        if first.lstrip().startswith("{"):
            for line, text in enumerate(file, 1):
                if text.strip():
                    yield line, json_object(text.encode(), "the line"), []
            return
        separator = max(_SEPARATORS, key=first.count)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
        names = [name.strip().casefold() for name in next(reader, [])]
        if "id" not in names:
            raise TransportError(f"{path}: line 1 must name a column `id`, found {', '.join(names) or 'none'}")
        twice = next((name for name in COLUMNS if names.count(name) > 1), None)
        if twice is not None:
            raise TransportError(f"{path}: line 1 names the column `{twice}` more than once")
        read = reader.line_num
        try:
            for cells in reader:
                read = reader.line_num
                filled = [cell.strip() for cell in cells]
                if any(filled):
                    surplus = [cell for cell in filled[len(names) :] if cell]
                    yield read, dict(zip(names, filled, strict=False)), surplus
        except csv.Error as error:
            raise MalformedEvent(f"after line {read}: {error}; is a quote not closed?") from error


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a label event.

    Attributes:
        state: `not read yet`, `waiting`, `learned`, `scored`, `withdrawn`, `outdated`, `replaced` or `dead letter`.
        details: why, by which worker and when, as far as that is known.
    """

    label: LabelEvent
    state: str
    details: str


def fates_of(config: Config, source: str, id: str) -> tuple[WaitingEvent | None, list[Fate]]:
    """What is known of an image event, and of every label event about it that is still there, oldest first.

    Reads the topics of labels, waiting events and dead letters from end to end.

    Raises:
        MalformedEvent: source or id is no text.
    """
    source, id = as_text(source, "`source`"), as_text(id, "`id`")
    transport, key, plain = transport_of(config), anchor_id_of(source, id), PlainLabels(config.labels, config.events)
    labels: dict[tuple[str, str], LabelEvent] = {}
    for record in read_all(transport, "labels"):
        label = _label_about(record, key, plain)
        if label is not None:
            labels[label.source, label.id] = label
    last = last_waiting(transport)
    refused = {}
    for record in read_all(transport, "dead_letters"):
        with contextlib.suppress(MalformedEvent):
            label = _label_about(dead_letters.undo(record), key, plain)
            if label is not None:
                refused[label.source, label.id] = dead_letters.reason(record)
    event, newest = last.get(key), last.get(LABEL_PREFIX + key)
    state = None if newest is None else LabelRecord.from_value(newest)
    if state is not None:  # it is known for longer than its record stays in the labels topic
        labels.setdefault((state.event.source, state.event.id), state.event)
    ordered = sorted(labels.values(), key=lambda label: label.stamp)
    fates = [_fate(label, state, refused.get((label.source, label.id)), key) for label in ordered]
    return None if event is None else WaitingEvent.from_value(event), fates


def _label_about(record: Record, key: str, plain: PlainLabels) -> LabelEvent | None:
    try:
        label = parse_label_event(record, plain=plain)
    except EventError:
        return None
    return label if label.anchor_id == key else None


def _fate(label: LabelEvent, newest: LabelRecord | None, refused: str | None, key: str) -> Fate:
    if newest is not None and label.stamp == newest.stamp:
        where = f"anchor {key}, " if newest.state == "learned" else ""
        why = f"{newest.why}; " if newest.why else ""
        return Fate(label, newest.state, f"{why}{where}by worker {newest.worker} at {format_time(newest.at_ms)}")
    if refused is not None:
        return Fate(label, "dead letter", refused)
    if newest is not None and label.stamp < newest.stamp:
        return Fate(label, "replaced", f"by what was said at {format_time(newest.event.time_ms)}")
    return Fate(label, "not read yet", "or so long ago that nobody knows of it any more")


def what_next(config: Config, number: int) -> list[WaitingEvent]:
    """The events to label, best first, among the newest 4,000 that wait; see `suggesting.choose`."""
    if not come_apart(config):
        raise TransportError(
            "no event waits for a label: set `files.labels_file` on `transport: files`, and "
            "`labels.wait_max_events` above 0"
        )
    last = last_waiting(transport_of(config))
    waiting = [
        event
        for event in waiting_events(last)
        if event.vector.size and LABEL_PREFIX + anchor_id_of(event.source, event.id) not in last
    ]
    if not waiting:
        return []
    newest = sorted(waiting, key=lambda event: event.time_ms)[-_NEWEST:]
    fingerprint = newest[-1].fingerprint
    newest = [event for event in newest if event.fingerprint == fingerprint]
    anchors = [one for one in read_anchors(config).values() if one.fingerprint == fingerprint]
    labelled = np.array([one.vector for one in anchors], np.float32).reshape(-1, len(newest[0].vector))
    return choose(newest, labelled, {one.label for one in anchors} | set(config.adapter.canaries), number)
