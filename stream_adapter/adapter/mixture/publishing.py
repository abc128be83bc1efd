"""What workers tell each other: the evidence of each one's traffic, and the directions that all weigh by.

Evidence adds up, so each worker goes by the sum over the newest record of every slot, its own as it was published: with
the same anchors and the same records all give the same answers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Records, Surroundings
from stream_adapter.adapter.mixture.evidence import Evidence
from stream_adapter.adapter.packing import Arrays, array_of, pack_strings, unpack_strings
from stream_adapter.errors import SnapshotError

log = structlog.get_logger(__name__)

DIRECTIONS = "directions"
EVIDENCE = "evidence/"

# By so much the evidence about a class, or the number of events that it rests on, must have changed to be news.
_NEWS = 0.1
# What has changed by less is told this much later, so that what was forgotten is forgotten everywhere.
_ALL_NEWS_S = 5.0
# Records of many means are large: so that they do not crowd the topic, they may only come so often.
_BYTES_PER_S = 50_000


class Publishing:
    """Keeps the records of all workers, and knows when this one has something to say.

    Args:
        surroundings: slot and clock, and whether anybody publishes what `due` hands out; where nobody does, what is
            found is in force at once.
        every_s: least seconds from one record to the next.
    """

    def __init__(self, surroundings: Surroundings, every_s: float) -> None:
        self._key = EVIDENCE + surroundings.slot
        self._publishes = surroundings.publishes
        self._clock = surroundings.clock or (lambda: 0.0)
        self._waits = surroundings.clock is not None
        self._every_s = every_s
        self._records: dict[str, bytes] = {}
        self._evidence: dict[str, Evidence] = {}
        self._own: tuple[bytes, Evidence] | None = None  # found and not told
        self._told_s = self._pause_until_s = float("-inf")
        self._offered: Directions | None = None
        self.directions: Directions | None = None

    @property
    def newest_directions(self) -> Directions | None:
        """Those in force, or newer ones that this worker has found."""
        return self._offered or self.directions

    @property
    def digest(self) -> str:
        """Changes when any record in force does."""
        versions = sorted((key, one.digest) for key, one in self._evidence.items())
        return repr((versions, None if self.directions is None else self.directions.version))

    def found(self, evidence: Evidence, classes: Classes) -> None:
        """Take the newest evidence of the own window."""
        value = evidence.to_bytes(classes.names)
        parsed = Evidence.from_bytes(value, classes.names, classes.dimension)
        if self._publishes:
            self._own = value, parsed
        else:
            self._records[self._key], self._evidence[self._key] = value, parsed

    def offer_directions(self, directions: Directions) -> Directions | None:
        """Take directions that were found; returns them where they are in force at once, None where they are to be told."""
        directions = directions_of(bytes_of(directions), directions.matrix.shape[0])
        if self._publishes:
            self._offered = directions
            return None
        self.directions = directions
        self._records[DIRECTIONS] = bytes_of(directions)
        return directions

    def due(self) -> Mapping[str, bytes]:
        """Records to be published now, and to be heard once they are; mostly none."""
        now_s, due = self._clock(), dict[str, bytes]()
        if self._offered is not None:
            due[DIRECTIONS] = bytes_of(self._offered)
        if self._own is not None and now_s >= self._pause_until_s and self._is_news(now_s):
            due[self._key] = self._own[0]
            self._told_s = now_s
            self._pause_until_s = now_s + max(self._every_s, len(self._own[0]) / _BYTES_PER_S)
        return due

    def hear(self, records: Records, classes: Classes) -> bool:
        """Take the newest records of some keys; whether that changes what is in force. What cannot be read is passed over."""
        changed = False
        for key, value in records.items():
            if value is None:
                changed |= self._records.pop(key, None) is not None
                self._evidence.pop(key, None)
                continue
            try:
                if key == DIRECTIONS:
                    self._hear_directions(value, classes.dimension)
                elif key.startswith(EVIDENCE):
                    self._evidence[key] = Evidence.from_bytes(value, classes.names, classes.dimension)
                else:
                    continue
            except ValueError as error:
                log.warning("passed over a record of another worker that cannot be read", key=key, error=str(error))
                continue
            changed |= self._records.get(key) != value
            self._records[key] = value
        return changed

    def beside(
        self, given: NDArray[np.float64], explained: NDArray[np.float64], weight: float, classes: Classes
    ) -> Evidence:
        """The other workers' evidence with fresh figures of the own window, as far as presences depend on them."""
        others = self._sum([key for key in self._evidence if key != self._key], classes)
        zero = np.zeros(len(classes))
        total = np.zeros(classes.dimension)
        none, sums = np.zeros(0, np.int64), np.zeros((0, classes.dimension))
        return others + Evidence(0, weight, 0.0, total, given, explained, zero, zero, (0.0, 0.0), none, sums)

    def in_force(self, classes: Classes) -> Evidence:
        """The sum over all slots."""
        return self._sum(list(self._evidence), classes)

    def set_classes(self, classes: Classes) -> None:
        """Read all records again, by another vocabulary's names."""
        self._own = None
        self.hear(dict(self._records), classes)

    def state(self) -> dict[str, NDArray[Any]]:
        """All records, as arrays."""
        values = np.frombuffer(b"".join(self._records.values()), np.uint8)
        ends = np.cumsum([len(value) for value in self._records.values()], dtype=np.int64)
        return {**pack_strings("records.keys", list(self._records)), "records.values": values, "records.ends": ends}

    def restore(self, arrays: Arrays, classes: Classes) -> None:
        """Take over what `state` gave.

        Raises:
            SnapshotError: the arrays do not fit each other.
        """
        try:
            keys = unpack_strings("records.keys", arrays)
            values, ends = array_of(arrays, "records.values", np.uint8), array_of(arrays, "records.ends", np.int64)
            if len(keys) != len(ends) or (np.diff(ends, prepend=0) < 0).any() or (len(ends) and ends[-1] != len(values)):
                raise ValueError("there is not one value for each key")
        except ValueError as error:
            raise SnapshotError(f"the saved records of workers cannot be used: {error}") from error
        whole, starts = values.tobytes(), [0, *ends[:-1].tolist()]
        parts = [whole[start:end] for start, end in zip(starts, ends.tolist(), strict=True)]
        self.hear(dict(zip(keys, parts, strict=True)), classes)

    def _hear_directions(self, value: bytes, dimension: int) -> None:
        directions = directions_of(value, dimension)
        if self._offered is not None and directions.version >= self._offered.version:
            self._offered = None
        if bytes_of(directions) != self._records.get(DIRECTIONS):
            self.directions = directions

    def _is_news(self, now_s: float) -> bool:
        assert self._own is not None
        value, own = self._own
        before = self._evidence.get(self._key)
        if before is None:
            return True
        # What this slot said before a restart may still rest on more than the new window.
        if value == self._records[self._key] or own.events < before.events / 2:
            return False
        if not self._waits or now_s - self._told_s >= _ALL_NEWS_S:
            return True
        return any(
            bool((np.abs(now - then) > np.maximum(1.0, _NEWS * then)).any())
            for now, then in (
                (own.unexplained, before.unexplained),
                (own.mass, before.mass),
                (np.array(own.weight), np.array(before.weight)),
            )
        )

    def _sum(self, keys: list[str], classes: Classes) -> Evidence:
        total = Evidence.none(len(classes), classes.dimension)
        for key in sorted(keys):  # a floating-point sum depends on its order
            total = total + self._evidence[key]
        return total


def bytes_of(directions: Directions) -> bytes:
    """The wire form: safetensors; float16 is more than enough for directions."""
    facts = np.array([directions.variance, directions.version], np.float64)
    return save({"matrix": directions.matrix.astype(np.float16), "variance_and_version": facts})


def directions_of(value: bytes, dimension: int) -> Directions:
    """Read a wire form.

    Raises:
        ValueError: it is none, or of another encoder.
    """
    try:
        arrays = load(value)
        matrix, facts = arrays["matrix"], arrays["variance_and_version"]
        if matrix.ndim != 2 or matrix.shape[0] != dimension or facts.shape != (2,):
            raise ValueError(f"directions of shape {matrix.shape}, expected ({dimension}, k)")
        if not np.isfinite(matrix).all() or not np.isfinite(facts).all() or facts[0] <= 0 or facts[1] < 0:
            raise ValueError("directions that are not finite")
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"it cannot be read: {error!r}") from error
    return Directions(matrix.astype(np.float32), float(facts[0]), int(facts[1]))
