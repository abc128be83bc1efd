"""Has the mean of a series changed? ADWIN, as river implements it.

Reference: Bifet, Gavaldà, *Learning from time-changing data with adaptive windowing*, SIAM Data Mining 2007. Its δ
bounds the error of each comparison, not the probability of ever raising a false alarm; benchmarks/drift_study.py shows
what that comes to.
"""

import base64
from typing import Any

from numpy.typing import NDArray
from river import drift

from stream_adapter.drift.detector import Signal, State

_CLOCK = 32  # values between two checks, river's default


class Adwin:
    """Alarms when the mean of values in [0, 1] has changed, upwards or downwards.

    Memory: logarithmic in the window, a few kB.

    Args:
        delta: error probability of each comparison of two windows.
        min_values: values before `enough` is true.

    Example:
        >>> import numpy as np
        >>> detector = Adwin()
        >>> detector.observe(np.tile([1.0, 1.0, 1.0, 0.0], 200))
        []
        >>> [signal.row for signal in detector.observe(np.tile([1.0, 0.0, 0.0, 0.0], 100))]
        [63]
    """

    def __init__(self, delta: float = 1e-5, min_values: int = 100) -> None:
        self._delta = delta
        self._min_values = min_values
        self._adwin = drift.ADWIN(delta=delta, clock=_CLOCK)
        self._observed = 0

    @property
    def observed(self) -> int:
        """Values since the start."""
        return self._observed

    @property
    def enough(self) -> bool:
        """Whether there are at least `min_values`."""
        return self._observed >= self._min_values

    @property
    def mean(self) -> float:
        """Mean of the values since the last change; 0 before the first."""
        return float(self._adwin.estimation)

    def observe(self, values: NDArray[Any]) -> list[Signal]:
        """Take in values, float (B,)."""
        signals = []
        for row, value in enumerate(values.tolist()):
            due = (self._observed + 1) % _CLOCK == 0
            before = (self._adwin.total, self._adwin.width) if due else (0.0, 0)
            self._adwin.update(value)
            self._observed += 1
            if due and self._adwin.drift_detected:
                kept = self._adwin.width
                # What was cut off is the old mean alone; the window before also held new values.
                old = (before[0] + value - self._adwin.total) / max(before[1] + 1 - kept, 1)
                details = {"before": float(old), "after": float(self._adwin.estimation)}
                signals.append(Signal(row, self._observed, since=int(kept), details=details))
        return signals

    def state(self) -> State:
        """Everything needed to go on; the windows are river's own bytes."""
        windows = base64.b64encode(self._adwin._helper.__getstate__()).decode("ascii")
        return {"observed": self._observed, "drift_detected": self._adwin.drift_detected, "windows": windows}

    def restore(self, state: State) -> None:
        """Go on from `state`.

        Raises:
            ValueError: the windows are not what this version of river wrote.
        """
        self._observed = int(state["observed"])
        self._adwin = drift.ADWIN(delta=self._delta, clock=_CLOCK)
        try:
            self._adwin._helper.__setstate__(base64.b64decode(state["windows"]))
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # river's Rust code panics, which is no `Exception`
                raise
            raise ValueError(f"the windows cannot be read: {error}") from error
        self._adwin._drift_detected = bool(state["drift_detected"])
