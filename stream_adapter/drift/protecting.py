"""How much of the protection is in force: it follows what is measured on classes that nobody labels.

Labels of such classes are tests: those of canaries, and of any class before its first label is learned. For each,
d = 1[right] − 1[zero-shot right] of what the learner says under its protection, before the guard. Where the confidence
sequence of E[d] lies below −ε as a whole, harm is proven, and protection is doubled; where it lies above as a whole,
more harm than ε is ruled out, and it is halved; in between nothing happens. It stays within `steps` doublings of
what is configured. After each step the measure begins anew, because it is another adapter now; after a halving that
had to be taken back the next one waits for twice as many labels. Each step is wrong with probability α at most.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.alarm import Action, Step
from stream_adapter.drift.confidence_sequence import Interval, interval
from stream_adapter.drift.detector import Stateful


class ProtectionLevel(Stateful):
    """Keeps the level of one worker's learner; 2^level is the factor on all protections.

    Attributes:
        level: what should be in force.

    Args:
        steps: the level is between −steps and steps; 0: it never moves.
        tolerance: ε, as a share.
        alpha: error probability of a step.
        min_labels: tests before the first step.

    Example:
        >>> protection = ProtectionLevel(steps=2, tolerance=0.01, alpha=0.01, min_labels=50)
        >>> [(step.action, step.labels) for step in protection.observe(np.tile([0, -1, 0, 0], 50))]
        [('raised', 50), ('raised', 50)]
        >>> protection.factor
        4.0
    """

    KEPT = ("level", "_counts", "_hold", "_halved")

    def __init__(self, steps: int, tolerance: float, alpha: float, min_labels: int) -> None:
        self.level = 0
        self._steps, self._tolerance, self._alpha, self._min_labels = steps, tolerance, alpha, min_labels
        self._counts = np.zeros(3, np.int64)  # losses, ties, wins since the last step
        self._hold = min_labels  # tests before a halving
        self._halved = False  # whether the last step was one

    @property
    def factor(self) -> float:
        """On all protections."""
        return float(2.0**self.level)

    @property
    def observed(self) -> int:
        """Tests since the last step."""
        return int(self._counts.sum())

    def observe(self, differences: NDArray[np.int64]) -> list[Step]:
        """Take in tests, int (T,) in {−1, 0, 1}, in the order of their labels."""
        steps = []
        for row, difference in enumerate(differences.tolist() if self._steps else ()):
            self._counts[difference + 1] += 1
            observed = self.observed  # bounds take a search: they are looked at with each tenth more
            if observed < self._min_labels or observed % max(observed // 10, 1):
                continue
            losses, ties, wins = (int(count) for count in self._counts)
            found = interval(losses, ties, wins, self._alpha)
            if found.high < -self._tolerance and self.level < self._steps:
                steps.append(self._step(1, found, row))
            elif found.low >= -self._tolerance and self.level > -self._steps and observed >= self._hold:
                steps.append(self._step(-1, found, row))
        return steps

    def follow(self, level: int) -> None:
        """Another worker took a step, or a record says what holds: what was measured before is of another adapter."""
        if level != self.level:
            self.level = level
            self._counts[:] = 0

    def _step(self, by: int, found: Interval, row: int) -> Step:
        labels, before = self.observed, self.factor
        difference = float(self._counts[2] - self._counts[0]) / labels
        if by > 0 and self._halved:
            self._hold *= 2
        self._halved = by < 0
        self.level += by
        self._counts[:] = 0
        action: Action = "raised" if by > 0 else "lowered"
        return Step(action, before, self.factor, labels, difference, row, interval=found)
