"""The strongest events of each class: a bounded list of scores with the event's number and whether it has a label.

Scores compare a class with the *known* classes, so they can be ranked together only while those stay the same. A class
that becomes known lowers all later scores; earlier ones are then too high, which hides newcomers and invents none.
Lists are therefore kept in two generations: when the known classes have grown and the present generation is long
enough, a new one begins and the one before the last is forgotten. A class that ceases to be known raises later scores,
which would invent newcomers: then all is forgotten.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.detector import Stateful, moved

_GENERATION = 1_000  # events from which on a generation may end
_SAME = 1e-4  # scores this close are the same picture sent again


class StrongestEvents(Stateful):
    """The K strongest events of each of C classes with a score of at least zero, in two generations.

    Memory: 2 · C · K events of 17 bytes.
    """

    KEPT = ("_scores", "_numbers", "_labelled", "to_beat", "_known", "_begun")

    def __init__(self, n_classes: int, kept: int) -> None:
        self._kept = kept
        self._scores = np.full((n_classes, 2 * kept), -np.inf)  # the present generation in the first K columns
        self._numbers = np.full((n_classes, 2 * kept), -1, dtype=np.int64)
        self._labelled = np.zeros((n_classes, 2 * kept), dtype=np.bool_)
        self.to_beat = np.zeros(n_classes)  # (C,), the score that an event must exceed to enter the list
        self._known: NDArray[np.bool_] | None = None
        self._begun = [0, 0]  # number of the first event of the present generation, and of the one before

    @property
    def since(self) -> int:
        """Number of the first event that the lists are about."""
        return self._begun[1]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Int (C,): events in the lists."""
        return np.asarray(np.isfinite(self._scores).sum(axis=1))

    def compare_with(self, known: NDArray[np.bool_], number: int) -> None:
        """Say which classes scores compare with from event `number` on: bool (C,)."""
        if self._known is None:
            self._known = known.copy()
        if np.array_equal(known, self._known):
            return
        lost = (self._known & ~known).any()
        if not lost and number - self._begun[0] < _GENERATION:
            return
        self._known = known.copy()
        for array, empty in ((self._scores, -np.inf), (self._numbers, -1), (self._labelled, False)):
            array[:, self._kept :] = empty if lost else array[:, : self._kept]
            array[:, : self._kept] = empty
        self._begun = [number, number] if lost else [number, self._begun[0]]
        self.to_beat[:] = 0.0

    def offer(self, index: int, score: float, number: int, labelled: bool) -> bool:
        """Put an event into the list of class `index`; whether it is there now and was not before.

        The same picture sent again is one event, the first; with a label it is a labelled one.
        """
        scores = self._scores[index]
        same = np.abs(scores - score) <= _SAME
        if same.any():
            self._labelled[index, same] |= labelled
            return False
        weakest = int(scores[: self._kept].argmin())
        if score <= scores[weakest]:
            return False
        scores[weakest], self._numbers[index, weakest], self._labelled[index, weakest] = score, number, labelled
        self.to_beat[index] = max(float(scores[: self._kept].min()), 0.0)
        return True

    def of(self, index: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Numbers and labels of the events that speak for class `index`, strongest first."""
        order = np.argsort(-self._scores[index], kind="stable")
        order = order[np.isfinite(self._scores[index, order])]
        return self._numbers[index, order], self._labelled[index, order]

    def claim(self, index: int) -> None:
        """The events of class `index` speak for it alone, and no more for classes for which they speak less."""
        for at in np.flatnonzero(np.isfinite(self._scores[index])).tolist():
            others = (self._numbers == self._numbers[index, at]) & (self._scores < self._scores[index, at])
            self._scores[others], self._numbers[others] = -np.inf, -1
        self.to_beat = np.maximum(self._scores[:, : self._kept].min(axis=1), 0.0)

    def set_classes(self, former: NDArray[np.int64]) -> None:
        """Go over to other classes: int64 (C,), the former one of each or −1."""
        self._scores, self._numbers = moved(self._scores, former, -np.inf), moved(self._numbers, former, -1)
        self._labelled, self.to_beat = moved(self._labelled, former, False), moved(self.to_beat, former, 0.0)
        if self._known is not None:
            self._known = moved(self._known, former, False)
