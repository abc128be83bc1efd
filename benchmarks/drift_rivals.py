"""What others offer, on the same streams: detectors of river, and a windowed MMD test of hyppo."""

import warnings
from collections.abc import Callable, Iterable

import numpy as np
from hyppo.ksample import MMD
from numpy.typing import NDArray
from river import base, drift

from stream_adapter.drift.adwin import Adwin

Rival = Callable[[NDArray[np.float64]], Iterable[int]]
"""A stream in, the rows of its alarms out, lazily."""


def adwin(delta: float) -> Rival:
    """ADWIN on values in [0, 1]."""
    return lambda values: _alarms(drift.ADWIN(delta=delta), values)


def own_adwin(delta: float) -> Rival:
    """The package's own, which watches accuracy and confidence."""
    return lambda values: (signal.row for signal in Adwin(delta).observe(values))


def page_hinkley(threshold: float, delta: float = 0.005) -> Rival:
    """Page-Hinkley on values in [0, 1]."""
    return lambda values: _alarms(drift.PageHinkley(threshold=threshold, delta=delta), values)


def kswin(alpha: float) -> Rival:
    """KSWIN, window 100."""
    return lambda values: _alarms(drift.KSWIN(alpha=alpha, seed=0), values)


def mmd(alpha: float, window: int = 100, every: int = 50) -> Rival:
    """A kernel two-sample test of the first against the newest window, every 50 events.

    The p-value is hyppo's fast one, a chi-squared approximation; permutations would take minutes per stream.
    """

    def alarms(vectors: NDArray[np.float64]) -> Iterable[int]:
        reference = vectors[:window]
        for end in range(2 * window, len(vectors) + 1, every):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _, p_value = MMD().test(reference, vectors[end - window : end], auto=True)
            if p_value < alpha:
                yield end - 1

    return alarms


def _alarms(detector: base.DriftDetector, values: NDArray[np.float64]) -> Iterable[int]:
    for row, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            yield row
