"""What the anchors say: weighted sums over them, kept level with every change."""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.anchors.weights import WeightChanges

# Vectors whose products are worked out together: of all that change between two refreshes it would be a long step.
_ROWS_AT_ONCE = 256


class AnchorSums:
    """Sums over weighted anchors, in float64, so that what was added can be taken away again.

    Attributes:
        count: float64 (C,), n_c = Σ w.
        sums: float64 (C, d), S_c = Σ w z.

    Args:
        n_classes: C.
        dimension: d.
    """

    def __init__(self, anchors: Anchors, n_classes: int, dimension: int) -> None:
        self._anchors = anchors
        self.count = np.zeros(n_classes)
        self.sums = np.zeros((n_classes, dimension))
        self.changes = 0
        self._moment = np.zeros((dimension, dimension))  # Σ w z zᵀ, but for what waits
        self._waiting: list[WeightChanges] = []

    def update(self) -> NDArray[np.int64]:
        """Take in what has changed; int64 (m,), the classes that it has changed for."""
        changes = self._anchors.drain_weight_changes()
        if changes is not None and not len(changes.classes):
            return np.zeros(0, np.int64)
        self.changes += 1
        if changes is None:
            return self._begin_anew()
        self._waiting.append(changes)
        if sum(len(waiting.classes) for waiting in self._waiting) >= _ROWS_AT_ONCE:
            self._take_in()
        touched = self._add(changes)
        gone = touched[self._anchors.counts[touched] == 0]
        self.count[gone], self.sums[gone] = 0.0, 0.0
        return touched

    def scatter(self) -> NDArray[np.float64]:
        """Σ w z zᵀ − Σ_c S_c S_cᵀ / n_c: float64 (d, d), the anchors' scatter within classes."""
        if self._waiting:
            self._take_in()
        labelled = self.count > 0
        return np.asarray(self._moment - _products(self.sums[labelled], 1.0 / self.count[labelled]))

    def set_classes(self, former: NDArray[np.int64]) -> None:
        """Go over to other classes: int64 (C,), which former one each is, −1 for new ones. Merged ones begin anew."""
        count, sums = np.zeros(len(former)), np.zeros((len(former), self.sums.shape[1]))
        count[former >= 0], sums[former >= 0] = self.count[former[former >= 0]], self.sums[former[former >= 0]]
        self.count, self.sums = count, sums

    def _begin_anew(self) -> NDArray[np.int64]:
        touched = np.flatnonzero((self.count > 0) | (self._anchors.counts > 0))
        self.count[:], self.sums[:], self._moment[:], self._waiting = 0.0, 0.0, 0.0, []
        weights, vectors, classes = self._anchors.weights, self._anchors.vectors, self._anchors.classes
        for start in range(0, len(weights), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            self._moment += _products(vectors[part], weights[part])
        order = np.argsort(classes, kind="stable")
        ends = np.union1d(np.flatnonzero(np.diff(classes[order])) + 1, np.arange(0, len(order) + 1, _ROWS_AT_ONCE))
        for slots in np.split(order, ends):
            if len(slots):
                self.count[classes[slots[0]]] += weights[slots].sum()
                self.sums[classes[slots[0]]] += weights[slots] @ vectors[slots].astype(np.float64)
        return touched

    def _take_in(self) -> None:
        vectors = np.concatenate([waiting.vectors for waiting in self._waiting])
        changes = np.concatenate([waiting.changes for waiting in self._waiting])
        more, less = changes > 0, changes < 0
        self._moment += _products(vectors[more], changes[more])
        self._moment -= _products(vectors[less], -changes[less])
        self._waiting = []

    def _add(self, changes: WeightChanges) -> NDArray[np.int64]:
        """Add up; int64 (m,), the classes."""
        order = np.argsort(changes.classes, kind="stable")
        classes = changes.classes[order]
        starts = np.flatnonzero(np.diff(classes, prepend=-1))
        weighted = changes.vectors[order] * changes.changes[order, None]  # float64 (n, d)
        self.sums[classes[starts]] += np.add.reduceat(weighted, starts, axis=0)
        self.count[classes[starts]] += np.add.reduceat(changes.changes[order], starts)
        return classes[starts]


def _products(vectors: NDArray[np.floating], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Σ w z zᵀ: float64 (d, d), of vectors (n, d) and weights (n,) that are not negative."""
    rooted = np.asarray(vectors * np.sqrt(weights)[:, None], np.float64)
    return np.asarray(rooted.T @ rooted)  # of an array with itself BLAS computes half
