"""Which anchors go when there are more than the budget allows.

The anchor that is worth least goes, whatever its class, one after another:

    worth(a) = (1 + f − confidence(a)) · (1 − cos(a, nearest other anchor of its class))

The first factor is how much the untouched model is in doubt about the picture: what it is sure of it would answer
without an anchor too, so there is little for an anchor to correct around it. The second is how far the anchor is from
the one that would stand in for it. Either alone is worse: doubt alone keeps the same doubtful place many times over,
distance alone keeps what lies far from its class, wrong labels first. That the label itself is not looked at is on
purpose: an anchor that the untouched model contradicts is either the most useful one or a wrong label.

Classes get as much of the budget as their anchors are worth, not equal shares, which was the larger part of what
pruning cost: a class that the untouched model knows needs few anchors, one that it does not know needs many. Three
rules bound that. No class keeps more than `budget_per_class`. None gives below a quarter of an even share: a class of
which next to nothing is left is taken for wrong labels and for unlabelled, and lost. And none loses its last anchor
while another has two; with more classes than the budget has room for, those with the newest events keep their one: a
label that was used last is the one that is needed.

What is guaranteed: `Pruner.victims` is a function of the set of anchors (vector, class, time, id), the vocabulary and
the budgets alone. Slots, row ids, the order of arrival and what was pruned before have no influence, and neither has
rounding: worths are whole numbers, see `pruning_worth.py`. So workers that hold the same anchors at the same moment
remove the same ones. Workers that prune at different moments, between which other anchors came, may not.

`docs/pruning.md` has what this was compared with.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.pruning_worth import NOTHING_LEFT, ClassWorth, Doubt, Points
from stream_adapter.adapter.results import RemovedReason
from stream_adapter.adapter.store import AnchorStore
from stream_adapter.config import AnchorsConfig

# From this share of the budget on one class is looked at in each call, so that no call has to look at all of them.
_WARM_UP = 0.9
__all__ = ["Doubt", "Pruner", "Victim"]

_ODD = np.int64(-0x61C8864680B583EB)  # 2^64 / golden ratio, as a signed number


class Victim(NamedTuple):
    """An anchor to remove, and which budget it exceeds."""

    row: int
    reason: RemovedReason


class Pruner:
    """Finds the anchors to remove; remembers worths, so that one event at the budget looks at two classes.

    Args:
        store: the anchors.
        doubt: of the untouched model.
        config: the budgets.
    """

    def __init__(self, store: AnchorStore, doubt: Doubt, config: AnchorsConfig) -> None:
        self._store = store
        self._doubt = doubt
        self._config = config
        self._worths: dict[int, ClassWorth] = {}
        self._seen = np.zeros(len(store.class_names))  # the members' marks when each class was last looked at
        self._points = Points(store)
        self._least = np.full(len(store.class_names), NOTHING_LEFT)

    def of(self, store: AnchorStore) -> "Pruner":
        """Another pruner with the same settings, of another store of the same vocabulary."""
        return Pruner(store, self._doubt, self._config)

    def victims(self) -> list[Victim]:
        """Anchors that have to go for the budgets to hold; the caller removes them. Empty within the budgets."""
        counts = self._store.counts
        crowded = counts > self._config.budget_per_class  # (C,)
        if not crowded.any() and counts.sum() < _WARM_UP * self._config.budget:
            return []
        marks = self._marks()  # (C,)
        stale = marks != self._seen
        self._look(np.flatnonzero(stale & crowded), marks)
        victims: list[Victim] = []
        for class_index in np.flatnonzero(crowded).tolist():
            while counts[class_index] > self._config.budget_per_class:
                victims.append(Victim(self._take(class_index), "class budget"))
                counts[class_index] -= 1
        excess = int(counts.sum()) - self._config.budget
        others = np.flatnonzero(stale & ~crowded)
        if excess <= 0:  # those first that were never looked at
            others = others[np.argsort(self._least[others] != NOTHING_LEFT, kind="stable")][:1]
        self._look(others, marks)
        spared = max(1, self._config.budget // (4 * max(1, int((counts > 0).sum()))))
        for _ in range(excess):
            least = np.where(counts > spared, self._least, NOTHING_LEFT)  # (C,)
            class_index = int(least.argmin())
            if least[class_index] == NOTHING_LEFT:
                break
            victims.append(Victim(self._take(class_index), "total budget"))
            counts[class_index] -= 1
        return victims + self._stalest(int(counts.sum()) - self._config.budget, victims)

    def _look(self, classes: NDArray[np.int64], marks: NDArray[np.float64]) -> None:
        """Bring what is known of some classes (k,) up to the members that they have now, given all marks (C,)."""
        for class_index in classes.tolist():
            members = np.flatnonzero(self._store.classes == class_index)  # slots
            by_age = members[np.lexsort((self._store.keys[members], self._store.times[members]))]  # oldest first
            worth = self._worths.setdefault(class_index, ClassWorth(self._store, self._doubt, self._points))
            worth.look(by_age)
            self._least[class_index] = worth.least
        self._seen[classes] = marks[classes]

    def _take(self, class_index: int) -> int:
        """The row of the class's anchor that is worth least; it counts as gone from here on."""
        worth = self._worths[class_index]
        row = worth.take()
        self._least[class_index] = worth.least
        # Nobody has to follow the advice: whoever does not leaves another mark than this one. Where younger anchors
        # wait for their place in the window, the class is looked at anew in any case.
        rest = self._seen[class_index] - float(_hashed(np.array([row]))[0])
        self._seen[class_index] = np.nan if worth.is_partial else rest
        return row

    def _stalest(self, excess: int, gone: list[Victim]) -> list[Victim]:
        """The oldest anchors besides those that are gone already, where no class has two any more."""
        if excess <= 0:
            return []
        left = np.flatnonzero(~np.isin(self._store.rows, [victim.row for victim in gone]))
        by_age = left[np.lexsort((self._store.keys[left], self._store.times[left]))]
        return [Victim(row, "total budget") for row in self._store.rows[by_age[:excess]].tolist()]

    def _marks(self) -> NDArray[np.float64]:
        """Float64 (C,): a sum over each class's row ids, hashed, that changes whenever its members do."""
        sums = np.bincount(self._store.classes, _hashed(self._store.rows), minlength=len(self._seen))
        return sums.astype(np.float64, copy=False)


def _hashed(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Float64 (n,), whole numbers of 32 bits: sums of 2^21 of them are exact. Fibonacci hashing (Knuth, 6.4)."""
    return (((rows + 1) * _ODD) >> 32 & 0xFFFFFFFF).astype(np.float64)  # row 0 has to count too
