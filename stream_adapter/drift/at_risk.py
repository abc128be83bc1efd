"""Which classes that nobody labels may be losing events, how many, and which: those for which one label is worth most.

A class without labels can lose on those events alone that zero-shot gives to it and the published answer does not. By
zero-shot's own word p0 of them are its own, so Σ p0 over such events, times how present the class is held to be, is
what it is expected to lose; over all events that zero-shot gives to it, what it is expected to have. One label makes
it a class like others; what the label bought is the share that it keeps afterwards.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.detector import State, moved, numbers_now

WINDOW = 1_000
"""Newest events that are looked at."""
ENOUGH = 1.0
"""Events that a class is expected to lose among them before it is said to be at risk."""
_AFTER = 50  # events that zero-shot gives to a class after its first label, before it is told what the label bought


@dataclass(frozen=True, slots=True)
class Risk:
    """A class at risk; or, with `kept_after`, what its first label bought.

    Attributes:
        lost: events that it is expected to lose among those looked at.
        kept: share of what zero-shot gives to it that it keeps, without a label.
        kept_after: the same with labels.
        event_ids: events that it lost, those that zero-shot is surest of last.
    """

    index: int
    lost: float
    kept: float
    kept_after: float | None
    events: int
    event_ids: tuple[str, ...]


def expected_losses(
    top: NDArray[np.int64], chance: NDArray[np.floating], taken: NDArray[np.bool_], presence: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Events that each class is expected to lose, float64 (C,).

    Args:
        top: int64 (n,), zero-shot's class of each event.
        chance: float (n,), its probability by zero-shot.
        taken: bool (n,), whether the published answer is another class.
        presence: float (C,), how far a class is held to be there; 0 for those that labels speak for.
    """
    return np.asarray(np.bincount(top, chance * taken, minlength=len(presence)) * presence, np.float64)


class ClassesAtRisk:
    """Looks on at the newest 1,000 events; 100 kB.

    Args:
        n_classes: C.
    """

    def __init__(self, n_classes: int) -> None:
        self._top, self._chance = np.zeros(0, np.int64), np.zeros(0, np.float32)
        self._taken, self._ids = np.zeros(0, np.bool_), deque[str](maxlen=WINDOW)
        self._kept: dict[int, float] = {}  # of classes that were said to be at risk
        self._after: dict[int, list[int]] = {}  # of those that were labelled since: events, and those kept
        self._lost = np.zeros(n_classes)

    @property
    def lost(self) -> NDArray[np.float64]:
        """Float64 (C,), events that each class is expected to lose."""
        return self._lost

    @property
    def observed(self) -> int:
        """Events looked at."""
        return len(self._top)

    def observe(
        self,
        zero_shot: NDArray[np.float32],
        published: NDArray[np.float32],
        presence: NDArray[np.float32],
        labelled: NDArray[np.bool_],
        unlabelled: NDArray[np.bool_],
        event_ids: Sequence[str],
    ) -> list[Risk]:
        """Take in a batch.

        Args:
            zero_shot: float32 (B, C), probabilities of the untouched model.
            published: float32 (B, C).
            presence: float32 (C,), how far each class is held to be in the traffic.
            labelled: bool (C,), classes with anchors.
            unlabelled: bool (C,), classes that have none, and whose labels would be learned.
            event_ids: B ids.

        Returns:
            Classes that are at risk since this batch, and what labels bought those that were.
        """
        top = zero_shot.argmax(axis=1)
        taken = published.argmax(axis=1) != top
        found = self._bought(top, taken, labelled)
        self._top = np.concatenate([self._top, top])[-WINDOW:]
        self._chance = np.concatenate([self._chance, zero_shot.max(axis=1)])[-WINDOW:]
        self._taken = np.concatenate([self._taken, taken])[-WINDOW:]
        self._ids.extend(event_ids)
        self._lost = expected_losses(self._top, self._chance, self._taken, np.where(unlabelled, presence, 0.0))
        for index in np.flatnonzero(self._lost >= ENOUGH).tolist():
            if index not in self._kept:
                rows = np.flatnonzero((self._top == index) & self._taken)
                rows = rows[self._chance[rows].argsort(kind="stable")]
                ids = list(self._ids)
                given = self._top == index
                kept = 1.0 - float(self._chance[rows].sum() / self._chance[given].sum())
                events = tuple(ids[row] for row in rows.tolist())
                self._kept[index] = kept
                found.append(Risk(index, float(self._lost[index]), kept, None, int(given.sum()), events))
        return found

    def set_classes(self, former: NDArray[np.int64]) -> None:
        """Go over to other classes: int64 (C,), the former one of each or −1; what was looked at begins anew."""
        now = numbers_now(former)
        self._top, self._chance, self._taken = self._top[:0], self._chance[:0], self._taken[:0]
        self._ids.clear()
        self._lost = moved(self._lost, former, 0.0)
        self._kept = {now[index]: kept for index, kept in self._kept.items() if index in now}
        self._after = {now[index]: after for index, after in self._after.items() if index in now}

    def state(self) -> State:
        """What was said, and what is waited for; the events are looked at anew."""
        return {"kept": list(self._kept.items()), "after": list(self._after.items())}

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self._kept = {int(index): float(kept) for index, kept in state["kept"]}
        self._after = {int(index): [int(n) for n in after] for index, after in state["after"]}

    def _bought(self, top: NDArray[np.int64], taken: NDArray[np.bool_], labelled: NDArray[np.bool_]) -> list[Risk]:
        found = []
        for index in [index for index in self._kept if labelled[index]]:
            of_class = top == index
            after = self._after.setdefault(index, [0, 0])
            after[0] += int(of_class.sum())
            after[1] += int((of_class & ~taken).sum())
            if after[0] >= _AFTER:
                kept = self._kept.pop(index)
                del self._after[index]
                found.append(Risk(index, 0.0, kept, after[1] / after[0], after[0], ()))
        return found
