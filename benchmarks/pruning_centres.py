"""Pruning policies whose anchors are centres of several labels, for `pruning_study.py`.

A centre is no event: it has no id that a correction or a deletion could name, and two workers that merge at different
moments end with different ones. They are here to show what is missed.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from pruning_rivals import Rival, gone
from scipy.cluster.hierarchy import fcluster, linkage
from typing_extensions import override

from stream_adapter.adapter import Adapter, Anchor
from stream_adapter.adapter.pruning import Victim


class Centres(Rival):
    """Anchors that stand for several: the rival replaces a class's anchors instead of choosing among them."""

    _made = 0

    @override
    def victims(self) -> list[Victim]:
        found: list[Victim] = []
        store = self.store
        for class_index, excess in self.excess().items():
            slots = np.flatnonzero(store.classes == class_index)
            rows, newest = store.rows[slots], int(store.times[slots].max())
            stay, centres = self.condense(class_index, slots, len(slots) - excess)
            found += gone(rows[~stay])
            anchors = []
            for centre, count in centres:
                self._made += 1
                id = f"centre {self._made}"
                self.weigh(id, count)
                anchors.append(Anchor(id, unit(centre), store.class_names[class_index], newest))
            self.adapter.follow(anchors)
        return found

    def condense(
        self, class_index: int, slots: NDArray[np.int64], keep: int
    ) -> tuple[NDArray[np.bool_], list[tuple[NDArray[np.float32], float]]]:
        """Which slots stay as they are, bool (m,), and the centres that take the others' place, with their counts."""
        raise NotImplementedError

    def weigh(self, id: str, count: float) -> None:
        """Hear what a new centre is called and how many labels it stands for."""


class Merging(Centres):
    """The pair whose merging loses least (Ward: n m / (n + m) · distance) becomes its weighted centre."""

    def __init__(self, adapter: Adapter, budget: int, texts: NDArray[np.float32]) -> None:
        super().__init__(adapter, budget, texts)
        self._counts: dict[str, float] = {}

    @override
    def condense(
        self, class_index: int, slots: NDArray[np.int64], keep: int
    ) -> tuple[NDArray[np.bool_], list[tuple[NDArray[np.float32], float]]]:
        vectors = self.store.vectors[slots].copy()  # (m, d)
        counts = np.array([self._counts.get(self.store.ids[slot], 1.0) for slot in slots.tolist()])
        alive, changed = np.ones(len(slots), np.bool_), np.zeros(len(slots), np.bool_)
        for _ in range(len(slots) - keep):
            loss = counts[:, None] * counts / (counts[:, None] + counts) * (1.0 - vectors @ vectors.T)
            loss[~alive], loss[:, ~alive] = np.inf, np.inf
            np.fill_diagonal(loss, np.inf)
            one, other = divmod(int(loss.argmin()), len(slots))
            vectors[one] = unit(counts[one] * vectors[one] + counts[other] * vectors[other])
            counts[one] += counts[other]
            alive[other], changed[one] = False, True
        made = np.flatnonzero(alive & changed).tolist()
        return alive & ~changed, [(vectors[index], float(counts[index])) for index in made]

    @override
    def weigh(self, id: str, count: float) -> None:
        self._counts[id] = count


class Agglomerative(Centres):
    """The centres of average-linkage clusters of all labels so far, none of which is ever thrown away.

    As in the paper (Ibing, Lim, Kobbelt 2023), which clusters a training set: an upper bound for a stream.
    """

    def __init__(self, adapter: Adapter, budget: int, texts: NDArray[np.float32]) -> None:
        super().__init__(adapter, budget, texts)
        self._all: dict[int, dict[str, NDArray[np.float32]]] = defaultdict(dict)

    @override
    def condense(
        self, class_index: int, slots: NDArray[np.int64], keep: int
    ) -> tuple[NDArray[np.bool_], list[tuple[NDArray[np.float32], float]]]:
        known = self._all[class_index]
        for slot in slots.tolist():
            if not self.store.ids[slot].startswith("centre "):
                known[self.store.ids[slot]] = self.store.vectors[slot].copy()
        vectors = np.stack(list(known.values()))  # (n, d)
        if keep == 0:
            return np.zeros(len(slots), np.bool_), []
        clusters = np.ones(len(vectors), np.int64)
        if len(vectors) > 1:
            clusters = fcluster(linkage(vectors, "average"), keep, "maxclust")
        centres = [(vectors[clusters == index].mean(axis=0), 1.0) for index in np.unique(clusters)]
        return np.zeros(len(slots), np.bool_), centres


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of length 1."""
    one: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return one


CENTRES: dict[str, type[Rival]] = {"merging": Merging, "agglomerative": Agglomerative}
