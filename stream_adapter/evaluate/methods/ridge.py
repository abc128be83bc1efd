"""Ridge regression onto one-hot labels that is updated batch by batch: only sums are kept, no event."""

import numpy as np
from numpy.typing import NDArray


class StreamingRidge:
    """argmin_W Σ ‖h_i W − onehot(y_i)‖² + λ‖W‖², from G = Σ hᵀh and Q = Σ hᵀ onehot(y): W = (G + λI)⁻¹ Q.

    The inverse R = (G + λI)⁻¹ is carried along (Sherman, Morrison, Woodbury), which costs n M² a batch of n in place of
    a solve's M³: R ← R − R Hᵀ (I + H R Hᵀ)⁻¹ H R. In float64, because errors of R add up.

    Args:
        width: M, length of the features h.
        n_classes: C.
        penalty: λ.
    """

    def __init__(self, width: int, n_classes: int, penalty: float) -> None:
        self._gram = np.zeros((width, width))
        self._cross = np.zeros((width, n_classes))
        self._inverse = np.eye(width) / penalty  # R (M, M)
        self.weights: NDArray[np.float64] = np.zeros((width, n_classes))  # W (M, C)
        self.penalty = penalty
        self.events = 0

    def add(self, features: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """Take in features (n, M) of classes (n,)."""
        wide = features.astype(np.float64)
        self._gram += wide.T @ wide
        np.add.at(self._cross.T, classes, wide)
        self.events += len(classes)
        reached = self._inverse @ wide.T  # (M, n)
        self._inverse -= reached @ np.linalg.solve(np.eye(len(wide)) + wide @ reached, reached.T)
        self.weights = self._inverse @ self._cross

    def choose_penalty(
        self, grid: tuple[float, ...], features: NDArray[np.float32], classes: NDArray[np.int64]
    ) -> None:
        """Take the λ of the grid with the least squared error on events (n, M), (n,) that were not added yet."""
        wanted = np.eye(self._cross.shape[1])[classes]  # (n, C)
        identity = np.eye(len(self._gram))
        errors = []
        for penalty in grid:
            weights = np.linalg.solve(self._gram + penalty * identity, self._cross)
            errors.append(float(np.square(features @ weights - wanted).mean()))
        best = grid[int(np.argmin(errors))]
        if best != self.penalty:
            self.penalty = best
            self._inverse = np.asarray(np.linalg.inv(self._gram + best * identity), np.float64)
            self.weights = self._inverse @ self._cross
