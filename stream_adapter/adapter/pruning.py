"""Which anchors go when there are more than the budget allows.

Two questions, answered one after the other:

**From which class?** Every class may keep `budget_per_class`. If that is still too much in total, the largest classes
give first, until the budget holds ("water level"): a class below its fair share never pays for one above it, and a
class loses its last anchor only when there are more classes than the budget has room for. Where whole classes are
level, those with the newest events keep one more: a label that was used last is the one that is needed.

**Which of its anchors?** The older one of the closest pair. Two anchors that nearly coincide say the same thing twice,
so what the class covers stays covered (random or oldest-first removal loses rare appearances), and of the two the
older one is likelier to be stale. Pairs are looked for among the class's `_WINDOW` oldest anchors: in a larger class
that bounds the cost, and everything young is spared.

What is guaranteed: `Pruner.victims` is a function of the set of anchors (vector, class, time, id) and the budgets
alone. Slots, row ids, the order of arrival and what was pruned before have no influence, and neither has rounding:
cosines are computed on fixed-point vectors, where float32 sums are exact in any order. So workers that hold the same
anchors at the same moment remove the same ones. Workers that prune at different moments, between which other anchors
came, may not.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from stream_adapter.adapter.results import RemovedReason
from stream_adapter.adapter.store import AnchorStore

_WINDOW = 1_024
# Components become whole multiples of 1/4000 (an error of about 1e-4 in a cosine). Then no partial sum of a product of
# two unit vectors exceeds 2^24, up to which float32 holds every whole number.
_FIXED_POINT = 4_000.0


class Victim(NamedTuple):
    """An anchor to remove, and which budget it exceeds."""

    row: int
    reason: RemovedReason


def allowances(
    counts: NDArray[np.int64], newest: NDArray[np.int64], budget: int, budget_per_class: int
) -> NDArray[np.int64]:
    """How many anchors each class may keep.

    Args:
        counts: int64 (C,), anchors per class.
        newest: int64 (C,), event time of each class's newest anchor; anything where there is none.
        budget: most anchors in total.
        budget_per_class: most anchors of one class.

    Returns:
        int64 (C,), at most `counts`.
    """
    allowed = np.minimum(counts, budget_per_class)
    if allowed.sum() <= budget:
        return allowed
    # The water level: the largest L for which all classes cut down to L fit. From small to large classes, each either
    # fits below the even share of what is left, or sets the level together with all the larger ones.
    left, sizes = budget, np.sort(allowed)
    level = 0
    for index, size in enumerate(sizes.tolist()):
        level = left // (len(sizes) - index)
        if size > level:
            break
        left -= size
    above = np.flatnonzero(allowed > level)
    allowed = np.minimum(allowed, level)
    spare = budget - int(allowed.sum())
    # Newest first; of equally new classes the one that comes first in the vocabulary.
    allowed[above[np.lexsort((above, -newest[above]))[:spare]]] += 1
    return allowed


class Pruner:
    """Finds the anchors to remove; remembers nearest pairs, so that one event at the budget costs a few dot products.

    Args:
        store: the anchors.
        budget: most anchors in total.
        budget_per_class: most anchors of one class.
    """

    def __init__(self, store: AnchorStore, budget: int, budget_per_class: int) -> None:
        self._store = store
        self._budget = budget
        self._budget_per_class = budget_per_class
        self._pairs: dict[int, _NearestPairs] = {}

    def victims(self) -> list[Victim]:
        """Anchors that have to go for the budgets to hold; the caller removes them. Empty within the budgets."""
        counts = self._store.counts
        if counts.sum() <= self._budget and counts.max(initial=0) <= self._budget_per_class:
            return []
        newest = np.full(len(counts), np.iinfo(np.int64).min, np.int64)
        np.maximum.at(newest, self._store.classes, self._store.times)
        allowed = allowances(counts, newest, self._budget, self._budget_per_class)
        victims: list[Victim] = []
        for class_index in np.flatnonzero(counts > allowed).tolist():
            excess = int(counts[class_index] - allowed[class_index])
            rows = self._most_redundant(class_index, excess)
            over_class_budget = max(0, int(counts[class_index]) - self._budget_per_class)
            victims += [
                Victim(row, "class budget" if index < over_class_budget else "total budget")
                for index, row in enumerate(rows)
            ]
        return victims

    def _most_redundant(self, class_index: int, excess: int) -> list[int]:
        members = np.flatnonzero(self._store.classes == class_index)  # slots
        by_age = members[np.lexsort((self._store.keys[members], self._store.times[members]))]  # oldest first
        victims: list[int] = []
        while len(victims) < excess:
            window = by_age[:_WINDOW]
            pairs = self._pairs.setdefault(class_index, _NearestPairs())
            pairs.follow(self._store.rows[window], self._store.vectors[window])
            # In a class larger than the window at most half of it goes before it is moved on to younger anchors.
            at_once = len(window) if len(window) == len(by_age) else _WINDOW // 2
            gone = pairs.take(min(excess - len(victims), at_once))
            victims += gone
            by_age = by_age[~np.isin(self._store.rows[by_age], gone)]
        return victims


class _NearestPairs:
    """For each of m anchors of one class, oldest first: its largest cosine with another one, and with which.

    Cosines are in units of `_FIXED_POINT` squared: only their order matters.
    """

    def __init__(self) -> None:
        self._rows = np.empty(0, np.int64)
        self._nearest = np.empty(0, np.int64)  # row ids
        self._cosines = np.empty(0, np.float32)
        self._points = np.empty((0, 0), np.float32)

    def follow(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Go over to other anchors: int64 (m,) row ids, oldest first, float32 (m, d); only what differs costs."""
        self._points = np.rint(vectors * _FIXED_POINT)  # (m, d)
        _, here, there = np.intersect1d(rows, self._rows, assume_unique=True, return_indices=True)
        nearest = np.full(len(rows), -1, np.int64)
        cosines = np.full(len(rows), -np.inf, np.float32)
        nearest[here], cosines[here] = self._nearest[there], self._cosines[there]
        self._rows, self._nearest, self._cosines = rows.copy(), nearest, cosines
        new = np.ones(len(rows), np.bool_)
        new[here] = False
        lost = ~np.isin(nearest, rows)  # includes the new ones
        self._search(np.flatnonzero(lost), np.ones(len(rows), np.bool_))
        self._offer(np.flatnonzero(new), np.flatnonzero(~lost))

    def take(self, count: int) -> list[int]:
        """Remove `count` anchors one after another, each time the oldest of those in a closest pair: their row ids."""
        alive = np.ones(len(self._rows), np.bool_)
        taken: list[int] = []
        for _ in range(count):
            left = np.flatnonzero(alive)
            victim = left[np.argmax(self._cosines[left])]  # of equals the first, which is the oldest
            alive[victim] = False
            taken.append(int(self._rows[victim]))
            self._search(np.flatnonzero(alive & (self._nearest == self._rows[victim])), alive)
        self._rows, self._nearest, self._cosines = self._rows[alive], self._nearest[alive], self._cosines[alive]
        self._points = np.empty((0, 0), np.float32)  # 2 MB per class would be too much to keep
        return taken

    def _search(self, which: NDArray[np.int64], alive: NDArray[np.bool_]) -> None:
        """Find the nearest of some anchors anew: int64 (s,) positions; bool (m,), among which."""
        if not which.size:
            return
        cosines = _products(self._points[which], self._points)  # (s, m)
        cosines[:, ~alive] = -np.inf
        cosines[np.arange(len(which)), which] = -np.inf
        best = cosines.argmax(axis=1)
        self._cosines[which] = cosines[np.arange(len(which)), best]
        self._nearest[which] = np.where(np.isneginf(self._cosines[which]), -1, self._rows[best])

    def _offer(self, new: NDArray[np.int64], kept: NDArray[np.int64]) -> None:
        """Let those whose nearest one is still there know of new ones: int64 (s,) and (p,) positions, disjoint."""
        if not new.size or not kept.size:
            return
        cosines = _products(self._points[kept], self._points[new])  # (p, s)
        best = cosines.argmax(axis=1)
        closest = cosines[np.arange(len(kept)), best]
        nearer = closest > self._cosines[kept]
        self._cosines[kept[nearer]] = closest[nearer]
        self._nearest[kept[nearer]] = self._rows[new[best[nearer]]]


def _products(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """All inner products of fixed-point vectors (s, d) and (m, d): (s, m), exact. In torch, see `ExactNeighbours`."""
    products: NDArray[np.float32] = (torch.from_numpy(some) @ torch.from_numpy(others).T).numpy()
    return products
