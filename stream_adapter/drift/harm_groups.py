"""Harm on unseen classes, overall and by group, with one error probability for all of it.

Nine tenths of α go to all events together, the last one is shared by the groups (Bonferroni): P(any false alarm, ever)
≤ α. A small share is cheap for tests by betting: one group among 100 needs e^6.9 times the evidence, that is about a
dozen further labels where all of them are lost and a hundred where one in seven is.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.detector import ALL, Signal, State, Stateful, moved, numbers_now
from stream_adapter.drift.harm import HarmDetector

SHARE_OVERALL = 0.9
"""Share of α for all events together."""
_FADING = 500  # labels of a class from which on old ones count less, so that a good past does not hide who is at fault


class HarmByGroup(Stateful):
    """A `HarmDetector` for all events and one for each group, the latter made when the group's first label comes.

    Memory: 5 kB per group that has labels.

    Attributes:
        detectors: by group, `ALL` for all events; of the others those that have had labels.

    Args:
        group_of_class: int (C,), the group of each class, 0 .. G − 1.
        tolerance: ε, the harm that is accepted, as a share.
        alpha: probability of ever raising a false alarm, over all groups together.

    Example:
        >>> harm = HarmByGroup(group_of_class=np.array([0, 1]))
        >>> labels = np.tile([0, 1], 100)
        >>> signals = harm.observe(labels, np.where(labels == 1, -1, 0))
        >>> sorted({signal.subject for signal in signals})  # overall, and the group at fault
        [-1, 1]
    """

    KEPT = ("detectors", "_net", "_labels")

    def __init__(
        self, group_of_class: NDArray[np.int64], tolerance: float = 0.01, alpha: float = 0.01, min_labels: int = 50
    ) -> None:
        self._group_of_class = group_of_class.astype(np.int64, copy=True)
        self._tolerance = tolerance
        self._alpha = alpha
        self._min_labels = min_labels
        self.detectors = {ALL: self._new(ALL)}
        self._net = np.zeros(len(group_of_class), dtype=np.int64)  # wins − losses by class since its last reset
        self._labels = np.zeros(len(group_of_class), dtype=np.int64)

    def observe(self, labels: NDArray[np.int64], differences: NDArray[np.int64]) -> list[Signal]:
        """Take in labelled events of unseen classes.

        Args:
            labels: int (T,), true classes.
            differences: int (T,), 1[adapted right] − 1[zero-shot right].

        Returns:
            Signals in the order of their rows; `subject` is the group, `ALL` for all events.
        """
        np.add.at(self._net, labels, differences)
        np.add.at(self._labels, labels, 1)
        full = self._labels > _FADING
        self._net[full] //= 2
        self._labels[full] //= 2
        groups = self._group_of_class[labels]
        signals = list(self.detectors[ALL].observe(differences))
        for group in np.unique(groups).tolist():
            rows = np.flatnonzero(groups == group)
            found = self.detectors.setdefault(group, self._new(group)).observe(differences[rows])
            signals += [replace(signal, row=int(rows[signal.row]), subject=group) for signal in found]
        return sorted(signals, key=lambda signal: (signal.row, signal.subject))

    def classes_at_fault(self, group: int) -> list[int]:
        """The classes of `group` that lost most, as many as it takes for the others to be no worse than ε."""
        mine = np.ones(len(self._net), dtype=np.bool_) if group == ALL else self._group_of_class == group
        net, labels = int(self._net[mine].sum()), int(self._labels[mine].sum())
        faulty: list[int] = []
        for index in np.argsort(self._net, kind="stable").tolist():
            if not mine[index] or self._net[index] >= 0 or (labels and net >= -self._tolerance * labels and faulty):
                continue
            faulty.append(index)
            net -= int(self._net[index])
            labels -= int(self._labels[index])
        return faulty

    def reset(self, classes: list[int]) -> None:
        """Forget what was seen of these classes and of all together: the guard changed what they get."""
        self._net[classes] = 0
        self._labels[classes] = 0
        for group in {ALL, *self._group_of_class[classes].tolist()}:
            if group in self.detectors:
                self.detectors[group].reset()

    def set_classes(
        self, group_of_class: NDArray[np.int64], former: NDArray[np.int64], former_groups: NDArray[np.int64]
    ) -> None:
        """Go over to other classes and groups; a detector that has begun keeps its part of α.

        Args:
            group_of_class: int (C,), the group of each class, 0 .. G − 1.
            former: int (C,), which former class each one is, or −1.
            former_groups: int (G,), the same for groups.
        """
        self._group_of_class = group_of_class.astype(np.int64, copy=True)
        self._net, self._labels = moved(self._net, former, 0), moved(self._labels, former, 0)
        now = {ALL: ALL, **numbers_now(former_groups)}
        self.detectors = {now[group]: of for group, of in self.detectors.items() if group in now}

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self.detectors = {int(group): self._new(int(group)) for group in state["detectors"]}
        super().restore(state)

    def _new(self, group: int) -> HarmDetector:
        n_groups = int(self._group_of_class.max(initial=0)) + 1
        alpha = self._alpha * (SHARE_OVERALL if group == ALL else (1.0 - SHARE_OVERALL) / n_groups)
        return HarmDetector(self._tolerance, alpha, self._min_labels)


def paired_differences(labels: NDArray[np.int64], zero_shot: NDArray[Any], adapted: NDArray[Any]) -> NDArray[np.int64]:
    """1[adapted right] − 1[zero-shot right] for top classes (T,) of both models: int (T,)."""
    return np.asarray((adapted == labels).astype(np.int64) - (zero_shot == labels).astype(np.int64))
