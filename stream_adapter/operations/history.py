"""The anchors as they were at some point of the past, from the changelog that has them all in order."""

import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from stream_adapter.config import Config
from stream_adapter.errors import AnchorError, MalformedEvent
from stream_adapter.events import AnchorRecord
from stream_adapter.events.headers import parse_time
from stream_adapter.transport.base import Record
from stream_adapter.transport.changelog import change_of
from stream_adapter.transport.opening import transport_of

_OFFSETS = re.compile(r"\d+|\d+:\d+(,\d+:\d+)*")


@dataclass(frozen=True, slots=True)
class Point:
    """A point in the history of the changelog: a time, or a place in each partition; by default the present.

    Attributes:
        time_ms: records up to this time count, by the topic's own clock.
        offsets: records before these offsets count. None as a partition stands for the only one.
    """

    time_ms: int | None = None
    offsets: Mapping[int | None, int] | None = None

    @classmethod
    def parse(cls, text: str | None) -> "Point":
        """Read `1234`, `0:1234,1:99` or an ISO 8601 time; None is the present.

        Raises:
            AnchorError: it is none of these.
        """
        if text is None:
            return cls()
        if _OFFSETS.fullmatch(text):
            pairs = [part.rpartition(":") for part in text.split(",")]
            return cls(offsets={int(number) if number else None: int(offset) for number, _, offset in pairs})
        try:
            return cls(time_ms=parse_time(text))
        except MalformedEvent as error:
            raise AnchorError(
                f"{text!r} is no point in the anchors' history; give an offset (1234), offsets by partition "
                "(0:1234,1:99) or a time with its zone (2026-05-01T12:00:00Z)"
            ) from error


@dataclass(frozen=True, slots=True)
class PastState:
    """The anchors at a point.

    Attributes:
        anchors: by id, in the order in which they were written; vectors in float16, as they were written.
        offsets: for each partition the offset after the last record that counts.
        whole: False where compaction may have removed records that counted then, because newer ones replaced them.
    """

    anchors: dict[str, AnchorRecord]
    offsets: Mapping[int, int]
    whole: bool
    topic: str


def anchors_at(config: Config, point: Point) -> PastState:
    """The anchors at a point of their history: each record in the order of the changelog, deletions too.

    Workers' evidence on the presence of classes, which is in the same topic, is left out: it is about the traffic of a
    moment, and anywhere else it would speak for classes that nobody has seen there.

    Raises:
        AnchorError: the point names a partition that is not there, or none where there are several.
        TransportError: the changelog cannot be read.
    """
    with contextlib.closing(transport_of(config).open_log("anchors")) as log:
        ends = log.ends()
        until = _until(point, ends) if point.time_ms is None else log.ends_at(point.time_ms)
        fold = _Fold()
        for records in log.portions(until):
            fold.take(records)
        earlier = {number: end for number, end in until.items() if end != ends[number]}
        whole_for_ms = log.whole_for_ms if earlier else None
        compacted_ms = time.time() * 1000 - (whole_for_ms or 0)
        whole = whole_for_ms is None or all(fold.is_whole(at, end, compacted_ms) for at, end in earlier.items())
        return PastState(fold.anchors, until, whole, log.name)


def _until(point: Point, ends: Mapping[int, int]) -> dict[int, int]:
    """Where each partition's history ends at this point."""
    wanted = dict(point.offsets or {})
    if None in wanted:
        if len(ends) > 1:
            raise AnchorError(
                f"the anchors are in {len(ends)} partitions; give an offset for each, such as "
                f"{','.join(f'{number}:{end}' for number, end in sorted(ends.items()))}"
            )
        wanted = dict.fromkeys(ends, wanted[None])
    unknown = [number for number in wanted if number not in ends]
    if unknown:
        raise AnchorError(f"the anchors have no partition {unknown[0]}; they have {', '.join(map(str, sorted(ends)))}")
    return {number: min(end, wanted.get(number, end)) for number, end in ends.items()}


class _Fold:
    """What follows from records, one after another."""

    def __init__(self) -> None:
        self.anchors: dict[str, AnchorRecord] = {}
        self._records: Counter[int] = Counter()
        self._latest_ms: dict[int, int] = {}

    def take(self, records: Iterable[Record]) -> None:
        """Go on with these."""
        for record in records:
            number = record.partition.number
            self._records[number] += 1
            self._latest_ms[number] = record.timestamp_ms
            change = change_of(record)
            known = self.anchors.get(change.key)
            if known and isinstance(change.content, AnchorRecord) and change.content.stamp < known.stamp:
                continue  # an older label that was written later; whoever holds the newer one writes it again
            self.anchors.pop(change.key, None)
            if record.value is not None and isinstance(change.content, AnchorRecord):
                halves = np.frombuffer(record.value, "<f2")  # (d,), as they are: rounding once more might move them
                self.anchors[change.key] = replace(change.content, vector=halves)

    def is_whole(self, number: int, end: int, compacted_ms: float) -> bool:
        """Whether nothing can have been removed from a partition that counted when it ended here.

        Either every offset has its record; or the last record is younger than any that compaction may look at, and so
        is whatever replaced one of them afterwards.
        """
        return self._records[number] == end or self._latest_ms.get(number, 0) > compacted_ms
