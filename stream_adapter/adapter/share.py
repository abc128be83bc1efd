"""Which anchors a worker decides about, when several hold the same ones."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Share(NamedTuple):
    """The anchors whose key falls to one worker's input partitions; the shares of a group are disjoint.

    Every worker sees when a budget is exceeded and which anchors have to go. Who removes them must be one alone:
    two that prune at once would remove twice as many.

    Attributes:
        partitions: numbers of the input partitions that the worker owns.
        of: how many partitions the input has.
    """

    partitions: frozenset[int]
    of: int

    def holds(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which anchors are in the share: uint64 (n,), hashes of their ids -> bool (n,)."""
        numbers = (keys % np.uint64(self.of)).astype(np.int64)
        return np.isin(numbers, np.fromiter(self.partitions, np.int64, len(self.partitions)))


EVERYTHING = Share(frozenset({0}), 1)
