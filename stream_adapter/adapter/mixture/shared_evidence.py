"""The evidence of all workers' traffic, one record a worker slot.

Evidence adds up, so each worker goes by the sum over the newest record of every slot, its own as it was published: with
the same anchors and the same records all give the same answers.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import LearnerContext, Records
from stream_adapter.adapter.mixture.evidence import Evidence
from stream_adapter.adapter.packing import Arrays, array_of, pack_strings, unpack_strings
from stream_adapter.errors import SnapshotError

# By so much the evidence about a class, or the number of events that it rests on, must have changed to be news.
_NEWS = 0.1
# With so many times the events a slot has news at once, however soon: at its start a fast stream has nothing yet.
_GROWN = 1.1
# What has changed by less is told this much later, so that what was forgotten is forgotten everywhere.
_ALL_NEWS_S = 5.0
# Records of many means are large: so that they do not crowd the topic, they may only come so often.
_BYTES_PER_S = 50_000


class SharedEvidence:
    """Keeps the records of all slots, and knows when this one has something to say.

    Attributes:
        key: of this slot's own record.

    Args:
        context: slot and clock, and whether anybody publishes what `due` hands out; where nobody does, what is
            found is in force at once.
        every_s: least seconds from one record to the next, but while there is little yet.
    """

    def __init__(self, kind: str, classes: Classes, context: LearnerContext, every_s: float) -> None:
        self._kind = kind
        self._classes = classes
        self.key = kind + context.slot
        self._publishes = context.publishes
        self._clock = context.clock
        self._every_s = every_s
        self._records: dict[str, bytes] = {}
        self._evidence: dict[str, Evidence] = {}
        self._own: tuple[bytes, Evidence] | None = None  # found and not published
        self._published_s = self._pause_until_s = float("-inf")

    @property
    def digest(self) -> str:
        """Changes when any record in force does."""
        digest = hashlib.blake2b(digest_size=8)
        for key in sorted(self._records):
            digest.update(key.encode() + b"\0" + self._records[key])
        return digest.hexdigest()

    def found(self, evidence: Evidence) -> None:
        """Take the newest evidence of the own window."""
        value = evidence.to_bytes(self._classes.names)
        parsed = self._read(value)
        if self._publishes:
            self._own = value, parsed
        else:
            self._records[self.key], self._evidence[self.key] = value, parsed

    @property
    def pause_until_s(self) -> float:
        """Seconds of the clock, before which nothing will be told: what would be found by then is not needed."""
        return self._pause_until_s if self._publishes and self._clock is not None else float("-inf")

    def due(self) -> Mapping[str, bytes]:
        """Records to be published now, and to be followed once they are; mostly none."""
        now_s = float("inf") if self._clock is None else self._clock()
        if self._own is None or now_s < self._pause_until_s or not self._is_news(now_s):
            return {}
        before = self._evidence.get(self.key)
        grown = before is None or self._own[1].events >= _GROWN * before.events
        if not grown and now_s - self._published_s < self._every_s:
            return {}
        self._published_s = now_s
        self._pause_until_s = now_s + len(self._own[0]) / _BYTES_PER_S
        return {self.key: self._own[0]}

    def follow(self, records: Records) -> bool:
        """Take the newest records of this kind; whether they change anything.

        Raises:
            ValueError: one cannot be read; the others are followed.
        """
        changed, unreadable = False, list[ValueError]()
        for key, value in records.items():
            if not key.startswith(self._kind):
                continue
            if value is None:
                changed |= self._records.pop(key, None) is not None
                self._evidence.pop(key, None)
                continue
            try:
                self._evidence[key] = self._read(value)
            except ValueError as error:
                unreadable.append(error)
                continue
            changed |= self._records.get(key) != value
            self._records[key] = value
        if unreadable:
            raise unreadable[0]
        return changed

    def beside(self, given: NDArray[np.float64], explained: NDArray[np.float64], weight: float) -> Evidence:
        """The other workers' evidence with fresh figures of the own window, as far as presences depend on them."""
        others = self._sum([key for key in self._evidence if key != self.key])
        own = Evidence.none(len(self._classes), self._classes.dimension)
        return others + replace(own, weight=weight, given=given, explained=explained)

    def in_force(self) -> Evidence:
        """The sum over all slots."""
        return self._sum(list(self._evidence))

    def set_classes(self, classes: Classes) -> None:
        """Read all records again, by another vocabulary's names."""
        self._classes, self._own = classes, None
        self.follow(dict(self._records))

    def state(self) -> dict[str, NDArray[Any]]:
        """All records, as arrays."""
        values = np.frombuffer(b"".join(self._records.values()), np.uint8)
        ends = np.cumsum([len(value) for value in self._records.values()], dtype=np.int64)
        return {**pack_strings("keys", list(self._records)), "values": values, "ends": ends}

    def restore(self, arrays: Arrays) -> None:
        """Take over what `state` gave.

        Raises:
            SnapshotError: the arrays do not fit each other.
        """
        try:
            keys = unpack_strings("keys", arrays)
            values, ends = array_of(arrays, "values", np.uint8), array_of(arrays, "ends", np.int64)
            if (
                len(keys) != len(ends)
                or (np.diff(ends, prepend=0) < 0).any()
                or (len(ends) and ends[-1] != len(values))
            ):
                raise ValueError("there is not one value for each key")
        except ValueError as error:
            raise SnapshotError(f"the saved records of workers cannot be used: {error}") from error
        whole, starts = values.tobytes(), [0, *ends[:-1].tolist()]
        self._records, self._evidence = {}, {}
        self.follow({key: whole[start:end] for key, start, end in zip(keys, starts, ends.tolist(), strict=False)})

    def _is_news(self, now_s: float) -> bool:
        assert self._own is not None
        value, own = self._own
        before = self._evidence.get(self.key)
        if before is None:
            return True
        # What this slot said before a restart may still rest on more than the new window.
        if value == self._records[self.key] or own.events < before.events / 2:
            return False
        if self._clock is None or now_s - self._published_s >= _ALL_NEWS_S:
            return True
        return any(
            bool((np.abs(now - then) > np.maximum(1.0, _NEWS * then)).any())
            for now, then in (
                (own.unexplained, before.unexplained),
                (own.mass, before.mass),
                (np.array(own.weight), np.array(before.weight)),
            )
        )

    def _read(self, value: bytes) -> Evidence:
        return Evidence.from_bytes(value, self._classes.names, self._classes.dimension)

    def _sum(self, keys: list[str]) -> Evidence:
        if not keys:
            return Evidence.none(len(self._classes), self._classes.dimension)
        return reduce(add, [self._evidence[key] for key in sorted(keys)])  # floating-point: the order counts
