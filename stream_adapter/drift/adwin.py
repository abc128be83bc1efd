"""Has the mean of a series changed? ADWIN: a window that grows until the means of two parts of it differ.

Reference: Bifet, Gavaldà, *Learning from time-changing data with adaptive windowing*, SIAM Data Mining 2007: the bound
with the window's variance, and buckets of exponentially growing size. The paper then goes on with the newer part; here,
as in river, the window starts anew. Its δ bounds the error of each comparison, not the probability of ever raising a
false alarm; benchmarks/drift_study.py shows what that comes to.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.detector import Signal, Stateful

_CLOCK = 32  # values between two checks
_BUCKETS = 5  # buckets of each size at most; the paper's M
_SHORTEST = 5  # values in each part of the window at least
_ENOUGH = 100


class Adwin(Stateful):
    """Alarms when the mean of values in [0, 1] has changed, upwards or downwards; the window then starts anew.

    Memory: logarithmic in the window, a few kB.

    Args:
        delta: error probability of each comparison of two windows.

    Example:
        >>> detector = Adwin()
        >>> detector.observe(np.tile([1.0, 1.0, 1.0, 0.0], 200))
        []
        >>> [signal.row for signal in detector.observe(np.tile([1.0, 0.0, 0.0, 0.0], 100))]
        [63]
    """

    KEPT = ("_observed", "_rows")

    def __init__(self, delta: float = 1e-5) -> None:
        self._delta = delta
        self._observed = 0
        # Row i holds buckets of 2^i values each, oldest first: their sum and their sum of squares.
        self._rows: list[list[Sequence[float]]] = []

    @property
    def observed(self) -> int:
        """Values since the start."""
        return self._observed

    @property
    def enough(self) -> bool:
        """Whether the mean says something."""
        return self._observed >= _ENOUGH

    @property
    def mean(self) -> float | None:
        """Mean of the values since the last change; None where there are none, or not `enough` in all."""
        size, total, _ = self._buckets().sum(axis=0)
        return float(total / size) if self.enough and size else None

    def observe(self, values: NDArray[Any]) -> list[Signal]:
        """Take in values, float (B,)."""
        signals = []
        for row, value in enumerate(values.tolist()):
            self._insert(value)
            self._observed += 1
            if self._observed % _CLOCK == 0 and (signal := self._check(row)):
                signals.append(signal)
                self._rows = []
        return signals

    def _insert(self, value: float) -> None:
        bucket: Sequence[float] = (value, value * value)
        for row in self._rows:
            row.append(bucket)
            if len(row) <= _BUCKETS:
                return
            (total, squares), (next_total, next_squares) = row.pop(0), row.pop(0)
            bucket = (total + next_total, squares + next_squares)
        self._rows.append([bucket])

    def _buckets(self) -> NDArray[np.float64]:
        """Size, sum and sum of squares of each bucket, oldest first, float64 (K, 3)."""
        buckets = [(2**i, *bucket) for i in reversed(range(len(self._rows))) for bucket in self._rows[i]]
        return np.array(buckets, dtype=np.float64).reshape(-1, 3)

    def _check(self, row: int) -> Signal | None:
        """Whether the means before and after some boundary differ; the boundary that shows it best, if so."""
        buckets = self._buckets()
        size, total, squares = buckets.sum(axis=0)
        old_size, old_total, _ = buckets[:-1].cumsum(axis=0).T  # each (K − 1,), one for each boundary
        new_size = size - old_size
        old_mean, new_mean = old_total / old_size, (total - old_total) / new_size
        variance = max(squares / size - (total / size) ** 2, 0.0)
        shares = 1.0 / old_size + 1.0 / new_size  # 1/m of the paper
        evidence = math.log(2.0 * math.log(size) / self._delta)
        excess = np.abs(old_mean - new_mean) - np.sqrt(2.0 * shares * variance * evidence) - 2 / 3 * shares * evidence
        excess[(old_size < _SHORTEST) | (new_size < _SHORTEST)] = -1.0
        best = int(excess.argmax())
        if excess[best] <= 0.0:
            return None
        details = {"before": float(old_mean[best]), "after": float(new_mean[best])}
        return Signal(row, self._observed, since=int(new_size[best]), details=details)
