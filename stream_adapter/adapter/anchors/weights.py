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

from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Displaced
from stream_adapter.adapter.anchors.store import AnchorStore

NEARNESS = 0.3
"""τ: two events whose square distance is below τ·v, two anchors of one class below 2τ·v, say partly the same."""

# Changes of weights that wait for whoever sums over anchors; more than that, and everything is summed anew.
_MOST_CHANGES = 65_536
_ROWS_AT_ONCE = 1_024

F = TypeVar("F", np.float32, np.float64)


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


def placed(vectors: NDArray[F], directions: Directions, nearness: float) -> NDArray[F]:
    """Vectors (n, d) in the directions, as `closeness` wants them: (n, k + 2).

    With y = P z / √(`nearness` · v) they are (y, |y|², 1): one product makes square distances of them.
    """
    y = vectors @ (directions.matrix * np.float32(1.0 / np.sqrt(nearness * directions.variance)))
    return np.hstack([y, np.einsum("nk,nk->n", y, y)[:, None], np.ones((len(y), 1), y.dtype)])


def closeness(one: NDArray[F], others: NDArray[F]) -> NDArray[F]:
    """max(0, 1 − |y_i − y_j|²): (n, m), of vectors that are `placed`, (n, k + 2) and (m, k + 2)."""
    left = np.float32(2.0) * one
    left[:, -2], left[:, -1] = -1.0, 1.0 - one[:, -2]
    near = left @ others.T
    return np.maximum(near, 0.0, out=near)


class AnchorWeights:
    """Keeps the weights level with the store, by what each change of the store changes.

    The store's column `crowding` holds the sum in the formula above, `placed` what P makes of the vectors. Where most
    are new, or all are to be weighed anew, both wait until somebody asks for them: many anchors come in many portions.
    """

    def __init__(self, store: AnchorStore) -> None:
        self._store = store
        self.directions: Directions | None = None
        self._log: list[WeightChanges] | None = None
        self._logged = 0
        self._is_level = True

    def set_directions(self, directions: Directions | None) -> None:
        """Weigh all anchors anew."""
        self.directions, self._log, self._is_level = directions, None, False

    def level(self) -> None:
        """Weigh all anchors, where that waits: for whoever reads the store's columns."""
        if self._is_level:
            return
        store, self._is_level = self._store, True
        store.crowding[:] = 1.0
        if self.directions is None:
            store.set_placed(np.zeros((len(store), 0)))
            return
        starts = range(0, max(1, len(store)), _ROWS_AT_ONCE)
        store.set_placed(np.concatenate([self._placed(store.vectors[at : at + _ROWS_AT_ONCE]) for at in starts]))
        for class_index in np.flatnonzero(store.counts).tolist():
            slots = store.members(class_index)
            of_class = store.placed[slots]
            for start in range(0, len(slots), _ROWS_AT_ONCE):
                part = slice(start, start + _ROWS_AT_ONCE)
                near = closeness(of_class[part], of_class)
                store.crowding[slots[part]] = _rounded(near.sum(axis=1))

    def set_classes(self, to: NDArray[np.int64]) -> None:
        """Classes have other numbers: int64 (C before,), which one each former one is now; none were merged."""
        if self._log is not None:
            self._log = [WeightChanges(vectors, to[classes], changes) for vectors, classes, changes in self._log]

    def update(self, gone: list[Displaced], new: NDArray[np.int64]) -> None:
        """Anchors have left the store and others, in slots int64 (n,), have come since weights were last level."""
        store = self._store
        if not self._is_level or 2 * len(new) > len(store):
            self._log, self._is_level = None, False
            return
        if gone:
            crowding = np.array([one.crowding for one in gone])
            self._note(np.stack([one.anchor.vector for one in gone]), _classes_of(gone), -1.0 / crowding)
        if not new.size and (self.directions is None or not gone):
            return
        slots, changes = new, np.ones(len(new))
        if self.directions is None:
            store.crowding[new] = 1.0
        else:
            store.placed[new] = self._placed(store.vectors[new])
            slots, changes = self._crowd(gone, new)
        self._note(store.vectors[slots], store.classes[slots], changes)

    def drain(self) -> WeightChanges | None:
        """All changes since this was last called; None where there are too many: whoever sums begins anew."""
        self.level()
        log, self._log, self._logged = self._log, [], 0
        if log is None:
            return None
        if not log:
            return WeightChanges(
                np.zeros((0, self._store.vectors.shape[1]), np.float32), np.zeros(0, np.int64), np.zeros(0)
            )
        return WeightChanges(*(np.concatenate(column) for column in zip(*log, strict=True)))

    def _crowd(self, gone: list[Displaced], new: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Let anchors that came and went count beside those of their class.

        Returns:
            Slots whose weight has changed, and by how much; a new anchor had none before.
        """
        store = self._store
        store.crowding[new] = np.inf
        classes = np.concatenate([_classes_of(gone), store.classes[new]])
        rows = np.concatenate([*(one.placed[None] for one in gone), store.placed[new]])
        signs = np.repeat([-1.0, 1.0], [len(gone), len(new)])
        slots = np.concatenate([np.full(len(gone), -1), new])
        order = np.argsort(classes, kind="stable")
        bounds = np.flatnonzero(np.diff(classes[order], prepend=-1, append=-1)).tolist()
        changed, changes = [], []
        for start, end in pairwise(bounds):
            of_class = order[start:end]
            members = store.members(int(classes[of_class[0]]))
            near = closeness(rows[of_class], store.placed[members])
            came = slots[of_class] >= 0
            before = store.crowding[members]
            now = before + signs[of_class] @ near
            now[~np.isfinite(before)] = 0.0
            store.crowding[members] = now
            store.crowding[slots[of_class[came]]] = near[came].sum(axis=1)
            now = store.crowding[members] = _rounded(store.crowding[members])
            different = np.flatnonzero(now != before)
            changed.append(members[different])
            changes.append(1.0 / now[different] - 1.0 / before[different])
        return np.concatenate(changed), np.concatenate(changes)

    def _placed(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """In float64: small differences of large squares must come out alike, whatever came and went in between."""
        assert self.directions is not None
        return placed(vectors.astype(np.float64), self.directions, 2.0 * NEARNESS)

    def _note(self, vectors: NDArray[np.float32], classes: NDArray[np.int64], changes: NDArray[np.float64]) -> None:
        if self._log is None or not len(classes):
            return
        self._logged += len(classes)
        if self._logged > _MOST_CHANGES:
            self._log = None
            return
        self._log.append(WeightChanges(vectors, classes, changes))


def _rounded(crowding: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without what is left of large squares: where no two are near each other, weights add up to a whole number.

    There are bounds at whole numbers, and they may not depend on the order in which anchors came.
    """
    return np.maximum(np.round(crowding, 9), 1.0)


def _classes_of(gone: list[Displaced]) -> NDArray[np.int64]:
    return np.array([one.class_index for one in gone], np.int64)
