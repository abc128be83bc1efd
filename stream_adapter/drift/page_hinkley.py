"""Has the mean of a series changed? The Page–Hinkley test, as river implements it.

Reference: Page, *Continuous inspection schemes*, Biometrika 41, 1954; Gama, Sebastião, Rodrigues, *On evaluating
stream learning algorithms*, Machine Learning 90, 2013. It answers small, lasting changes sooner than ADWIN; its
threshold is in units of summed values and has no error probability.
"""

from typing import Any

from numpy.typing import NDArray
from river import drift, stats

from stream_adapter.drift.block_means import BlockMeans
from stream_adapter.drift.detector import Signal, State

_BLOCK = 8  # values averaged before they are looked at, which costs an eighth
_STATE = ("_sum_increase", "_sum_decrease", "_min_increase", "_max_decrease", "_drift_detected")


class PageHinkley:
    """Alarms when the mean of values in [0, 1] has changed, upwards or downwards.

    Memory: fourteen numbers.

    Args:
        threshold: λ, the summed deviation that is an alarm.
        delta: deviation from the mean that is tolerated.
        min_values: values before the first alarm, and before `enough` is true.

    Example:
        >>> import numpy as np
        >>> detector = PageHinkley()
        >>> detector.observe(np.tile([1.0, 1.0, 1.0, 0.0], 200))
        []
        >>> [signal.row for signal in detector.observe(np.tile([1.0, 0.0, 0.0, 0.0], 200))]
        [143]
    """

    def __init__(self, threshold: float = 60.0, delta: float = 0.03, min_values: int = 100) -> None:
        self._min_values = min_values
        # Sums over blocks are an eighth of sums over values.
        self._test = drift.PageHinkley(
            min_instances=-(-min_values // _BLOCK), delta=delta, threshold=threshold / _BLOCK
        )
        self._means = BlockMeans(_BLOCK)
        self._observed = 0

    @property
    def observed(self) -> int:
        """Values since the start."""
        return self._observed

    @property
    def enough(self) -> bool:
        """Whether there are at least `min_values`."""
        return self._observed >= self._min_values

    def observe(self, values: NDArray[Any]) -> list[Signal]:
        """Take in values, float (B,)."""
        signals = []
        means, rows = self._means.take(values)
        for row, mean in zip(rows.tolist(), means.tolist(), strict=True):
            self._test.update(mean)
            if self._test.drift_detected:
                observed = self._observed + row + 1
                signals.append(Signal(row, observed, details={"mean": float(self._test._x_mean.get())}))
        self._observed += len(values)
        return signals

    def state(self) -> State:
        """Everything needed to go on; None stands for the infinity that a fresh minimum is."""
        numbers = {name: getattr(self._test, name) for name in _STATE}
        fresh = self._test._x_mean.n == 0
        return {
            "observed": self._observed,
            "means": self._means.state(),
            "n": self._test._x_mean.n,
            "mean": self._test._x_mean.get(),
            **{name: None if fresh and name == "_min_increase" else number for name, number in numbers.items()},
        }

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self._observed = int(state["observed"])
        self._means.restore(state["means"])
        self._test._x_mean = stats.Mean._from_state(state["n"], state["mean"])
        for name in _STATE:
            setattr(self._test, name, float("inf") if state[name] is None else state[name])
