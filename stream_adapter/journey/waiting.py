"""What is known of the events of one partition of the waiting topic: what was predicted, and the newest label."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from stream_adapter.adapter.anchors.ownership import key_of
from stream_adapter.errors import EventError, MalformedEvent
from stream_adapter.events.headers import check_format, decode_headers
from stream_adapter.events.waiting import (
    INPUT_PREFIX,
    LABEL_PREFIX,
    POSITION_KEY,
    WAITING_FORMAT,
    LabelRecord,
    WaitingEvent,
)
from stream_adapter.transport.base import Record
from stream_adapter.transport.labels import read_positions

_NO_REFERENCE = b'"reference":""'  # as it is written; inside of a text its quotation marks would be escaped


class _Kept(NamedTuple):
    """A waiting event as it was read, and when it was written, milliseconds since the epoch."""

    at_ms: int
    value: bytes


def partition_of(key: str, partitions: int) -> int:
    """The partition of the waiting topic, of so many, to which an event belongs by its anchor id."""
    return key_of(key) % partitions


class Waiting:
    """Of several labels of an event the one with the largest stamp counts, in whatever order they come.

    Everything is kept by anchor id, oldest first.

    Attributes:
        positions: how far labels were applied: next offset by partition of the labels topic.
        restored: whether all that was known before is known here.
        early: events whose newest label is not applied, because they are not known.

    Args:
        bound: most events, and most labels.
        bound_gone: most events of which only the vector was let go, because their pictures can be fetched.
        max_age_ms: after which an event, or a label, is let go of.
        early_ms: after which a label whose event is not known is.
        left_alone: called for records that cannot be read.
    """

    def __init__(
        self, bound: int, bound_gone: int, max_age_ms: int, early_ms: int, *, left_alone: Callable[..., object]
    ) -> None:
        self._bound, self._bound_gone = bound, bound_gone
        self._max_age_ms = max_age_ms
        self._early_ms = early_ms
        self._left_alone = left_alone
        self._events: OrderedDict[str, _Kept] = OrderedDict()
        self._gone: OrderedDict[str, _Kept] = OrderedDict()
        self._labels: OrderedDict[str, LabelRecord] = OrderedDict()
        self.early: OrderedDict[str, None] = OrderedDict()
        self.positions: dict[int, int] = {}
        self.restored = False

    def __len__(self) -> int:
        return len(self._events)

    def take_in(self, record: Record) -> str | None:
        """Take in a record of the topic; returns the anchor id whose label may be applied now."""
        key, value = (record.key or b"").decode(errors="replace"), record.value
        try:
            check_format(decode_headers(record.headers), WAITING_FORMAT, "a waiting event")
        except EventError as error:
            self._left_alone(error, at=f"{record.partition}@{record.offset}")
            return None
        if key.startswith(INPUT_PREFIX):  # the source reads it
            return None
        if key == POSITION_KEY:
            if not self.restored:
                self.positions = read_positions(value or b"{}")
            return None
        if not key.startswith(LABEL_PREFIX):
            if value is None:
                self.drop_event(key)
            elif not value.partition(b"\n")[2]:
                self._events.pop(key, None)
                self._gone[key] = _Kept(record.timestamp_ms, value)
            else:  # an event that comes again was predicted again: what counts is what was said first
                self._events.setdefault(key, _Kept(record.timestamp_ms, value))
            return key
        if self.restored:  # this worker's own word, which comes back
            return None
        key = key.removeprefix(LABEL_PREFIX)
        if value is None:
            self.drop_label(key)
            return None
        try:
            self.set_label(key, LabelRecord.from_value(value))
        except MalformedEvent as error:
            self._left_alone(error, at=f"{record.partition}@{record.offset}")
        return None

    def event(self, key: str) -> WaitingEvent | None:
        """What was predicted; None where it is not known."""
        return self._read(key, self._events.get(key))

    def unlabelled(self, most: int, among: Iterable[str] | None = None) -> Iterator[WaitingEvent]:
        """The newest events that nobody has labelled, newest first; or, in their order, those of these anchor ids."""
        keys = reversed(self._events) if among is None else (key for key in among if key in self._events)
        return filter(None, map(self.event, list(islice((key for key in keys if key not in self._labels), most))))

    def gone(self, key: str) -> WaitingEvent | None:
        """What was predicted of an event whose vector was let go; None where there is none."""
        return self._read(key, self._gone.get(key))

    def _read(self, key: str, kept: _Kept | None) -> WaitingEvent | None:
        try:
            return None if kept is None else WaitingEvent.from_value(kept.value)
        except MalformedEvent as error:
            self._left_alone(error, anchor=key)
            self.drop_event(key)
            return None

    def label(self, key: str) -> LabelRecord | None:
        """The newest label of an event, and what became of it."""
        return self._labels.get(key)

    def set_label(self, key: str, label: LabelRecord) -> None:
        """Keep an event's newest label."""
        self._labels[key] = label
        self._labels.move_to_end(key)
        self.early.pop(key, None)
        if label.state == "waiting":
            self.early[key] = None

    def drop_label(self, key: str) -> None:
        """Know of no label of this event."""
        self._labels.pop(key, None)
        self.early.pop(key, None)

    def drop_event(self, key: str) -> bool:
        """Know nothing of this event; returns whether it was known."""
        return any([self._events.pop(key, None), self._gone.pop(key, None)])

    def overdue(self, now_ms: int, after_ms: int | None = None) -> list[LabelRecord]:
        """Labels that have waited for their event for too long, or for so long, or are the oldest of too many."""
        early_ms = self._early_ms if after_ms is None else after_ms
        found = []
        for position, key in enumerate(self.early):
            label = self._labels[key]
            if label.at_ms > now_ms - early_ms and len(self.early) - position <= self._bound:
                break
            found.append(label)
        return found

    def outdated(self, now_ms: int) -> Iterator[tuple[str, bytes | None]]:
        """Keys of the topic that are let go of by now, and what stays under each."""
        while self._events and self._is_old(len(self._events), next(iter(self._events.values())).at_ms, now_ms):
            key, kept = self._events.popitem(last=False)
            fetched = self._bound_gone and _NO_REFERENCE not in kept.value
            event = self._read(key, kept) if fetched else None
            value = replace(event, vector=event.vector[:0]).to_value() if event and event.reference else None
            if value is not None:
                self._gone[key] = _Kept(now_ms, value)
            yield key, value
        while len(self._gone) > self._bound_gone:
            yield self._gone.popitem(last=False)[0], None
        while self._labels and self._is_old(len(self._labels), next(iter(self._labels.values())).at_ms, now_ms):
            key = next(iter(self._labels))
            self.drop_label(key)
            yield LABEL_PREFIX + key, None
            if self.drop_event(key):  # or its next label would be a test once more
                yield key, None

    def _is_old(self, number: int, at_ms: int, now_ms: int) -> bool:
        return number > self._bound or at_ms <= now_ms - self._max_age_ms
