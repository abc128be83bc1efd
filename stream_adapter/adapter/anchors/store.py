"""The store: every live anchor as arrays, the single truth from which index, maps and changelog can be rebuilt."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, AnchorListing, Origin
from stream_adapter.adapter.anchors.ownership import key_of
from stream_adapter.adapter.anchors.records import DIGEST_BYTES, Displaced, Offer, StoreColumns, hash_of, member_of
from stream_adapter.errors import AnchorError

_COLUMNS = ("_vectors", "_classes", "_times", "_keys", "_rows", "_folds", "_crowding", "_projected", "_doubt")
_SMALLEST_CAPACITY = 64


class AnchorStore:
    """Anchors in dense arrays: slot i of every array is one anchor; a freed slot is filled by the last one.

    A slot may move, so the outside names anchors by their row id: int64, counting up, never used twice.

    What is taught here comes by `offer`, so that an event teaches once and the newest label wins:

    - the same id with the same label has no effect; with another label it replaces (a correction) unless its stamp is
      smaller;
    - another id with exactly the same float16 vector is folded (counted, nothing is added) if the label is the same; if
      the labels differ the one with the larger stamp, then id, stays.

    What was decided elsewhere comes by `put`: of one id the largest stamp stays, and nothing is folded. So what is
    stored is the same wherever the same records were put, in whatever order.

    Args:
        class_names: the vocabulary; anchors carry an index into it.
        dimension: d, the length of the vectors.
    """

    def __init__(self, class_names: Sequence[str], dimension: int) -> None:
        self._class_names = tuple(class_names)
        self._class_index = {name: index for index, name in enumerate(self._class_names)}
        self._size = 0
        self._next_row = 0
        self._vectors = np.empty((0, dimension), np.float32)
        self._classes = np.empty(0, np.int64)
        self._times = np.empty(0, np.int64)
        self._keys = np.empty(0, np.uint64)
        self._rows = np.empty(0, np.int64)
        self._folds = np.empty(0, np.int64)
        self._crowding = np.empty(0, np.float64)
        self._projected = np.empty((0, 0), np.float32)
        self._doubt = np.empty(0, np.float32)
        self._ids: list[str] = []
        self._origins: list[Origin] = []
        self._shapes: list[bytes] = []  # digest of the float16 vector
        self._slot_of_row: dict[int, int] = {}
        self._row_of_id: dict[str, int] = {}
        self._rows_of_shape: dict[bytes, list[int]] = {}
        self._counts = np.zeros(len(self._class_names), np.int64)
        self._digest = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, anchor_id: object) -> bool:
        return anchor_id in self._row_of_id

    @property
    def class_names(self) -> Sequence[str]:
        """The vocabulary."""
        return self._class_names

    def knows(self, label: str) -> bool:
        """Whether it is a class of the vocabulary."""
        return label in self._class_index

    def set_classes(self, class_names: Sequence[str], renamed: Mapping[str, str]) -> NDArray[np.int64]:
        """Go over to another vocabulary that has the classes of all anchors, some of them under another name.

        Returns:
            Int64 (C before,): which class each former one is now; 0 for those without anchors.

        Raises:
            KeyError: an anchor's class is not in it.
        """
        index = {name: number for number, name in enumerate(class_names)}
        used = np.flatnonzero(self._counts)
        to = np.zeros(len(self._class_names), np.int64)
        to[used] = [index[renamed.get(self._class_names[number], self._class_names[number])] for number in used]
        self._class_names, self._class_index = tuple(class_names), index
        self._classes[: self._size] = to[self.classes]
        self._counts = np.bincount(self.classes, minlength=len(class_names))
        if renamed:
            self._digest = sum(map(self._member, range(self._size))) % (1 << 8 * DIGEST_BYTES)
        return to

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Float32 (n, d), a view by slot; good until the next change."""
        return self._vectors[: self._size]

    @property
    def classes(self) -> NDArray[np.int64]:
        """Int64 (n,), class indices, a view by slot."""
        return self._classes[: self._size]

    @property
    def times(self) -> NDArray[np.int64]:
        """Int64 (n,), event times in milliseconds, a view by slot."""
        return self._times[: self._size]

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Uint64 (n,), a hash of each anchor's id, a view by slot: an order that all workers agree on."""
        return self._keys[: self._size]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Int64 (n,), row ids, a view by slot."""
        return self._rows[: self._size]

    @property
    def folds(self) -> NDArray[np.int64]:
        """Int64 (n,), how many exact duplicates each anchor stands for, a view by slot. A statistic: not persisted."""
        return self._folds[: self._size]

    @property
    def crowding(self) -> NDArray[np.float64]:
        """Float64 (n,), what shares each anchor's weight, see `weights.py`; a view by slot. Not persisted."""
        return self._crowding[: self._size]

    @property
    def projected(self) -> NDArray[np.float32]:
        """Float32 (n, k), the vectors in the directions of `weights.py`; a view by slot. Not persisted."""
        return self._projected[: self._size]

    @property
    def doubt(self) -> NDArray[np.float32]:
        """Float32 (n,), of the untouched model, see `pruning.py`; NaN where not known yet; a view by slot."""
        return self._doubt[: self._size]

    def set_projected(self, projected: NDArray[np.float32]) -> None:
        """Take over other projections: float32 (n, k)."""
        self._projected = np.zeros((len(self._rows), projected.shape[1]), np.float32)
        self._projected[: self._size] = projected

    @property
    def ids(self) -> Sequence[str]:
        """Anchor ids by slot."""
        return self._ids

    @property
    def origins(self) -> Sequence[Origin]:
        """Where the anchors come from, by slot."""
        return self._origins

    @property
    def counts(self) -> NDArray[np.int64]:
        """Int64 (C,), anchors per class; a copy."""
        return self._counts.copy()

    @property
    def digest(self) -> str:
        """Hex digest of the set of (id, label, float16 vector, time); the order of arrival does not matter."""
        return self._digest.to_bytes(DIGEST_BYTES, "big").hex()

    def offer(self, anchor: Anchor, stored: NDArray[np.float32], half: NDArray[np.float16]) -> Offer:
        """Take an anchor in, by the rules above.

        Args:
            anchor: its label must be in the vocabulary.
            stored: float32 (d,), from `as_stored`.
            half: float16 (d,), from `as_stored`.
        """
        displaced: list[Displaced] = []
        known = self.get(anchor.anchor_id)
        if known is not None:
            if known.label == anchor.label:
                return Offer(refused="repeated")
            if anchor.stamp < known.stamp:
                return Offer(refused="outdated")
            displaced.append(self.remove(anchor.anchor_id))

        shape = hash_of(half.tobytes())
        twins = [self.anchor(self._slot_of_row[row]) for row in self._rows_of_shape.get(shape, ())]
        same = next((twin.anchor_id for twin in twins if twin.label == anchor.label), None)
        if same is not None:
            self._folds[self._slot_of_row[self._row_of_id[same]]] += 1
            return Offer(twin=same, displaced=tuple(displaced))
        if any((anchor.stamp, anchor.anchor_id) < (twin.stamp, twin.anchor_id) for twin in twins):
            return Offer(refused="outdated", displaced=tuple(displaced))
        displaced += [self.remove(twin.anchor_id) for twin in twins]

        return Offer(row=self._append(anchor, stored, shape), displaced=tuple(displaced))

    def put(self, anchor: Anchor, stored: NDArray[np.float32], half: NDArray[np.float16]) -> Offer:
        """Take an anchor in that was decided on elsewhere; arguments as for `offer`.

        At equal stamps the later arrival wins: stamps repeat only where the input topic was made anew.
        """
        shape = hash_of(half.tobytes())
        known = self.get(anchor.anchor_id)
        if known is None:
            return Offer(row=self._append(anchor, stored, shape))
        if anchor.stamp < known.stamp:
            return Offer(refused="outdated")
        slot = self._slot_of_row[self._row_of_id[anchor.anchor_id]]
        if (anchor.stamp, anchor.label, shape) == (known.stamp, known.label, self._shapes[slot]):
            return Offer(refused="repeated")
        gone = self.remove(anchor.anchor_id)
        return Offer(row=self._append(anchor, stored, shape), displaced=(gone,))

    def get(self, anchor_id: str) -> Anchor | None:
        """The anchor of this id, None where there is none."""
        row = self._row_of_id.get(anchor_id)
        return None if row is None else self.anchor(self._slot_of_row[row])

    def remove(self, anchor_id: str) -> Displaced:
        """Delete one anchor.

        Raises:
            AnchorError: there is no anchor of this id.
        """
        row = self._row_of_id.pop(anchor_id, None)
        if row is None:
            raise AnchorError(f"there is no anchor {anchor_id!r}")
        slot = self._slot_of_row.pop(row)
        gone = Displaced(
            row, self.anchor(slot), int(self._classes[slot]), float(self._crowding[slot]), self._projected[slot].copy()
        )
        self._counts[self._classes[slot]] -= 1
        self._digest = (self._digest - self._member(slot)) % (1 << 8 * DIGEST_BYTES)
        alike = self._rows_of_shape[self._shapes[slot]]
        alike.remove(row)
        if not alike:
            del self._rows_of_shape[self._shapes[slot]]

        last = self._size - 1
        for name in _COLUMNS:
            column = getattr(self, name)
            column[slot] = column[last]
        self._ids[slot] = self._ids[last]
        self._origins[slot] = self._origins[last]
        self._shapes[slot] = self._shapes[last]
        for values in (self._ids, self._origins, self._shapes):
            values.pop()
        if slot != last:
            self._slot_of_row[int(self._rows[slot])] = slot
        self._size = last
        return gone

    def listing(self) -> AnchorListing:
        """All anchors without their vectors, by slot: a copy that any thread may read. About 3 ms for 100,000."""
        return AnchorListing(tuple(self._ids), self.classes.copy(), self.times.copy(), tuple(self._origins))

    def members(self, class_index: int) -> NDArray[np.int64]:
        """Int64 (m,), the slots of one class's anchors, ascending."""
        return np.flatnonzero(self.classes == class_index)

    def slots_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Int64, shaped as `rows`: their slots now; -1 where a row id is not live."""
        slots = [self._slot_of_row.get(row, -1) for row in rows.ravel().tolist()]
        return np.array(slots, np.int64).reshape(rows.shape)

    def classes_at(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Int64, shaped as `slots`: their class indices; -1 where a slot is -1."""
        classes = np.full(slots.shape, -1, np.int64)
        classes[slots >= 0] = self._classes[slots[slots >= 0]]
        return classes

    def id_of(self, row: int) -> str:
        """The id of a live anchor, by its row id."""
        return self._ids[self._slot_of_row[row]]

    def anchor(self, slot: int) -> Anchor:
        """The anchor in a slot, with a copy of its stored vector."""
        return Anchor(
            self._ids[slot], self._vectors[slot].copy(), self._label(slot), int(self._times[slot]), self._origins[slot]
        )

    def anchors(self) -> Iterator[Anchor]:
        """All anchors, by id."""
        for anchor_id in sorted(self._row_of_id):
            yield self.anchor(self._slot_of_row[self._row_of_id[anchor_id]])

    @property
    def columns(self) -> "StoreColumns":
        """Copies of everything but the vectors."""
        return StoreColumns(
            ids=list(self._ids),
            labels=[self._class_names[index] for index in self.classes.tolist()],
            times=self.times.copy(),
            rows=self.rows.copy(),
            origins=list(self._origins),
            shapes=list(self._shapes),
            next_row=self._next_row,
            digest=self.digest,
        )

    @classmethod
    def of(cls, class_names: Sequence[str], vectors: NDArray[np.float32], columns: "StoreColumns") -> "AnchorStore":
        """The store that these columns came from, with its vectors float32 (n, d) as they were stored.

        Raises:
            KeyError: an anchor's class is not in the vocabulary.
        """
        store, size = cls(class_names, vectors.shape[1]), len(columns.ids)
        store._vectors = vectors
        store._classes = np.array([store._class_index[label] for label in columns.labels], np.int64)
        store._times = columns.times.copy()
        store._keys = np.array([key_of(anchor_id) for anchor_id in columns.ids], np.uint64)
        store._rows = columns.rows.copy()
        store._folds = np.zeros(size, np.int64)
        store._crowding, store._doubt = np.ones(size), np.full(size, np.nan, np.float32)
        store._projected = np.zeros((size, 0), np.float32)
        store._ids, store._origins, store._shapes = list(columns.ids), list(columns.origins), list(columns.shapes)
        store._slot_of_row = dict(zip(columns.rows.tolist(), range(size), strict=True))
        store._row_of_id = dict(zip(columns.ids, columns.rows.tolist(), strict=True))
        for shape, row in zip(columns.shapes, columns.rows.tolist(), strict=True):
            store._rows_of_shape.setdefault(shape, []).append(row)
        store._counts = np.bincount(store._classes, minlength=len(store._counts))
        store._size, store._next_row = size, columns.next_row
        store._digest = sum(map(store._member, range(size))) % (1 << 8 * DIGEST_BYTES)
        return store

    def _label(self, slot: int) -> str:
        return self._class_names[int(self._classes[slot])]

    def _append(self, anchor: Anchor, stored: NDArray[np.float32], shape: bytes) -> int:
        slot, row = self._size, self._next_row
        if slot == len(self._rows):
            self._grow()
        class_index = self._class_index[anchor.label]
        self._vectors[slot] = stored
        self._classes[slot] = class_index
        self._times[slot] = anchor.event_time_ms
        self._keys[slot] = key_of(anchor.anchor_id)
        self._rows[slot] = row
        self._folds[slot] = 0
        self._crowding[slot] = 1.0
        self._doubt[slot] = np.nan
        self._ids.append(anchor.anchor_id)
        self._origins.append(anchor.origin)
        self._shapes.append(shape)
        self._slot_of_row[row] = slot
        self._row_of_id[anchor.anchor_id] = row
        self._rows_of_shape.setdefault(shape, []).append(row)
        self._counts[class_index] += 1
        self._size += 1
        self._next_row += 1
        self._digest = (self._digest + self._member(slot)) % (1 << 8 * DIGEST_BYTES)
        return row

    def _member(self, slot: int) -> int:
        return member_of(self._ids[slot], self._label(slot), self._shapes[slot], int(self._times[slot]))

    def _grow(self) -> None:
        capacity = max(_SMALLEST_CAPACITY, 2 * len(self._rows))
        for name in _COLUMNS:
            column = getattr(self, name)
            grown = np.empty((capacity, *column.shape[1:]), column.dtype)
            grown[: self._size] = column[: self._size]
            setattr(self, name, grown)
