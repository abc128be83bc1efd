"""How sure zero-shot is of traffic, as a histogram that adds up, and labels weighted until they are as sure as it.

Labels that are asked for are no sample of their classes' events: zero-shot is mostly unsure of them. But the picture
decides whom to ask about, and not the answer: among events of which zero-shot is as sure, a label is as good as any
other as far as the choice went by that. So what is said of a sample holds of labels that are weighted by strata of it
(Holt, Smith, *Post stratification*, Journal of the Royal Statistical Society A 142, 1979; for conformal prediction:
Tibshirani, Barber, Candès, Ramdas, *Conformal prediction under covariate shift*, NeurIPS 2019).
"""

import numpy as np
from numpy.typing import NDArray

BINS = 48
_LEAST, _WIDTH = -4.0, 1.0 / 3.0  # of the log-odds of a top probability, up to 12


def histogram(sure: NDArray[np.floating], weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Float64 (BINS,): weight (n,) by zero-shot's top probability (n,)."""
    return np.asarray(np.bincount(strata(sure), weights, BINS), np.float64)


def as_traffic(
    sure: NDArray[np.floating], weights: NDArray[np.float64], traffic: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Float64 (n,): weights with the same sum under which labelled events are as sure as the traffic.

    What the traffic has in a stratum without labels goes to the nearest that has some.

    Args:
        sure: (n,), zero-shot's top probability of labelled events.
        weights: float64 (n,), above 0: by how much each counts now.
        traffic: from `histogram`; without any, the weights stay.
    """
    if not len(sure) or not traffic.any():
        return weights
    stratum = strata(sure)
    labelled = np.bincount(stratum, weights, BINS)
    known = np.flatnonzero(labelled)
    nearest = known[np.abs(np.arange(BINS)[:, None] - known).argmin(axis=1)]  # (BINS,)
    share = np.bincount(nearest, traffic, BINS) / traffic.sum()
    return np.asarray(weights * (share / np.maximum(labelled, 1e-12))[stratum] * weights.sum())


def least_sure(stratum: int) -> float:
    """The probability from which on `histogram` counts in this stratum; 0 for the first."""
    return 1.0 / (1.0 + float(np.exp(-(_LEAST + _WIDTH * stratum)))) if stratum else 0.0


def strata(sure: NDArray[np.floating]) -> NDArray[np.int64]:
    """Int64 (n,), 0..BINS − 1, by zero-shot's top probability (n,) or by another one."""
    p = np.clip(sure.astype(np.float64), 1e-6, 1.0 - 1e-6)
    return np.clip((np.log(p / (1.0 - p)) - _LEAST) / _WIDTH, 0, BINS - 1).astype(np.int64)
