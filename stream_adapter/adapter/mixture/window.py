"""The newest events of a process's own traffic, and by how much each of them counts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.weights import NEARNESS, Directions, closeness, placed
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Events
from stream_adapter.adapter.mixture.backend import Array, Backend
from stream_adapter.adapter.mixture.constants import COPY
from stream_adapter.adapter.mixture.other_classes import over_other_classes
from stream_adapter.adapter.packing import Arrays, array_of
from stream_adapter.errors import SnapshotError


class Window:
    """Up to `size` events in slots, in no order. An event that comes again is no new traffic.

    Events count by the weight of formula (1) in docs/method.md, over all of the window: no label enters. Where it is
    full, copies go first, then what is old.

    Memory: `size` · (C + d) float32.
    """

    def __init__(self, classes: Classes, size: int, backend: Backend) -> None:
        self._backend = backend
        self._size = size
        self._vectors = backend.zeros(size, classes.dimension)
        self._zero_shot = backend.zeros(size, len(classes))
        self._keys = np.zeros(size, np.uint64)
        self._known: set[int] = set()  # the same, to look them up
        self._numbers = np.zeros(size, np.int64)  # in the order in which they came
        self._crowding = np.ones(size)  # 1 / weight
        self._placed = np.zeros((size, 0), np.float32)  # see `placed`
        self._held = 0
        self._directions: Directions | None = None
        self.seen = 0

    def __len__(self) -> int:
        return self._held

    @property
    def vectors(self) -> Array:
        """Float32 (n, d), by slot; a view."""
        return self._vectors[: self._held]

    @property
    def zero_shot(self) -> Array:
        """Float32 (n, C), probabilities of the untouched model, by slot; a view."""
        return self._zero_shot[: self._held]

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Uint64 (n,), the events' keys, by slot; a view."""
        return self._keys[: self._held]

    @property
    def weights(self) -> NDArray[np.float64]:
        """Float64 (n,) in (0, 1], what each event adds to those near it, by slot."""
        return np.asarray(1.0 / self._crowding[: self._held])

    def add(self, events: Events, zero_shot: Array) -> None:
        """Take in a batch with its probabilities, float32 (B, C); of more than the window holds the newest remain."""
        first: dict[int, int] = {}  # key -> row, of events that are new
        for row, key in enumerate(events.keys.tolist()):
            if key not in self._known:
                first.setdefault(key, row)
        self.seen += len(first)
        rows = np.array(list(first.values())[-self._size :], np.int64)
        if not rows.size:
            return
        gone = self._superfluous(self._held + len(rows) - self._size)
        slots = np.concatenate([gone, np.arange(self._held, self._held + len(rows) - len(gone))])
        self._held += len(rows) - len(gone)
        self._known.difference_update(self._keys[gone].tolist())
        vectors = np.ascontiguousarray(events.vectors[rows])
        self._vectors[slots] = self._backend.put(vectors)
        self._zero_shot[slots] = zero_shot if len(rows) == len(zero_shot) else zero_shot[rows]
        self._keys[slots] = events.keys[rows]
        self._known.update(self._keys[slots].tolist())
        self._numbers[slots] = np.arange(self.seen - len(rows), self.seen)
        self._crowding[slots] = 1.0
        if self._directions is not None:
            changed = np.concatenate([self._placed[gone], placed(vectors, self._directions, NEARNESS)])
            self._placed[slots] = changed[len(gone) :]
            near = closeness(changed, self._placed[: self._held])
            signs = np.repeat(np.array([-1.0, 1.0], np.float32), [len(gone), len(slots)])
            crowding = self._crowding[: self._held]
            crowding += signs @ near
            crowding[slots] = near[len(gone) :].sum(axis=1)
            np.maximum(crowding, 1.0, out=crowding)

    def set_directions(self, directions: Directions) -> None:
        """Weigh all events in other directions."""
        self._directions = directions
        vectors = placed(self._backend.get(self.vectors), directions, NEARNESS)
        self._placed = np.zeros((self._size, vectors.shape[1]), np.float32)
        self._placed[: self._held] = vectors
        crowding = closeness(vectors, vectors).sum(axis=1, dtype=np.float64)
        self._crowding[: self._held] = np.maximum(crowding, 1.0)

    def set_classes(self, classes: Classes, same: NDArray[np.int64]) -> None:
        """Go over to other classes: int64 (C,), the former one with the same text, −1 where there is none."""
        held = over_other_classes(self.zero_shot, self.vectors, classes, same, self._backend)
        free = self._size - len(held)
        self._zero_shot = self._backend.xp.concat([held, self._backend.zeros(free, len(classes))]) if free else held

    def state(self) -> dict[str, NDArray[Any]]:
        """The window as arrays, oldest event first."""
        order = np.argsort(self._numbers[: self._held])
        return {
            "vectors": self._backend.get(self.vectors)[order].astype(np.float32),
            "keys": self.keys[order],
            "seen": np.array([self.seen], np.int64),
        }

    def restore(self, arrays: Arrays, classes: Classes) -> None:
        """Take over what `state` gave; probabilities follow from the vectors.

        Raises:
            SnapshotError: the arrays do not fit each other or the encoder.
        """
        try:
            vectors = array_of(arrays, "vectors", np.float32, dimensions=2)
            keys = array_of(arrays, "keys", np.uint64)
            seen = int(array_of(arrays, "seen", np.int64)[0])
            if vectors.shape != (len(keys), classes.dimension) or seen < len(keys) or not np.isfinite(vectors).all():
                raise ValueError(f"{len(keys)} keys, vectors {vectors.shape}, {seen} events seen")
        except (ValueError, IndexError) as error:
            raise SnapshotError(f"the saved window of traffic cannot be used: {error}") from error
        keys, vectors = keys[-self._size :], np.ascontiguousarray(vectors[-self._size :])
        self._held = self.seen = 0
        self._known.clear()
        logits = classes.logit_scale * (vectors @ classes.texts.T)
        self.add(Events(keys, vectors), self._backend.softmax(self._backend.put(logits)))
        self.seen = seen
        self._numbers[: self._held] += seen - self._held

    def _superfluous(self, count: int) -> NDArray[np.int64]:
        """Slots of so many events to let go of: copies first, then what is oldest."""
        if count <= 0:
            return np.zeros(0, np.int64)
        numbers = self._numbers[: self._held]
        rank = np.where(self._crowding[: self._held] > 1.0 / COPY, numbers - (1 << 62), numbers)
        return np.sort(np.argpartition(rank, count - 1)[:count])
