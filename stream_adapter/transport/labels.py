"""`LabelFeed`: labels that come apart from their events, and the events that wait for them, as a worker reads them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.payloads import json_object
from stream_adapter.events.waiting import POSITION_KEY
from stream_adapter.transport.base import Record

LABELS_AT_ONCE = 64
_PORTION = 1_000


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What was read since.

    Attributes:
        fresh: partitions of the waiting topic whose state begins anew with these records.
        waiting: records of the waiting topic, each partition in order.
        restored: partitions of which all that was there when they were assigned has been read.
        labels: records of the labels topic.
    """

    fresh: frozenset[int] = frozenset()
    waiting: Sequence[Record] = ()
    restored: frozenset[int] = frozenset()
    labels: Sequence[Record] = ()

    def __bool__(self) -> bool:
        return bool(self.fresh or self.waiting or self.restored or self.labels)


class LabelFeed(Protocol):
    """All labels, and the waiting events of some partitions. Used by one thread."""

    @property
    def partitions(self) -> int:
        """How many partitions the waiting topic has: an event belongs to one of them by a hash of its ids."""

    def assign(self, numbers: frozenset[int]) -> None:
        """Read these partitions of the waiting topic from now on; those that are new from their beginning.

        Labels are then read from the place up to which they were applied for the new ones, however long ago that was.

        Raises:
            TransportError: the topic cannot be read.
        """

    def poll(self) -> Arrivals:
        """What has come since; never waits, and gives no label before all partitions are restored.

        Raises:
            TransportError: a topic cannot be read.
        """

    @property
    def exhausted(self) -> bool:
        """Whether the last poll found nothing, and only this worker can make more of it."""

    def close(self) -> None:
        """Release all handles."""


class SingleLabelFeed:
    """Labels and waiting events in one ordered log each, which only this process continues.

    Args:
        waiting: the records of the waiting log from a number on.
        labels: the records of the labels' log from a number on.
    """

    partitions = 1

    def __init__(self, waiting: Callable[[int], Iterable[Record]], labels: Callable[[int], Iterable[Record]]) -> None:
        self._waiting = waiting
        self._labels = labels
        self._assigned = self._fresh = False
        self._next = self._next_label = 0
        self.exhausted = False

    def assign(self, numbers: frozenset[int]) -> None:
        """See `LabelFeed.assign`."""
        self._fresh = 0 in numbers and not self._assigned
        self._assigned = 0 in numbers

    def poll(self) -> Arrivals:
        """See `LabelFeed.poll`."""
        if not self._assigned:
            return Arrivals()
        fresh, self._fresh = frozenset({0} if self._fresh else ()), False
        if fresh:
            self._next = self._next_label = 0
        waiting = list(self._waiting(self._next) if fresh else islice(self._waiting(self._next), _PORTION))
        self._next += len(waiting)
        for record in waiting if fresh else ():
            self._next_label = position_in(record).get(0, self._next_label)
        labels = list(islice(self._labels(self._next_label), LABELS_AT_ONCE))
        self._next_label += len(labels)
        self.exhausted = not waiting and not labels
        return Arrivals(fresh, waiting, fresh, labels)

    def close(self) -> None:
        """Nothing is held open."""


def position_in(record: Record) -> dict[int, int]:
    """How far labels were applied, where a record of the waiting topic says it: next offset by partition of labels."""
    is_position = record.key == POSITION_KEY.encode() and record.value is not None
    return read_positions(record.value or b"") if is_position else {}


def read_positions(value: bytes) -> dict[int, int]:
    """Positions as `write_positions` wrote them; none where they are not."""
    try:
        positions = {int(number): offset for number, offset in json_object(value, "positions").items()}
    except (MalformedEvent, ValueError):
        return {}
    return positions if all(type(one) is int and 0 <= one < 2**63 for one in positions.values()) else {}


def merged_positions(several: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """The earliest place of each partition; one that any of them does not know is left out: it begins anew."""
    positions = list(several)
    known = set.intersection(*(set(one) for one in positions)) if positions else set()
    return {number: min(one[number] for one in positions) for number in known}


def write_positions(positions: Mapping[int, int]) -> bytes:
    """Positions as JSON."""
    return json.dumps({str(number): offset for number, offset in sorted(positions.items())}).encode()
