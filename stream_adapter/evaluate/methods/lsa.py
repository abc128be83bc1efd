"""Label shift aware (LSA): CLIP's answers corrected by the class shares of the traffic, which need no labels.

    r_ic ∝ p0_ic π_c / c_c,   π_c = λ_n · mean_i r_ic + (1 − λ_n) / C       (expectation maximisation, 20 rounds)
    p_c ∝ p0_c π_c / c_c

with the source's shares c uniform, over a buffer of the zero-shot probabilities of the newest N = 2,000 events, and
λ_n = λ_0 · n/N growing with the n events in the buffer: at the beginning the uniform prior counts, later the traffic.

The full text of the paper was not at hand, only its abstract and a summary: expectation maximisation with a Dirichlet
prior and a λ that is annealed over the stream are from there, the correction is the one of label shift theory (Saerens,
Latinne, Decaestecker, Neural Computation 14, 2002). λ_0 = 0.9, N and the rounds are chosen here.

Reference: Han, Ye, Wang, Tong, Zhang, Li, Hong, Petersson, *Label Shift Aware Adaptation for Online Zero-shot Learning
with Contrastive Language-Image Pre-Training (CLIP)*, 2026, arXiv 2606.15169.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import (
    Batch,
    Lessons,
    Method,
    Probabilities,
    Task,
    shares,
    zero_shot_probabilities,
)

BUFFER = 2_000
ROUNDS = 20
LAMBDA = 0.9


class LabelShiftAware(Method):
    """Keeps N · C probabilities; learns from all traffic, and not from labels."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._beliefs = np.zeros((0, len(task.texts)), np.float32)

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """Corrected by the shares of the traffic, this batch included."""
        beliefs = zero_shot_probabilities(vectors, self._task)  # (B, C)
        return shares(beliefs * label_shares(self._with(beliefs)), beliefs)

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Remember the traffic."""
        self._beliefs = self._with(zero_shot_probabilities(batch.vectors, self._task))

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Nothing was learned from labels."""

    def _with(self, beliefs: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.concatenate([self._beliefs, beliefs])[-BUFFER:]


def label_shares(beliefs: NDArray[np.float32]) -> NDArray[np.float64]:
    """π: float64 (C,), estimated from zero-shot probabilities (n, C)."""
    events, classes = beliefs.shape
    prior = np.full(classes, 1.0 / classes)
    trust = LAMBDA * events / BUFFER
    found = prior
    wide = beliefs.astype(np.float64)
    for _ in range(ROUNDS if events else 0):
        # Σ_i r_ic = π_c Σ_i p0_ic / (p0_i · π): two products instead of n × C responsibilities.
        responsible = found * ((1.0 / np.maximum(wide @ found, 1e-300)) @ wide)
        found = trust * responsible / events + (1.0 - trust) * prior
    return found
