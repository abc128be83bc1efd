"""Nearest labelled neighbours: their classes vote, weighted by similarity. Zero-shot before the first label.

    p_c ∝ Σ_{j in the k nearest} exp(z·a_j / T) [y_j = c]

k = 16, T = 0.07 (the reference's temperature; its k of 200 is for a million vectors).

Reference: Wu, Xiong, Yu, Lin, *Unsupervised Feature Learning via Non-Parametric Instance Discrimination*, CVPR 2018,
arXiv 1805.01978.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import KeepsLabels, Probabilities, zero_shot_probabilities

NEIGHBOURS = 16
TEMPERATURE = 0.07


class NearestNeighbours(KeepsLabels):
    """Keeps every labelled vector; a prediction costs O(n)."""

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """The weighted vote."""
        if not len(self._memory):
            return zero_shot_probabilities(vectors, self._task)
        cosines = vectors @ self._memory.vectors.T  # (B, n)
        k = min(NEIGHBOURS, len(self._memory))
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]  # (B, k)
        weights = np.exp((np.take_along_axis(cosines, nearest, axis=1) - 1.0) / TEMPERATURE)  # (B, k)
        votes = np.zeros((len(vectors), len(self._task.texts)))
        np.add.at(votes, (np.arange(len(vectors))[:, None], self._memory.classes[nearest]), weights)
        return np.asarray(votes / votes.sum(axis=1, keepdims=True), np.float32)
