"""Exact nearest anchors: one matrix product with the store's own vectors."""

from concurrent.futures import Executor

import numpy as np
import torch
from numpy.typing import NDArray

from stream_adapter.adapter.neighbours import Neighbours, nothing_found, ranked
from stream_adapter.adapter.results import IndexStatistics
from stream_adapter.adapter.store import AnchorStore

# Cosines held at a time: 64 MiB of float32, whatever the size of the store.
_BLOCK_CELLS = 1 << 24


class ExactNeighbours:
    """Compares every query with every anchor. The store is its index: nothing to add, to remove or to rebuild.

    In torch, as everything else that multiplies matrices here: numpy's BLAS has threads of its own, and where two pools
    of threads wait actively on few cores, a product of half a millisecond was seen to take 30.
    """

    def __init__(self, store: AnchorStore) -> None:
        self._store = store

    def add(self, rows: NDArray[np.int64]) -> None:
        """Nothing to do: the store has them."""

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Nothing to do: the store has let them go."""

    def query(self, vectors: NDArray[np.float32], k: int) -> Neighbours:
        """See `NearestAnchors.query`."""
        anchors = self._store.vectors  # (n, d)
        found = min(k, len(anchors))
        if found == 0:
            return nothing_found(len(vectors), k)
        slots = np.empty((len(vectors), found), np.int64)
        block = max(1, _BLOCK_CELLS // len(anchors))
        for start in range(0, len(vectors), block):
            part = slice(start, start + block)
            scores = torch.from_numpy(anchors) @ torch.from_numpy(vectors[part]).T  # (n, d) @ (d, b) -> (n, b)
            slots[part] = torch.topk(scores, found, dim=0).indices.T.numpy()  # (b, found)
        return ranked(self._store, vectors, slots, k)

    def maintain(self, executor: Executor) -> None:
        """Nothing to do."""

    @property
    def graph(self) -> None:
        """There is none."""
        return None

    @property
    def statistics(self) -> IndexStatistics:
        """See `NearestAnchors.statistics`."""
        return IndexStatistics(kind="exact", live=len(self._store))
