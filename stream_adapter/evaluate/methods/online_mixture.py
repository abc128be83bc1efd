"""A Gaussian mixture over all traffic, one class a component, estimated online; labels are hard assignments.

    p_c ∝ p0_c · exp(z·Σ⁻¹μ_c − ½ μ_c·Σ⁻¹μ_c)
    μ_c = (m + t_c − t̄ + Σ_i r_ic z_i) / (1 + Σ_i r_ic),   Σ = Σ_ic r_ic (z_i − μ_c)(z_i − μ_c)ᵀ / N + tr/d · I

r_i is the class of the event's label, else p when the event came, which stays as it was then; a label that comes later
takes its place. A class begins with one event's worth at the traffic's mean m, moved as its text is from all texts'
mean t̄; as much of a sphere as the covariance has itself keeps it invertible.

What differs from the published method: that has a covariance for each class, starts the means at the text vectors
themselves, adds the discriminant with a weight that grows over the stream, and knows no labels.

Reference: Han, Yang, Wang, Li, Xu, Shou, Zhang, *DOTA: Distributional Test-Time Adaptation of Vision-Language Models*,
NeurIPS 2025, arXiv 2409.19375.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import Batch, Lessons, Method, Probabilities, Task, softmax


class OnlineMixture(Method):
    """Keeps C means, one covariance, and what each event without a label was taken for."""

    def __init__(self, task: Task) -> None:
        classes, dimension = task.texts.shape
        self._task = task
        self._offsets = task.texts.astype(np.float64) - task.texts.mean(axis=0, dtype=np.float64)  # (C, d)
        self._counts, self._sums = np.zeros(classes), np.zeros((classes, dimension))
        self._products = np.zeros((dimension, dimension))  # Σ z zᵀ
        self._beliefs: dict[int, Probabilities] = {}  # by event; (C,)
        self._weights: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """Zero-shot times the mixture's likelihoods."""
        logits = self._task.scale * vectors @ self._task.texts.T  # (B, C)
        if self._counts.sum() < 1.0:
            return softmax(logits)
        if self._weights is None:
            self._weights = self._discriminant()
        return softmax(logits + vectors @ self._weights[0].T - self._weights[1])

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Assign the batch by its posterior, then move what a label names to its class."""
        beliefs = self.predict(batch.vectors)
        self._assign(batch.vectors, beliefs)
        self._products += batch.vectors.T.astype(np.float64) @ batch.vectors
        self._beliefs.update(zip(batch.ids.tolist(), beliefs, strict=True))
        given = np.eye(len(self._counts), dtype=np.float32)[lessons.classes]  # (n, C)
        for row, id in enumerate(lessons.ids.tolist()):
            if (belief := self._beliefs.pop(id, None)) is not None:
                given[row] -= belief
            else:  # an event that never was traffic, as in few-shot
                self._products += np.outer(lessons.vectors[row], lessons.vectors[row])
        self._assign(lessons.vectors, given)
        self._weights = None

    def _assign(self, vectors: NDArray[np.float32], shares: NDArray[np.float32]) -> None:
        self._counts += shares.sum(axis=0)
        self._sums += shares.T.astype(np.float64) @ vectors

    def _discriminant(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Σ⁻¹μ (C, d) and ½ μ·Σ⁻¹μ (C,)."""
        events, dimension = self._counts.sum(), len(self._products)
        means = self._sums.sum(axis=0) / events + self._offsets
        means = (means + self._sums) / (1.0 + self._counts)[:, None]
        crossed = self._sums.T @ means
        spread = (self._products - crossed - crossed.T + (means.T * self._counts) @ means) / events  # (d, d)
        weights = np.linalg.solve(spread + np.trace(spread) / dimension * np.eye(dimension), means.T).T
        return weights, 0.5 * (weights * means).sum(axis=1)
