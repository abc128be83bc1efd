"""StatA: for each batch a mixture of Gaussians over its vectors, whose statistics are anchored at the text vectors.

For each batch on its own, as the published online setting does, ten rounds of:

    z_i ∝ p0_i · exp((log N(v_i; μ_c, Σ_c) + (50 / 2k) Σ_j w_ij z_jc) / 50)     five times; Σ diagonal
    β_c = n_c / (n_c + α),   n_c events whose most probable class is c
    μ_c = norm(β_c norm(Σ_i z_ic v_i / Σ_i z_ic) + (1 − β_c) t_c)
    Σ_c = β_c Σ_i z_ic (v_i − μ_c)² / Σ_i z_ic + (1 − β_c) (Σ_0 + (t_c − μ_c)²)

w_ij is the cosine of v_i with its k nearest others in the batch, Σ_0 the batch's spread around the text vectors. The
affinities are symmetrised (W + Wᵀ). Published defaults: α = 1, k = 3, weight of the affinities 1.

Reference: Zanella, Fuchs, De Vleeschouwer, Ben Ayed, *Realistic Test-Time Adaptation of Vision-Language Models*,
CVPR 2025, arXiv 2501.03729.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import Batch, Lessons, Method, Probabilities, Task, zero_shot_probabilities

ALPHA = 1.0
NEIGHBOURS = 3
ROUNDS = 10
INNER_ROUNDS = 5
TEMPERATURE = 50.0

_TINY = 1e-12

Wide = NDArray[np.float64]


class StatA(Method):
    """Remembers nothing between batches: its knowledge of a batch is the batch."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """The mixture's responsibilities."""
        if not len(vectors):
            return zero_shot_probabilities(vectors, self._task)
        points = vectors.astype(np.float64)  # (B, d)
        texts = self._task.texts.astype(np.float64)  # (C, d)
        prior = zero_shot_probabilities(vectors, self._task).astype(np.float64)  # (B, C)
        affinity = _affinity(points)  # (B, B)
        start = _spread(points, texts, prior).sum(axis=0) / len(points)  # (d,)
        belief, means, variances = prior, texts, np.tile(start, (len(texts), 1))
        for _ in range(ROUNDS):
            belief = _responsibilities(points, prior, belief, affinity, means, variances)
            counts = np.bincount(belief.argmax(axis=1), minlength=len(texts))  # (C,)
            trust = (counts / (counts + ALPHA))[:, None]  # (C, 1)
            mass = np.maximum(belief.sum(axis=0), _TINY)[:, None]  # (C, 1)
            means = _unit(trust * _unit(belief.T @ points / mass) + (1.0 - trust) * texts)
            own = _spread(points, means, belief) / mass
            variances = trust * own + (1.0 - trust) * (start + np.square(texts - means))
        return _responsibilities(points, prior, belief, affinity, means, variances).astype(np.float32)

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Leave traffic and labels aside."""

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Nothing was learned from labels."""


def _affinity(points: Wide) -> Wide:
    """W + Wᵀ: (B, B), W the cosines of each point with its nearest others."""
    cosines = points @ points.T
    np.fill_diagonal(cosines, -np.inf)
    k = min(NEIGHBOURS, len(points) - 1)
    nearest = np.argpartition(-cosines, max(k - 1, 0), axis=1)[:, :k]  # (B, k)
    kept = np.zeros_like(cosines)
    np.put_along_axis(kept, nearest, np.take_along_axis(cosines, nearest, axis=1), axis=1)
    return kept + kept.T


def _responsibilities(points: Wide, prior: Wide, belief: Wide, affinity: Wide, means: Wide, variances: Wide) -> Wide:
    """z: (B, C)."""
    precisions = 1.0 / np.maximum(variances, _TINY)  # (C, d)
    # Σ (v − μ)² / σ² by three products instead of a (B, C, d) array.
    square = np.square(points) @ precisions.T - 2.0 * points @ (means * precisions).T
    square += (np.square(means) * precisions).sum(axis=1)
    likelihood = -0.5 * square - 0.5 * np.log(np.maximum(variances, _TINY)).sum(axis=1)  # (B, C)
    for _ in range(INNER_ROUNDS):
        logits = likelihood + TEMPERATURE / (2 * NEIGHBOURS) * (affinity @ belief)
        logits -= logits.max(axis=1, keepdims=True)
        weighted = prior * np.exp(logits / TEMPERATURE)
        belief = weighted / np.maximum(weighted.sum(axis=1, keepdims=True), _TINY)
    return belief


def _spread(points: Wide, means: Wide, belief: Wide) -> Wide:
    """Σ_i z_ic (v_i − μ_c)²: (C, d)."""
    around = belief.T @ np.square(points) - 2.0 * means * (belief.T @ points)
    return np.asarray(np.maximum(around + np.square(means) * belief.sum(axis=0)[:, None], 0.0))


def _unit(rows: Wide) -> Wide:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), _TINY))
