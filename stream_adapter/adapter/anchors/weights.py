"""What each anchor adds to those near it: the weight by which it counts, and by which pruning ranks it.

A stream repeats itself: a thousand frames of one dog are hardly more evidence than one. An anchor, and likewise an
event of the traffic, therefore counts by

    w_i = 1 / Σ_j max(0, 1 − |P (z_i − z_j)|² / reach)            the sum with j = i, which adds 1

over the anchors j of its class. k copies of one picture share one weight, an anchor far from all others has 1. Cosines
cannot tell copies from pictures that are merely alike; P does: the directions in which the traffic varies most, and
`reach` is in units of the variance v within classes there (`Directions`). Deleting copies renews the survivors'
weights.

Weights are a function of the set of anchors and of the directions alone.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.records import Displaced
from stream_adapter.adapter.anchors.store import AnchorStore

NEARNESS = 0.3
"""τ: two events whose square distance is below τ·v, two anchors of one class below 2τ·v, say partly the same."""

# With more classes than that all anchors are sorted once, in place of a look through all for each class.
_FEW_CLASSES = 32
# Changes of weights that wait for whoever sums over anchors; more than that, and everything is summed anew.
_MOST_CHANGES = 65_536


class Directions(NamedTuple):
    """Where the traffic varies.

    Attributes:
        matrix: float32 (d, k), orthonormal columns, the leading directions of the traffic.
        variance: v, the variance within classes in these directions, summed over them.
        version: how many events had been seen when they were taken; larger ones replace smaller ones.
    """

    matrix: NDArray[np.float32]
    variance: float
    version: int


class WeightChanges(NamedTuple):
    """Anchors whose weight has changed: those that came or went included.

    Attributes:
        vectors: float32 (n, d); an anchor may be there more than once.
        classes: int64 (n,).
        changes: float64 (n,), weight now less weight before.
    """

    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    changes: NDArray[np.float64]


def closeness(one: NDArray[np.float32], others: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    """max(0, 1 − |y_i − y_j|² / reach): float32 (n, m), of projected vectors (n, k) and (m, k)."""
    unit = np.float32(1.0 / reach)
    near: NDArray[np.float32] = np.multiply(one, np.float32(2.0) * unit) @ others.T
    near += (np.float32(1.0) - unit * np.einsum("nk,nk->n", one, one))[:, None]
    near -= unit * np.einsum("mk,mk->m", others, others)
    np.clip(near, 0.0, 1.0, out=near)
    return near


class AnchorWeights:
    """Keeps the weights level with the store, by what each change of the store changes.

    The store's column `crowding` holds the sum in the formula above, `projected` what P makes of the vectors.

    Args:
        store: the anchors.
    """

    def __init__(self, store: AnchorStore) -> None:
        self._store = store
        self.directions: Directions | None = None
        self._log: list[WeightChanges] | None = None
        self._logged = 0

    @property
    def reach(self) -> float:
        """Square distance in the directions from which on two anchors say nothing of each other."""
        assert self.directions is not None
        return 2.0 * NEARNESS * self.directions.variance

    def set_directions(self, directions: Directions | None) -> None:
        """Weigh all anchors anew."""
        self.directions = directions
        store, self._log = self._store, None
        store.crowding[:] = 1.0
        width = 0 if directions is None else directions.matrix.shape[1]
        store.set_projected(np.zeros((len(store), width), np.float32))
        if directions is None:
            return
        store.projected[:] = store.vectors @ directions.matrix  # (n, d) @ (d, k) -> (n, k)
        order = np.argsort(store.classes, kind="stable")
        bounds = np.flatnonzero(np.diff(store.classes[order], prepend=-1, append=-1))
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            slots = order[start:end]
            projected = store.projected[slots]
            near = closeness(projected, projected, self.reach)  # (m, m)
            np.fill_diagonal(near, 1.0)
            store.crowding[slots] = near.sum(axis=1, dtype=np.float64)

    def set_classes(self, to: NDArray[np.int64]) -> None:
        """Classes have other numbers: int64 (C before,), which one each former one is now; none were merged."""
        if self._log is not None:
            self._log = [WeightChanges(vectors, to[classes], changes) for vectors, classes, changes in self._log]

    def update(self, gone: list[Displaced], new: NDArray[np.int64]) -> None:
        """Anchors have left the store and others, in slots int64 (n,), have come since weights were last level."""
        store = self._store
        self._leave(gone, new)
        store.crowding[new] = 1.0
        if self.directions is not None and new.size:
            store.projected[new] = store.vectors[new] @ self.directions.matrix
            for class_slots, older in self._beside(store.classes[new], new):
                self._crowd(new[class_slots], older)
        self._note(store.vectors[new], store.classes[new], 1.0 / store.crowding[new])

    def drain(self) -> WeightChanges | None:
        """All changes since this was last called; None where there are too many: whoever sums begins anew."""
        log, self._log, self._logged = self._log, [], 0
        if log is None:
            return None
        if not log:
            return WeightChanges(
                np.zeros((0, self._store.vectors.shape[1]), np.float32), np.zeros(0, np.int64), np.zeros(0)
            )
        return WeightChanges(*(np.concatenate(column) for column in zip(*log, strict=True)))

    def _leave(self, gone: list[Displaced], new: NDArray[np.int64]) -> None:
        if not gone:
            return
        classes = np.array([one.class_index for one in gone], np.int64)
        crowding = np.array([one.crowding for one in gone])
        self._note(np.stack([one.anchor.vector for one in gone]), classes, -1.0 / crowding)
        if self.directions is None:
            return
        projected = np.stack([one.projected for one in gone])  # (n, k)
        for of_class, older in self._beside(classes, new):
            near = closeness(projected[of_class], self._store.projected[older], self.reach)
            self._change(older, -near.sum(axis=0, dtype=np.float64))

    def _beside(
        self, classes: NDArray[np.int64], new: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """By class: which of classes (n,) are it, and the slots of its anchors that are not new (m,)."""
        store = self._store
        is_old = np.ones(len(store), np.bool_)
        is_old[new] = False
        order = np.argsort(classes, kind="stable")
        known, starts = np.unique(classes[order], return_index=True)
        groups = zip(known.tolist(), np.split(order, starts[1:]), strict=True)
        if len(known) < _FEW_CLASSES:
            for class_index, of_class in groups:
                members = store.members(class_index)
                yield of_class, members[is_old[members]]
            return
        old = np.flatnonzero(is_old)
        old = old[np.argsort(store.classes[old], kind="stable")]
        begins, ends = (np.searchsorted(store.classes[old], known, side) for side in ("left", "right"))
        for (_, of_class), begin, end in zip(groups, begins.tolist(), ends.tolist(), strict=True):
            yield of_class, old[begin:end]

    def _crowd(self, new: NDArray[np.int64], older: NDArray[np.int64]) -> None:
        """Count new anchors (n,) of one class among each other and among the older ones (m,)."""
        store = self._store
        among = closeness(store.projected[new], store.projected[new], self.reach)  # (n, n)
        np.fill_diagonal(among, 1.0)
        near = closeness(store.projected[new], store.projected[older], self.reach)  # (n, m)
        store.crowding[new] = among.sum(axis=1, dtype=np.float64) + near.sum(axis=1, dtype=np.float64)
        self._change(older, near.sum(axis=0, dtype=np.float64))

    def _change(self, slots: NDArray[np.int64], crowding: NDArray[np.float64]) -> None:
        slots, crowding = slots[crowding != 0.0], crowding[crowding != 0.0]
        before = 1.0 / self._store.crowding[slots]
        self._store.crowding[slots] = np.maximum(self._store.crowding[slots] + crowding, 1.0)
        changes = 1.0 / self._store.crowding[slots] - before
        self._note(self._store.vectors[slots], self._store.classes[slots], changes)

    def _note(self, vectors: NDArray[np.float32], classes: NDArray[np.int64], changes: NDArray[np.float64]) -> None:
        if self._log is None or not len(classes):
            return
        self._logged += len(classes)
        if self._logged > _MOST_CHANGES:
            self._log = None
            return
        self._log.append(WeightChanges(vectors.copy(), classes.copy(), changes))
