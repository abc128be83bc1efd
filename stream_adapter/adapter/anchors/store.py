"""The store: every live anchor as arrays, the single truth from which index, weights and changelog can be rebuilt."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import (
    DIGEST_BYTES,
    Anchor,
    AnchorListing,
    Displaced,
    Origin,
    hash_of,
    member_of,
)
from stream_adapter.adapter.anchors.columns import AnchorColumns
from stream_adapter.adapter.anchors.ownership import key_of
from stream_adapter.errors import AnchorError

_DIGESTS = 1 << 8 * DIGEST_BYTES
_SMALLEST_CAPACITY = 64


class AnchorStore:
    """Anchors in dense arrays: slot i of every array is one anchor; a freed slot is filled by the last one.

    A slot may move, so the outside names anchors by their row id: int64, counting up, never used twice.

    Args:
        class_names: the vocabulary; anchors carry an index into it.
        dimension: d, the length of the vectors.
        capacity: anchors for which there is room from the beginning; memory that is not used costs nothing.

    Attributes: by slot, each a view that is good until the next change; the last three follow from the others.
        vectors: float32 (n, d).
        classes: int64 (n,), class indices.
        times: int64 (n,), event times in milliseconds.
        keys: uint64 (n,), a hash of each anchor's id: an order that all workers agree on.
        rows: int64 (n,), row ids.
        ids: anchor ids.
        origins: where the anchors come from.
        crowding: float64 (n,), 1 / weight, see `weights.py`.
        placed: float64 (n, k + 2), the vectors in the directions of `weights.py`.
        doubt: float32 (n,), of the untouched model, see `pruning.py`; NaN where not known yet.
    """

    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    times: NDArray[np.int64]
    keys: NDArray[np.uint64]
    rows: NDArray[np.int64]
    crowding: NDArray[np.float64]
    placed: NDArray[np.float64]
    doubt: NDArray[np.float32]

    def __init__(self, class_names: Sequence[str], dimension: int, capacity: int = _SMALLEST_CAPACITY) -> None:
        self.class_names = tuple(class_names)
        self._class_index = {name: index for index, name in enumerate(self.class_names)}
        self._next_row = 0
        self._columns: dict[str, NDArray[Any]] = {
            "vectors": np.empty((capacity, dimension), np.float32),
            "classes": np.empty(capacity, np.int64),
            "times": np.empty(capacity, np.int64),
            "keys": np.empty(capacity, np.uint64),
            "rows": np.empty(capacity, np.int64),
            "crowding": np.empty(capacity, np.float64),
            "placed": np.empty((capacity, 0)),
            "doubt": np.empty(capacity, np.float32),
            "_place": np.empty(capacity, np.int64),  # among the members of its class
        }
        self.ids: list[str] = []
        self.origins: list[Origin] = []
        self._shapes: list[bytes] = []  # digest of the float16 vector
        self._slot_of_row: dict[int, int] = {}
        self._row_of_id: dict[str, int] = {}
        self._rows_of_shape: dict[bytes, list[int]] = {}
        self._members: dict[int, NDArray[np.int64]] = {}  # slots by class, with room for more
        self._counts = np.zeros(len(self.class_names), np.int64)
        self._digest = 0
        self._view(0)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, anchor_id: object) -> bool:
        return anchor_id in self._row_of_id

    def rename(self, class_names: Sequence[str], renamed: Mapping[str, str]) -> NDArray[np.int64]:
        """Go over to another vocabulary that has the classes of all anchors, some of them under another name.

        Returns:
            Int64 (C before,): which class each former one is now; 0 for those without anchors.

        Raises:
            KeyError: an anchor's class is not in it.
        """
        index = {name: number for number, name in enumerate(class_names)}
        used = np.flatnonzero(self._counts)
        to = np.zeros(len(self.class_names), np.int64)
        to[used] = [index[renamed.get(self.class_names[number], self.class_names[number])] for number in used]
        self.class_names, self._class_index = tuple(class_names), index
        if np.array_equal(to[used], used):  # as where classes were only added
            counts = np.zeros(len(class_names), np.int64)
            counts[used] = self._counts[used]
            self._counts = counts
        else:
            self.classes[:] = to[self.classes]
            self._group()
        if renamed:
            self._digest = self._sum()
        return to

    def set_placed(self, placed: NDArray[np.float64]) -> None:
        """Take over vectors in other directions: float64 (n, k + 2)."""
        self._columns["placed"] = np.zeros((len(self._columns["rows"]), placed.shape[1]))
        self._columns["placed"][: len(self)] = placed
        self._view(len(self))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Int64 (C,), anchors per class; a copy."""
        return self._counts.copy()

    @property
    def digest(self) -> str:
        """Hex digest of the set of (id, label, float16 vector, time); the order of arrival does not matter."""
        return self._digest.to_bytes(DIGEST_BYTES, "big").hex()

    def is_new(self, anchors: Sequence[Anchor], shapes: Sequence[bytes]) -> bool:
        """Whether all of these are of ids and vectors that are not there and not twice among them."""
        ids = {anchor.anchor_id for anchor in anchors}
        return (
            len(ids) == len(set(shapes)) == len(anchors)
            and ids.isdisjoint(self._row_of_id)
            and self._rows_of_shape.keys().isdisjoint(shapes)
        )

    def of_shape(self, shape: bytes) -> list[Anchor]:
        """The anchors with this float16 vector, by its `hash_of`."""
        return [self.anchor(self._slot_of_row[row]) for row in self._rows_of_shape.get(shape, ())]

    def shape_of(self, anchor_id: str) -> bytes:
        """`hash_of` a live anchor's float16 vector."""
        return self._shapes[self._slot_of_row[self._row_of_id[anchor_id]]]

    def extend(self, anchors: Sequence[Anchor], stored: NDArray[np.float32], shapes: Sequence[bytes]) -> range:
        """Take in n anchors of ids that are not there; returns their row ids. `offering.py` has the rules.

        `stored`, float32 (n, d), is from `as_stored`, `shapes` are `hash_of` their float16 forms.
        """
        rows = range(self._next_row, self._next_row + len(anchors))
        self._fill(AnchorColumns.of(anchors, stored), stored, shapes, rows)
        return rows

    def get(self, anchor_id: str) -> Anchor | None:
        """The anchor of this id, None where there is none."""
        row = self._row_of_id.get(anchor_id)
        return None if row is None else self.anchor(self._slot_of_row[row])

    def take_out(self, anchor_id: str) -> Displaced:
        """Delete one anchor.

        Raises:
            AnchorError: there is no anchor of this id.
        """
        row = self._row_of_id.pop(anchor_id, None)
        if row is None:
            raise AnchorError(f"there is no anchor {anchor_id!r}")
        slot = self._slot_of_row.pop(row)
        class_index = int(self.classes[slot])
        gone = Displaced(row, self.anchor(slot), class_index, float(self.crowding[slot]), self.placed[slot].copy())
        self._digest = (self._digest - self._member(slot)) % _DIGESTS
        alike = self._rows_of_shape[self._shapes[slot]]
        alike.remove(row)
        if not alike:
            del self._rows_of_shape[self._shapes[slot]]
        self._counts[class_index] -= 1
        members, last = self._members[class_index], self._counts[class_index]
        place = self._columns["_place"]
        members[place[slot]] = members[last]
        place[members[last]] = place[slot]

        last = len(self) - 1
        if slot != last:
            for column in self._columns.values():
                column[slot] = column[last]
            self._slot_of_row[int(self.rows[slot])] = slot
            self._members[int(self.classes[slot])][place[slot]] = slot
        self.ids[slot], self.origins[slot], self._shapes[slot] = self.ids[last], self.origins[last], self._shapes[last]
        del self.ids[last], self.origins[last], self._shapes[last]
        self._view(last)
        return gone

    def listing(self) -> AnchorListing:
        """All anchors without their vectors, by slot: a copy that any thread may read. About 3 ms for 100,000."""
        return AnchorListing(tuple(self.ids), self.classes.copy(), self.times.copy(), tuple(self.origins))

    def members(self, class_index: int) -> NDArray[np.int64]:
        """Int64 (m,), the slots of one class's anchors, in no order; a view."""
        count = self._counts[class_index]
        return self._members[class_index][:count] if count else np.zeros(0, np.int64)

    def slots_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Int64, shaped as `rows`: their slots now; -1 where a row id is not live."""
        slots = [self._slot_of_row.get(row, -1) for row in rows.ravel().tolist()]
        return np.array(slots, np.int64).reshape(rows.shape)

    def ids_at(self, slots: NDArray[np.int64]) -> NDArray[np.object_]:
        """Object, shaped as `slots`: their anchor ids; None where a slot is −1."""
        ids = np.full(slots.shape, None, np.object_)
        ids.ravel()[:] = [self.ids[slot] if slot >= 0 else None for slot in slots.ravel().tolist()]
        return ids

    def classes_at(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Int64, shaped as `slots`: their class indices; −1 where a slot is −1."""
        classes = np.full(slots.shape, -1, np.int64)
        classes[slots >= 0] = self.classes[slots[slots >= 0]]
        return classes

    def id_of(self, row: int) -> str:
        """The id of a live anchor, by its row id."""
        return self.ids[self._slot_of_row[row]]

    def anchor(self, slot: int) -> Anchor:
        """The anchor in a slot, with a copy of its stored vector."""
        return Anchor(
            self.ids[slot], self.vectors[slot].copy(), self._label(slot), int(self.times[slot]), self.origins[slot]
        )

    def __iter__(self) -> Iterator[Anchor]:
        for anchor_id in sorted(self._row_of_id):
            yield self.anchor(self._slot_of_row[self._row_of_id[anchor_id]])

    def take_over(self, other: "AnchorStore") -> None:
        """Hold what another store holds, which nobody uses from then on, in place of what is here."""
        vars(self).update(vars(other))

    @classmethod
    def of(
        cls,
        class_names: Sequence[str],
        columns: AnchorColumns,
        vectors: NDArray[np.float32],
        rows: NDArray[np.int64],
        capacity: int = 0,
    ) -> "AnchorStore":
        """The store that these columns came from, with its vectors (n, d) as they were stored, and its row ids (n,).

        Raises:
            KeyError: an anchor's class is not in the vocabulary.
        """
        store = cls(class_names, vectors.shape[1], max(capacity, len(rows)))
        store._fill(columns, vectors, [hash_of(half.tobytes()) for half in columns.vectors], rows.tolist())
        return store

    def _label(self, slot: int) -> str:
        return self.class_names[int(self.classes[slot])]

    def _fill(
        self, columns: AnchorColumns, stored: NDArray[np.float32], shapes: Sequence[bytes], rows: Sequence[int]
    ) -> None:
        start, end = len(self), len(self) + len(rows)
        self._reserve(end)
        classes = np.array([self._class_index[label] for label in columns.labels], np.int64)
        keys = np.array([key_of(anchor_id) for anchor_id in columns.ids], np.uint64)
        values = (stored, classes, columns.times, keys, rows, 1.0, 0.0, np.nan, 0)
        for column, value in zip(self._columns.values(), values, strict=True):
            column[start:end] = value
        self.ids += columns.ids
        self.origins += columns.origins
        self._shapes += shapes
        self._view(end)
        self._join(classes, np.arange(start, end))
        self._slot_of_row.update(zip(rows, range(start, end), strict=True))
        self._row_of_id.update(zip(columns.ids, rows, strict=True))
        for shape, row in zip(shapes, rows, strict=True):
            self._rows_of_shape.setdefault(shape, []).append(row)
        self._next_row = max(self._next_row, max(rows, default=-1) + 1)
        self._digest = (self._digest + self._sum(start)) % _DIGESTS

    def _reserve(self, size: int) -> None:
        """Make room for so many anchors."""
        capacity = len(self._columns["rows"])
        if size <= capacity:
            return
        for name, column in self._columns.items():
            grown = np.empty((max(_SMALLEST_CAPACITY, 2 * capacity, size), *column.shape[1:]), column.dtype)
            grown[: len(self)] = column[: len(self)]
            self._columns[name] = grown

    def _join(self, classes: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        """These anchors (n,) are members of their classes (n,) from now on."""
        order = np.argsort(classes, kind="stable")
        bounds = np.flatnonzero(np.diff(classes[order], prepend=-1, append=-1)).tolist()
        for start, end in pairwise(bounds):
            joining = slots[order[start:end]]
            class_index = int(classes[order[start]])
            first, after = int(self._counts[class_index]), int(self._counts[class_index]) + end - start
            members = self._members.get(class_index, joining[:0])
            if after > len(members):
                members = np.concatenate([members[:first], joining, np.empty(after, np.int64)])
                self._members[class_index] = members
            members[first:after] = joining
            self._columns["_place"][joining] = np.arange(first, after)
            self._counts[class_index] = after

    def _view(self, size: int) -> None:
        """Let the views be of so many anchors."""
        for name, column in self._columns.items():
            setattr(self, name, column[:size])

    def _group(self) -> None:
        """Find out from `classes` who the members of each are."""
        self._counts, self._members = np.zeros(len(self.class_names), np.int64), {}
        self._join(self.classes, np.arange(len(self)))

    def _sum(self, start: int = 0) -> int:
        return sum(map(self._member, range(start, len(self)))) % _DIGESTS

    def _member(self, slot: int) -> int:
        return member_of(self.ids[slot], self._label(slot), self._shapes[slot], int(self.times[slot]))
