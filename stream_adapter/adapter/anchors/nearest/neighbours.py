"""The seam between the adapter and whatever finds the nearest anchors: `NearestAnchors`."""

from concurrent.futures import Executor
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.results import IndexStatistics
from stream_adapter.adapter.anchors.store import AnchorStore


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
    arrival; a worker that was restored shall answer bit for bit as the others do.

    Args:
        store: the anchors; must not be empty.
        vectors: float32 (B, d), the queries.
        slots: int64 (B, m), m <= k candidates for each query, -1 where there is none.
        k: how many neighbours the answer has room for.
    """
    candidates = store.vectors[slots]  # (B, m, d)
    cosines = np.einsum("bd,bmd->bm", vectors, candidates)
    cosines[slots < 0] = -np.inf
    order = np.argsort(-cosines, axis=1, kind="stable")
    found = nothing_found(len(vectors), k)
    rows = np.where(slots < 0, -1, store.rows[slots])
    found.rows[:, : slots.shape[1]] = np.take_along_axis(rows, order, axis=1)
    found.cosines[:, : slots.shape[1]] = np.take_along_axis(cosines, order, axis=1)
    return found


class NearestAnchors(Protocol):
    """A cache over the anchor store that finds nearest anchors. Used by the thread that owns the adapter.

    The store is changed first, then the index is told; a query between the two may miss what was added but never
    returns what is gone.
    """

    def add(self, rows: NDArray[np.int64]) -> None:
        """Anchors that are new in the store; int64 (n,) row ids that were never given before."""

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Anchors that have left the store; int64 (n,) row ids that were added before."""

    def query(self, vectors: NDArray[np.float32], k: int) -> Neighbours:
        """The k nearest anchors of each of float32 (B, d) unit vectors, all of them if there are fewer than k."""

    def maintain(self, executor: Executor) -> None:
        """Swap in what was rebuilt in the background and start a rebuild that is due; called between batches.

        Raises:
            BaseException: whatever a background rebuild raised.
        """

    @property
    def statistics(self) -> IndexStatistics:
        """How the search is doing."""
