"""ProKeR: kernel ridge regression on what zero-shot leaves over, in the kernel's Hilbert space around zero-shot.

    f(z) = z·t + k_z (K/λ + I)⁻¹ (Y − A Tᵀ),   k(z, a) = exp(−β (1 − z·a)),   p = softmax(τ f)

A are the labelled vectors, Y their one-hot labels, T the text vectors. β = 1.7, λ = 0.1, the published values for 16
shots, where the method chooses them on a validation set if there is one. All classes are regressed on, also those
without labels: in the paper every class has shots. A prediction costs O(n), a solve O(n³).

Reference: Bendou, Ouasfi, Gripon, Boukhayma, *ProKeR: A Kernel Perspective on Few-Shot Adaptation of Large
Vision-Language Models*, CVPR 2025, arXiv 2501.11175.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import Batch, KeepsLabels, Lessons, Probabilities, Task, softmax

BETA = 1.7
LAMBDA = 0.1


class KernelRidge(KeepsLabels):
    """Keeps every labelled vector."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._dual: NDArray[np.float32] | None = None

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """Zero-shot cosines plus the regression's."""
        cosines = vectors @ self._task.texts.T  # (B, C)
        anchors = self._memory.vectors  # (n, d)
        if len(anchors):
            if self._dual is None:
                left_over = self._memory.one_hot(len(self._task.texts)) - anchors @ self._task.texts.T  # (n, C)
                system = _kernel(anchors, anchors) / LAMBDA + np.eye(len(anchors), dtype=np.float32)
                self._dual = np.linalg.solve(system, left_over)  # (n, C)
            cosines = cosines + _kernel(vectors, anchors) @ self._dual
        return softmax(self._task.scale * cosines)

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Remember the labels; the next prediction solves again."""
        super().update(batch, lessons)
        if len(lessons.classes):
            self._dual = None

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Drop them from memory; the next prediction solves again."""
        super().forget(ids)
        self._dual = None


def _kernel(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.exp(-BETA * (1.0 - first @ second.T)))
