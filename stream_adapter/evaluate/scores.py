"""How answers are judged: accuracy over a stream, and how far probabilities can be believed."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

# What a probability counts as at least in the negative log-likelihood: one certain mistake would make a mean infinite.
_LEAST_PROBABILITY = 1e-6

BINS = 15
"""Equal-width bins of the calibration error, as in Guo et al. 2017."""


@dataclass(frozen=True, eq=False, slots=True)
class Answers:
    """What was answered to N events, and how good that was; `nll` and `brier` are nan where there is no truth.

    Attributes:
        truth: int64 (N,), true classes; −1 where the vocabulary lacks the class, or the event is not scored.
        predicted: int64 (N,), the most probable class.
        confidence: float64 (N,), its probability.
        nll: float64 (N,), −ln of the true class's probability, which counts as at least 1e-6.
        brier: float64 (N,), Σ_c (p_c − [c is true])², 0..2 (Brier 1950).
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    nll: NDArray[np.float64]
    brier: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Answers":
        return Answers(self.truth[rows], self.predicted[rows], self.confidence[rows], self.nll[rows], self.brier[rows])

    @property
    def hits(self) -> NDArray[np.bool_]:
        """Bool (N,): whether the most probable class is the true one."""
        return np.equal(self.predicted, self.truth, dtype=np.bool_)


def judge(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> Answers:
    """Judge probabilities (B, C) against true classes (B,)."""
    wide = probabilities.astype(np.float64)
    predicted = probabilities.argmax(axis=1)  # (B,)
    rows = np.arange(len(truth))
    of_truth = np.where(truth < 0, np.nan, wide[rows, truth])  # (B,)
    return Answers(
        truth=truth,
        predicted=predicted,
        confidence=wide[rows, predicted],
        nll=-np.log(np.maximum(of_truth, _LEAST_PROBABILITY)),
        brier=np.square(wide).sum(axis=1) - 2.0 * of_truth + 1.0,
    )


def joined(parts: list[Answers]) -> Answers:
    """Several batches' answers as one; needs at least one part."""
    return Answers(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Answers)))


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of a reliability diagram: events whose confidence is in it, their mean confidence and accuracy."""

    events: int
    confidence: float
    accuracy: float


def reliability(answers: Answers) -> list[Bin]:
    """The `BINS` bins (k/15, (k+1)/15] of the confidence; an empty one has its middle as confidence, accuracy 0."""
    index = np.clip(np.ceil(answers.confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)  # (N,)
    bins = []
    for number in range(BINS):
        held = index == number
        if held.any():
            mean = float(answers.confidence[held].mean()), float(answers.hits[held].mean())
            bins.append(Bin(int(held.sum()), *mean))
        else:
            bins.append(Bin(0, (number + 0.5) / BINS, 0.0))
    return bins


def calibration_error(answers: Answers) -> float:
    """Expected calibration error Σ_b n_b/N |accuracy_b − confidence_b|, 0..1; nan without events.

    Reference: Guo, Pleiss, Sun, Weinberger, *On Calibration of Modern Neural Networks*, ICML 2017, arXiv 1706.04599.
    """
    if not len(answers):
        return float("nan")
    return sum(b.events * abs(b.accuracy - b.confidence) for b in reliability(answers)) / len(answers)


def windowed(hits: NDArray[np.bool_], window: int) -> NDArray[np.float64]:
    """Mean of the newest `window` hits, of fewer at the beginning: float64 (n,)."""
    sums = np.concatenate([[0], np.cumsum(hits)])  # (n + 1,)
    end = np.arange(1, len(hits) + 1)
    start = np.maximum(0, end - window)
    return np.asarray((sums[end] - sums[start]) / (end - start))


def faded(hits: NDArray[np.bool_], factor: float) -> NDArray[np.float64]:
    """Mean of the hits so far with weights that fade by `factor` per event: float64 (n,).

    Reference: Gama, Sebastião, Rodrigues, *On evaluating stream learning algorithms*, Machine Learning 90, 2013.
    """
    means = np.empty(len(hits))
    weighted = weight = 0.0
    for position, hit in enumerate(hits.tolist()):
        weighted = hit + factor * weighted
        weight = 1.0 + factor * weight
        means[position] = weighted / weight
    return means
