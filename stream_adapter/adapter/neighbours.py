"""The seam between the adapter and whatever finds the nearest anchors: `NearestAnchors`."""

from concurrent.futures import Executor
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.results import IndexStatistics


class Neighbours(NamedTuple):
    """The nearest anchors of B query vectors, nearest first.

    Attributes:
        rows: int64 (B, k), row ids; -1 pads where fewer were found.
        cosines: float32 (B, k), computed from the stored vectors; -inf where padded.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]


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
