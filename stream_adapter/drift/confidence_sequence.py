"""A confidence sequence for the mean of paired differences in {−1, 0, 1}: it may be read after every event.

Betting against "the mean is m" (Waudby-Smith, Ramdas, *Estimating means of bounded random variables by betting*, JRSS-B
86(1), 2024, arXiv 2010.09686): for values x ≤ 1 and a fraction 0 < c < 1,

    K_n(m) = mean over c of  Π_i (1 + c (m − x_i) / (1 − m))

is a test supermartingale while the mean is at least m, so {m : K_n(m) < 1/α} holds the mean at all times at once with
probability 1 − α. The fractions are fixed and averaged, so K depends on the data through three counts alone:
discordant pairs (adapted wrong and zero-shot right, or the other way round) and ties. That is what makes it sharp
here: with few discordant pairs the variance is small, and a bet on small variance is among those averaged. K_n is
monotone in m, so each bound is found by bisection.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FRACTIONS: NDArray[np.float64] = np.geomspace(0.02, 0.9, 8)
"""Fractions of the largest safe bet; best is about (distance of the mean) / (variance), and each is within a factor."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval.

    Attributes:
        confidence: probability with which each bound on its own holds, at all times at once.
    """

    low: float
    high: float
    confidence: float


def log_capital(losses: ArrayLike, ties: ArrayLike, wins: ArrayLike, mean: ArrayLike) -> NDArray[np.float64]:
    """The logarithm of K_n(m), the evidence that the mean is below m.

    Args:
        losses: values of −1, any shape S.
        ties: values of 0.
        wins: values of 1.
        mean: m, in (−1, 1).

    Returns:
        float64 S.
    """
    n_loss, n_tie, n_win, m = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (losses, ties, wins, mean))
    )
    scale = FRACTIONS / (1.0 - m[..., None])  # (S, L)
    logs = (
        n_loss[..., None] * np.log1p(scale * (m[..., None] + 1.0))
        + n_tie[..., None] * np.log1p(scale * m[..., None])
        + n_win[..., None] * np.log1p(-FRACTIONS)
    )  # (S, L)
    top = logs.max(axis=-1)
    return np.asarray(top + np.log(np.exp(logs - top[..., None]).mean(axis=-1)))


def upper_bound(losses: ArrayLike, ties: ArrayLike, wins: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
    """The mean is below this with probability 1 − α, at all times at once; 1 where nothing is known.

    Args:
        losses: values of −1, any shape S.
        ties: values of 0.
        wins: values of 1.
        alpha: probability of error, in (0, 1).

    Returns:
        float64 S, in [−1, 1].
    """
    n_loss, n_tie, n_win = (np.asarray(a, dtype=np.float64) for a in (losses, ties, wins))
    needed = -np.log(np.asarray(alpha, dtype=np.float64))
    shape = np.broadcast_shapes(n_loss.shape, n_tie.shape, n_win.shape, needed.shape)
    low, high = np.full(shape, -1.0), np.ones(shape)
    for _ in range(40):  # 2^-39: far below what a probability needs
        middle = (low + high) / 2.0
        excluded = log_capital(n_loss, n_tie, n_win, middle) >= needed
        low, high = np.where(excluded, low, middle), np.where(excluded, middle, high)
    return high


def interval(losses: int, ties: int, wins: int, alpha: float) -> Interval:
    """The confidence sequence's interval now; each bound has the error probability α.

    Example:
        >>> now = interval(losses=60, ties=930, wins=10, alpha=0.01)
        >>> round(now.low, 3), round(now.high, 3)
        (-0.083, -0.022)
    """
    high = float(upper_bound(losses, ties, wins, alpha))
    low = -float(upper_bound(wins, ties, losses, alpha))
    return Interval(low, high, 1.0 - alpha)
