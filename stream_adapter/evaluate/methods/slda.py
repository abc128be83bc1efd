"""Streaming linear discriminant analysis: running class means and one running covariance. Zero-shot before any label.

    Δ = n/(n + 1) (z − μ_y)(z − μ_y)ᵀ,  Σ ← (n Σ + Δ)/(n + 1),  μ_y ← μ_y + (z − μ_y)/(n_y + 1)
    Λ = ((1 − ε) Σ + ε I)⁻¹,  score_c = z·Λμ_c − ½ μ_c·Λμ_c,  p = softmax of the scores over the classes with labels

Published default ε = 1e-4. The published method has no answer for a class without labels, so its probability is 0.

Reference: Hayes, Kanan, *Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis*, CVPR Workshops
2020, arXiv 1909.01520.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import LabelsOnly, Probabilities, Task, softmax, zero_shot_probabilities

SHRINKAGE = 1e-4


class StreamingLda(LabelsOnly):
    """Keeps C means and one covariance, whatever the length of the stream."""

    def __init__(self, task: Task) -> None:
        classes, dimension = task.texts.shape
        self._task = task
        self._means = np.zeros((classes, dimension))
        self._counts = np.zeros(classes, np.int64)
        self._covariance = np.zeros((dimension, dimension))
        self._precision: NDArray[np.float64] | None = None

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """Softmax of the discriminant scores."""
        seen = self._counts > 0
        if not seen.any():
            return zero_shot_probabilities(vectors, self._task)
        if self._precision is None:
            shrunk = (1.0 - SHRINKAGE) * self._covariance + SHRINKAGE * np.eye(len(self._covariance))
            self._precision = np.asarray(np.linalg.inv(shrunk), np.float64)  # (d, d)
        weights = self._means[seen] @ self._precision  # (S, d)
        offsets = 0.5 * (weights * self._means[seen]).sum(axis=1)  # (S,)
        answer = np.zeros((len(vectors), len(seen)), np.float32)
        answer[:, seen] = softmax(vectors @ weights.T - offsets)
        return answer

    def learn(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """Update mean and covariance, one event after the other."""
        for vector, label in zip(vectors.astype(np.float64), classes.tolist(), strict=True):
            learned = int(self._counts.sum())
            off = vector - self._means[label]
            if self._counts[label]:  # the first of a class says nothing about how its events are spread
                self._covariance += (learned / (learned + 1) * np.outer(off, off) - self._covariance) / (learned + 1)
            else:
                self._covariance *= learned / (learned + 1)
            self._means[label] += off / (self._counts[label] + 1)
            self._counts[label] += 1
        self._precision = None
