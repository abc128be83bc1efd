"""RAIL, primal form: ridge regression on random features, only where zero-shot says that the class is a learned one.

    h = max(0, z W_rand);  W = (HᵀH + λI)⁻¹ HᵀY
    p = p0                            where argmax p0 has no labels
    p = (1 − w) p0 + w · h W          elsewhere, over all classes

So what zero-shot takes for a class without labels is left alone. Defaults of the published code: w = 0.9, λ = 0.1,
W_rand uniform in ±1/√d with M = 15,000 columns. Here M = 2,000, because a solve costs M³, and λ is scaled by the same
factor, so that the expected kernel is the same.

Reference: Xu, Chen, Nie, Wang, Zhuang, Okumura, *Advancing Cross-domain Discriminability in Continual Learning of
Vision-Language Models*, NeurIPS 2024, arXiv 2406.18868.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.draws import generator
from stream_adapter.evaluate.methods.base import LabelsOnly, Probabilities, Task, shares, zero_shot_probabilities
from stream_adapter.evaluate.methods.ridge import StreamingRidge

WIDTH = 2_000
PENALTY = 0.1 * WIDTH / 15_000
FUSION = 0.9


class Rail(LabelsOnly):
    """Keeps M² + M·C sums, whatever the length of the stream."""

    def __init__(self, task: Task) -> None:
        classes, dimension = task.texts.shape
        self._task = task
        bound = dimension**-0.5
        drawn = generator(task.seed, "rail").uniform(-bound, bound, (dimension, WIDTH))
        self._projection = drawn.astype(np.float32)  # (d, M)
        self._ridge = StreamingRidge(WIDTH, classes, PENALTY)
        self._seen = np.zeros(classes, np.bool_)

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """Zero-shot where it says "not learned", mostly the ridge elsewhere."""
        zero_shot = zero_shot_probabilities(vectors, self._task)  # (B, C)
        learned = self._seen[zero_shot.argmax(axis=1)]  # (B,)
        if not learned.any():
            return zero_shot
        scores = np.maximum(vectors @ self._projection, 0.0) @ self._ridge.weights  # (B, C)
        fused = shares((1.0 - FUSION) * zero_shot + FUSION * scores, zero_shot)
        return np.where(learned[:, None], fused, zero_shot)

    def learn(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """Add to the sums."""
        self._ridge.add(np.maximum(vectors @ self._projection, 0.0), classes)
        self._seen[classes] = True
