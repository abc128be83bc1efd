"""What a search for nearest anchors answers, how candidates are put in order, and the exact search."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.store import AnchorStore

# Cosines held at a time: 64 MiB of float32, whatever the size of the store.
_BLOCK_CELLS = 1 << 24
# Neighbouring cosines of which the largest is looked at first.
_TOGETHER = 64


class Neighbours(NamedTuple):
    """The nearest anchors of B query vectors, nearest first.

    Attributes:
        rows: int64 (B, k), row ids; -1 pads where fewer were found.
        cosines: float32 (B, k), computed from the stored vectors; -inf where padded.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]


def nothing_found(queries: int, k: int) -> Neighbours:
    """The answer of an empty store."""
    return Neighbours(np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32))


def ranked(store: AnchorStore, vectors: NDArray[np.float32], slots: NDArray[np.int64], k: int) -> Neighbours:
    """Candidates in order, with cosines computed pair by pair.

    A matrix product's last bits depend on where in the matrix a vector stands, and a store's slots on the order of
    arrival; a worker that was restored shall answer bit for bit as the others do. Of equally near ones, such as copies,
    the one whose id has the smaller hash comes first.

    Args:
        store: the anchors; must not be empty.
        vectors: float32 (B, d), the queries.
        slots: int64 (B, m), m <= k candidates for each query, -1 where there is none.
        k: how many neighbours the answer has room for.
    """
    candidates = store.vectors[slots]  # (B, m, d)
    cosines = np.einsum("bd,bmd->bm", vectors, candidates)
    cosines[slots < 0] = -np.inf
    order = np.lexsort((store.keys[slots], -cosines), axis=1)
    found = nothing_found(len(vectors), k)
    rows = np.where(slots < 0, -1, store.rows[slots])
    found.rows[:, : slots.shape[1]] = np.take_along_axis(rows, order, axis=1)
    found.cosines[:, : slots.shape[1]] = np.take_along_axis(cosines, order, axis=1)
    return found


def exact(store: AnchorStore, vectors: NDArray[np.float32], k: int) -> Neighbours:
    """The k nearest of all anchors of each of float32 (B, d) unit vectors, all of them if there are fewer than k."""
    anchors = store.vectors  # (n, d)
    found = min(k, len(anchors))
    if found == 0:
        return nothing_found(len(vectors), k)
    slots = np.empty((len(vectors), found), np.int64)
    block = max(1, _BLOCK_CELLS // len(anchors))
    for start in range(0, len(vectors), block):
        part = slice(start, start + block)
        scores = vectors[part] @ anchors.T  # (b, d) @ (d, n) -> (b, n)
        # Of all of them there is nothing to choose, and they stay in their order.
        slots[part] = _largest(scores, found) if found < len(anchors) else np.arange(found)
    return ranked(store, vectors, slots, k)


def _largest(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Where the k largest of each row are, in no order: float32 (b, n) -> int64 (b, k), k < n.

    The k-th largest of the maxima of groups has at least k at or above it, and few more: those alone are put in order,
    which takes half the time of looking for k among n.
    """
    rows, n = scores.shape
    groups = n // _TOGETHER
    if groups < k:
        return scores.argpartition(-k, axis=1)[:, -k:]
    maxima = scores[:, : groups * _TOGETHER].reshape(rows, groups, _TOGETHER).max(axis=2)
    least = np.partition(maxima, -k, axis=1)[:, -k, None]  # (b, 1)
    row, column = np.nonzero(scores >= least)
    counts = np.bincount(row, minlength=rows)  # (b,), each at least k
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = np.zeros((rows, counts.max(initial=k)), np.int64)
    found = np.full(columns.shape, -np.inf, np.float32)
    columns[row, place], found[row, place] = column, scores[row, column]
    return np.take_along_axis(columns, found.argpartition(-k, axis=1)[:, -k:], axis=1)
