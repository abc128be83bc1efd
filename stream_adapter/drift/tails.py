"""Upper tails of the binomial distribution for small counts."""

from math import comb

import numpy as np
from numpy.typing import NDArray

_LARGEST = 64
_COEFFICIENTS = np.array([[comb(k, j) for j in range(_LARGEST + 1)] for k in range(_LARGEST + 1)], dtype=np.float64)


def binomial_tails(counts: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """P(Binomial(k, share) ≥ counts[k − 1]) for k = 1 .. K ≤ 64, float64 (K,).

    Args:
        counts: int (K,).
        share: success probability, in [0, 1].

    Example:
        >>> binomial_tails(np.array([1, 2, 2]), 0.5).tolist()
        [0.5, 0.25, 0.5]
    """
    n_trials = np.arange(1, len(counts) + 1)[:, None]  # (K, 1)
    successes = np.arange(len(counts) + 1)  # (K + 1,)
    failures = np.maximum(n_trials - successes, 0)  # (K, K + 1); beyond k the coefficient is zero
    terms = _COEFFICIENTS[1 : len(counts) + 1, : len(counts) + 1] * share**successes * (1.0 - share) ** failures
    return np.asarray((terms * (successes >= counts[:, None])).sum(axis=1))
