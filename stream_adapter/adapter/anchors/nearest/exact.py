"""Exact nearest anchors: one matrix product with the store's own vectors."""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.nearest.neighbours import Neighbours, nothing_found, ranked
from stream_adapter.adapter.anchors.store import AnchorStore

# Cosines held at a time: 64 MiB of float32, whatever the size of the store.
_BLOCK_CELLS = 1 << 24


class ExactNeighbours:
    """Compares every query with every anchor. The store is its index."""

    def __init__(self, store: AnchorStore) -> None:
        self._store = store

    def query(self, vectors: NDArray[np.float32], k: int) -> Neighbours:
        """The k nearest anchors of each of float32 (B, d) unit vectors, all of them if there are fewer than k."""
        anchors = self._store.vectors  # (n, d)
        found = min(k, len(anchors))
        if found == 0:
            return nothing_found(len(vectors), k)
        slots = np.empty((len(vectors), found), np.int64)
        block = max(1, _BLOCK_CELLS // len(anchors))
        for start in range(0, len(vectors), block):
            part = slice(start, start + block)
            slots[part] = _largest(vectors[part] @ anchors.T, found)  # (b, d) @ (d, n) -> (b, n) -> (b, found)
        return ranked(self._store, vectors, slots, k)


def _largest(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Int64 (b, k), the places of the k largest of each row, in no order."""
    n = scores.shape[1]
    if n <= k:
        return np.tile(np.arange(n), (len(scores), 1))
    return np.argpartition(scores, n - k, axis=1)[:, n - k :]
