"""Which anchors go when there are more than the budget allows: what adds least goes first.

    worth(a) = w(a) · (1 + f − confidence(a))

w is the weight by which an anchor counts (`weights.py`), so pruning and counting are one idea: a copy of a copy has
next to no weight, and when it goes its weight is the survivors'. The second factor is how much the untouched model is
in doubt about the picture: what it is sure of it would answer without an anchor too. That the label itself is not
looked at is on purpose: an anchor that the untouched model contradicts is either the most useful one or a wrong label.

Classes get as much of the budget as their anchors are worth, not equal shares. Three rules bound that. No class keeps
more than `budget_per_class`. None gives below a quarter of an even share: a class of which next to nothing is left is
lost. And none loses its last anchor while another has two; with more classes than the budget has room for, those with
the newest events keep their one. Of equals the oldest goes.

What has to go is a function of the set of anchors, the directions, the vocabulary and the budgets, so that workers that
hold the same ones come to the same, but for worths that differ by rounding alone.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.results import RemovedReason
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.adapter.anchors.weights import AnchorWeights, closeness
from stream_adapter.adapter.classes import Classes
from stream_adapter.config import AnchorsConfig

_LEAST_DOUBT = 0.1  # f: what nobody doubts still takes part, by its weight alone
_UNKNOWN_DOUBT = 0.55
_WORTH_STEPS = 1_024.0  # worths are compared in these steps, so that rounding does not decide
# Multiplications per call that finding out doubts of anchors which came in bulk may cost: 2 ms.
_DOUBT_COST = 1 << 27
# From this share of the budget on doubts are found out.
_WARM_UP = 0.9
# Anchors removed in one call; after a restore with a smaller budget the rest go in the next ones.
_AT_ONCE = 4_096


class Victim(NamedTuple):
    """An anchor to remove, and which budget it exceeds."""

    row: int
    reason: RemovedReason


class Pruner:
    """Finds the anchors to remove."""

    def __init__(self, store: AnchorStore, weights: AnchorWeights, classes: Classes, config: AnchorsConfig) -> None:
        self._store = store
        self._weights = weights
        self._classes = classes
        self._config = config

    def victims(self) -> list[Victim]:
        """Anchors that have to go for the budgets to hold; the caller removes them. Empty within the budgets."""
        counts = self._store.counts  # (C,)
        crowded = counts > self._config.budget_per_class
        if not crowded.any() and counts.sum() < _WARM_UP * self._config.budget:
            return []
        unknown = np.flatnonzero(np.isnan(self._store.doubt))[: max(16, _DOUBT_COST // self._classes.texts.size)]
        if unknown.size:
            self._store.doubt[unknown] = doubt(self._store.vectors[unknown], self._classes)
        excess = counts.sum() - self._config.budget
        if not crowded.any() and excess <= 0:
            return []
        ranking = _Ranking(self._store, self._weights)
        victims: list[Victim] = []
        for class_index in np.flatnonzero(crowded).tolist():
            members = self._store.members(class_index)
            for _ in range(min(counts[class_index] - self._config.budget_per_class, _AT_ONCE - len(victims))):
                victims.append(Victim(ranking.take(members), "class budget"))
                counts[class_index] -= 1
        spared = max(1, self._config.budget // (4 * max(1, int((counts > 0).sum()))))
        ranking.spare(np.flatnonzero((counts <= spared)[self._store.classes]))
        for _ in range(min(int(counts.sum()) - self._config.budget, _AT_ONCE - len(victims))):
            if not np.isfinite(ranking.worth.min(initial=np.inf)):  # none is left to take
                return victims + self._stalest(int(counts.sum()) - self._config.budget, ranking.left)
            victims.append(Victim(ranking.take(), "total budget"))
            class_index = int(self._store.classes[ranking.last])
            counts[class_index] -= 1
            if counts[class_index] <= spared:
                ranking.spare(self._store.members(class_index))
        return victims

    def _stalest(self, excess: int, left: NDArray[np.bool_]) -> list[Victim]:
        """The oldest of the anchors that are left, which are one for each class: none has more than it is spared."""
        slots = np.flatnonzero(left)
        by_age = slots[np.lexsort((self._store.keys[slots], self._store.times[slots]))]
        return [Victim(int(row), "total budget") for row in self._store.rows[by_age[:excess]].tolist()]


def doubt(vectors: NDArray[np.float32], classes: Classes) -> NDArray[np.float32]:
    """1 + f minus the untouched model's largest probability: float32 (n,), of unit vectors (n, d)."""
    logits = classes.logit_scale * (vectors @ classes.texts.T)  # (n, C)
    confidence = 1.0 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    doubts: NDArray[np.float32] = (1.0 + _LEAST_DOUBT - confidence).astype(np.float32)
    return doubts


class _Ranking:
    """Anchors by worth, while some of them are thought away."""

    def __init__(self, store: AnchorStore, weights: AnchorWeights) -> None:
        self._store = store
        self._weights = weights
        weights.level()
        self._doubt = np.nan_to_num(store.doubt.astype(np.float64), nan=_UNKNOWN_DOUBT)
        self._crowding = store.crowding.copy()
        self.worth = self._worth_at(np.arange(len(store)))  # infinite for what is thought away or spared
        self.left = np.ones(len(store), np.bool_)
        self.last = -1

    def spare(self, slots: NDArray[np.int64]) -> None:
        """None of these, int64 (m,), is to be taken."""
        self.worth[slots] = np.inf

    def take(self, among: NDArray[np.int64] | slice = slice(None)) -> int:
        """The row of the anchor of these slots that is worth least; from here on it is thought away."""
        store, worth = self._store, self.worth[among]
        least = np.flatnonzero(worth == worth.min())
        if not isinstance(among, slice):
            least = among[least]
        self.last = int(least[np.lexsort((store.keys[least], store.times[least]))[0]])
        self.left[self.last], self.worth[self.last] = False, np.inf
        if self._weights.directions is not None:
            members = store.members(int(store.classes[self.last]))
            near = closeness(store.placed[self.last][None], store.placed[members])[0]
            touched = np.flatnonzero((near > 0.0) & np.isfinite(self.worth[members]))
            self._crowding[members[touched]] -= near[touched]
            self.worth[members[touched]] = self._worth_at(members[touched])
        return int(store.rows[self.last])

    def _worth_at(self, slots: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(np.rint(_WORTH_STEPS * self._doubt[slots] / np.maximum(self._crowding[slots], 1.0)))
