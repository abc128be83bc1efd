"""Tip-Adapter, training-free: a key-value cache of the labelled vectors added to the zero-shot logits.

    logits = τ · z·t_c + α · Σ_j exp(−β (1 − z·a_j)) [y_j = c]

Published defaults α = 1, β = 5.5.

Reference: Zhang et al., *Tip-Adapter: Training-free Adaption of CLIP for Few-shot Classification*, ECCV 2022,
arXiv 2207.09519.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import KeepsLabels, Probabilities, softmax

ALPHA = 1.0
BETA = 5.5


class TipAdapter(KeepsLabels):
    """Keeps every labelled vector; a prediction costs O(n)."""

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """Zero-shot logits plus the cache's."""
        affinity = np.exp(-BETA * (1.0 - vectors @ self._memory.vectors.T))  # (B, n)
        cache = affinity @ self._memory.one_hot(len(self._task.texts))  # (B, C)
        return softmax(self._task.scale * vectors @ self._task.texts.T + ALPHA * cache)
