"""Pruning policies that are compared with the shipped one; `pruning_study.py` runs them.

They stand in for `stream_adapter.adapter.pruning.Pruner` in one adapter. "class …" and all without a word about it give
each class an even share of the budget, as `allowances` does: what differs is who goes within a class. Some use what one
worker alone knows (what its predictions did, how many labels a centre stands for) and could not be shipped as they are.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from stream_adapter.adapter import Adapter
from stream_adapter.adapter.allowances import allowances
from stream_adapter.adapter.pruning import Victim
from stream_adapter.adapter.results import AdapterPrediction
from stream_adapter.adapter.store import AnchorStore


class Rival:
    """A policy: within a class, the slots with the smallest `worth` go.

    Args:
        adapter: whose anchors.
        budget: most of them.
        texts: float32 (C, d), the class vectors.
    """

    def __init__(self, adapter: Adapter, budget: int, texts: NDArray[np.float32]) -> None:
        self.adapter, self.budget, self.texts = adapter, budget, texts

    @property
    def store(self) -> AnchorStore:
        """The anchors."""
        return self.adapter._store

    def taught(
        self, answer: AdapterPrediction, rows: NDArray[np.int64], classes: NDArray[np.int64], ids: list[str]
    ) -> None:
        """Hear of a batch's labels before they are learned: rows of the answer, their classes, their anchors' ids."""

    def excess(self, left: NDArray[np.bool_] | None = None) -> dict[int, int]:
        """How many anchors each class has too many; bool (n,), of those that are left."""
        store = self.store
        left = np.ones(len(store), np.bool_) if left is None else left
        counts = np.bincount(store.classes[left], minlength=len(self.texts))
        newest = np.full(len(counts), -1, np.int64)
        np.maximum.at(newest, store.classes[left], store.times[left])
        over = counts - allowances(counts, newest, self.budget, self.budget)
        return {index: int(over[index]) for index in np.flatnonzero(over).tolist()}

    def victims(self) -> list[Victim]:
        """As `Pruner.victims`."""
        found: list[Victim] = []
        for class_index, excess in self.excess().items():
            slots = np.flatnonzero(self.store.classes == class_index)
            slots = slots[np.lexsort((self.store.keys[slots], self.store.times[slots]))]  # oldest first
            found += gone(self.store.rows[self.choose(slots, excess)])
        return found

    def choose(self, slots: NDArray[np.int64], excess: int) -> NDArray[np.int64]:
        """Which of one class's slots (m,), oldest first, go: (excess,)."""
        return slots[np.argsort(self.worth(slots), kind="stable")[:excess]]

    def worth(self, slots: NDArray[np.int64]) -> NDArray[np.float64]:
        """Float64 (m,): the least goes first, of equals the oldest."""
        return np.zeros(len(slots))


def gone(rows: NDArray[np.int64]) -> list[Victim]:
    """Rows as victims."""
    return [Victim(row, "total budget") for row in rows.tolist()]


class Fifo(Rival):
    """The oldest of all go."""

    @override
    def victims(self) -> list[Victim]:
        order = np.lexsort((self.store.keys, self.store.times))
        return gone(self.store.rows[order[: max(0, len(self.store) - self.budget)]])


class Reservoir(Rival):
    """A uniform sample of all labels so far: those whose ids hash highest go, however they came."""

    @override
    def victims(self) -> list[Victim]:
        order = np.argsort(self.store.keys)[::-1]
        return gone(self.store.rows[order[: max(0, len(self.store) - self.budget)]])


class QuotaFifo(Rival):
    """The oldest of the class go."""


class QuotaReservoir(Rival):
    """A uniform sample of each class."""

    @override
    def worth(self, slots: NDArray[np.int64]) -> NDArray[np.float64]:
        return -self.store.keys[slots].astype(np.float64)


class Skip(Rival):
    """What is close to an anchor of its class, and was predicted right, never goes in; then the class's oldest go."""

    CLOSE = 0.85

    def __init__(self, adapter: Adapter, budget: int, texts: NDArray[np.float32]) -> None:
        super().__init__(adapter, budget, texts)
        self._right: set[str] = set()

    @override
    def taught(
        self, answer: AdapterPrediction, rows: NDArray[np.int64], classes: NDArray[np.int64], ids: list[str]
    ) -> None:
        right = answer.adapted[rows].argmax(axis=1) == classes
        near = (answer.neighbour_classes[rows] == classes[:, None]) & (answer.neighbour_cosines[rows] >= self.CLOSE)
        self._right = {ids[index] for index in np.flatnonzero(right & near.any(axis=1)).tolist()}

    @override
    def victims(self) -> list[Victim]:
        store = self.store
        left = np.array([id not in self._right for id in store.ids], np.bool_)
        self._right = set()
        found = gone(store.rows[~left])
        for class_index, excess in self.excess(left).items():
            slots = np.flatnonzero((store.classes == class_index) & left)
            found += gone(store.rows[slots[np.lexsort((store.keys[slots], store.times[slots]))][:excess]])
        return found


class Utility(Rival):
    """Credit for each event that an anchor was near to and that was put right, harm for one that was put wrong."""

    DECAY, NEAREST = 0.99, 5

    def __init__(self, adapter: Adapter, budget: int, texts: NDArray[np.float32]) -> None:
        super().__init__(adapter, budget, texts)
        self._utility: defaultdict[str, float] = defaultdict(float)

    @override
    def taught(
        self, answer: AdapterPrediction, rows: NDArray[np.int64], classes: NDArray[np.int64], ids: list[str]
    ) -> None:
        for row, label in zip(rows.tolist(), classes.tolist(), strict=True):
            before, after = int(answer.zero_shot[row].argmax()), int(answer.adapted[row].argmax())
            for id in self._utility:
                self._utility[id] *= self.DECAY
            if before != after and label in (before, after):
                near = answer.neighbour_classes[row] == after
                for id in answer.neighbour_ids[row][near][: self.NEAREST]:
                    self._utility[id] += 1.0 if label == after else -1.0

    @override
    def worth(self, slots: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([self._utility[self.store.ids[slot]] for slot in slots.tolist()])


class ClosestPair(Rival):
    """One of the closest pair: the older one, or the one that the untouched model is surer of."""

    surer = False

    @override
    def choose(self, slots: NDArray[np.int64], excess: int) -> NDArray[np.int64]:
        cosines = self.store.vectors[slots] @ self.store.vectors[slots].T  # (m, m)
        np.fill_diagonal(cosines, -np.inf)
        sure = confidence(self.store.vectors[slots], self.texts)  # (m,)
        left = np.ones(len(slots), np.bool_)
        for _ in range(excess):
            one, other = sorted(divmod(int(cosines.argmax()), len(slots)))
            victim = other if self.surer and sure[other] > sure[one] else one
            if left.sum() == 1:
                victim = int(left.argmax())
            left[victim] = False
            cosines[victim] = cosines[:, victim] = -np.inf
        return slots[~left]


class SurerOfPair(ClosestPair):
    """One of the closest pair: the one that the untouched model is surer of."""

    surer = True


class Least(Rival):
    """The anchor of least worth goes, whatever its class, unless it is its class's last one."""

    def worth_of(self, order: NDArray[np.int64], nearest: NDArray[np.float64]) -> NDArray[np.float64]:
        """Float64 (n,), of slots (n,), given their cosines with the nearest one of their class (n,)."""
        raise NotImplementedError

    @override
    def victims(self) -> list[Victim]:
        store = self.store
        order = np.lexsort((store.keys, store.times))
        classes, vectors = store.classes[order], store.vectors[order]
        cosines = np.where(classes[:, None] == classes, vectors @ vectors.T, -1.0)
        np.fill_diagonal(cosines, -1.0)
        left = np.ones(len(order), np.bool_)
        found = []
        for _ in range(max(0, len(order) - self.budget)):
            worth = self.worth_of(order, cosines.max(axis=1))
            counts = np.bincount(classes[left], minlength=len(self.texts))
            if counts.max() > 1:
                worth[counts[classes] == 1] = np.inf
            worth[~left] = np.inf
            victim = int(worth.argmin())
            left[victim] = False
            cosines[victim] = cosines[:, victim] = -1.0
            found.append(victim)
        return gone(store.rows[order[found]])


class DoubtAlone(Least):
    """What the untouched model is surest of goes."""

    @override
    def worth_of(self, order: NDArray[np.int64], nearest: NDArray[np.float64]) -> NDArray[np.float64]:
        return -confidence(self.store.vectors[order], self.texts)


class DoubtfulReservoir(Least):
    """A sample weighted by how little the untouched model is sure (Efraimidis and Spirakis, 2006)."""

    @override
    def worth_of(self, order: NDArray[np.int64], nearest: NDArray[np.float64]) -> NDArray[np.float64]:
        uniform = (self.store.keys[order].astype(np.float64) + 1.0) / 2.0**64
        return np.log(uniform) / (1.02 - confidence(self.store.vectors[order], self.texts))


class DistanceAlone(Least):
    """The older one of the closest pair of all classes goes."""

    @override
    def worth_of(self, order: NDArray[np.int64], nearest: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1.0 - nearest


def confidence(vectors: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float64]:
    """Float64 (m,): zero-shot's largest probability at CLIP's scale of 100."""
    logits = 100.0 * (vectors @ texts.T).astype(np.float64)
    sure: NDArray[np.float64] = 1.0 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)
    return sure


SELECTING: dict[str, type[Rival]] = {
    "fifo": Fifo,
    "reservoir": Reservoir,
    "class fifo": QuotaFifo,
    "class reservoir": QuotaReservoir,
    "skip": Skip,
    "utility": Utility,
    "older of pair": ClosestPair,
    "surer of pair": SurerOfPair,
    "distance alone": DistanceAlone,
    "doubt alone": DoubtAlone,
    "doubtful reservoir": DoubtfulReservoir,
}
