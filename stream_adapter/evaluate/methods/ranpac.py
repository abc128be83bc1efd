"""RanPAC: a random projection with ReLU, then ridge regression on sums over the stream. Zero-shot before any label.

    h = max(0, z W_rand), W_rand ~ N(0, 1);  W = (HᵀH + λI)⁻¹ HᵀY;  scores = h W

λ is the one of a grid that predicts events best which were not learned from, in squared error, as published. There it
is chosen once per task on a fifth of the task's data; a stream has no tasks, so it is 1 for the first 32 labels and is
chosen again whenever their number has grown fourfold, on the labels that are about to be learned. M is 2,000 where the
paper has 10,000: a solve costs M³. Scores are made probabilities by clipping at zero and dividing by the sum; the
published method has no answer for a class without labels.

Reference: McDonnell, Gong, Parvaneh, Abbasnejad, van den Hengel, *RanPAC: Random Projections and Pre-trained Models for
Continual Learning*, NeurIPS 2023, arXiv 2307.02251.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.draws import generator
from stream_adapter.evaluate.methods.base import LabelsOnly, Probabilities, Task, shares, zero_shot_probabilities
from stream_adapter.evaluate.methods.ridge import StreamingRidge

WIDTH = 2_000
# The published grid is 1e-8 … 1e8; it is cut at both ends because every candidate costs a solve.
GRID = tuple(10.0**exponent for exponent in range(-1, 6))


class RanPac(LabelsOnly):
    """Keeps M² + M·C sums, whatever the length of the stream."""

    def __init__(self, task: Task) -> None:
        classes, dimension = task.texts.shape
        self._task = task
        self._projection = generator(task.seed, "ranpac").standard_normal((dimension, WIDTH), np.float32)  # (d, M)
        self._ridge = StreamingRidge(WIDTH, classes, penalty=1.0)
        self._choose_at = 32

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """The ridge's scores as shares."""
        zero_shot = zero_shot_probabilities(vectors, self._task)
        if not self._ridge.events:
            return zero_shot
        return shares(self._features(vectors) @ self._ridge.weights, zero_shot)

    def learn(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """Choose λ where it is time, then add to the sums."""
        features = self._features(vectors)  # (n, M)
        if self._ridge.events >= self._choose_at:
            self._choose_at = 4 * self._ridge.events
            self._ridge.choose_penalty(GRID, features, classes)
        self._ridge.add(features, classes)

    def _features(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(np.maximum(vectors @ self._projection, 0.0))
