"""Which anchors a worker decides about, when several hold the same ones."""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


def key_of(anchor_id: str) -> int:
    """A 64-bit hash of an anchor's id: an order, and a division among workers, that all workers agree on."""
    return int.from_bytes(hashlib.blake2b(anchor_id.encode(), digest_size=8).digest(), "big")


class Ownership(NamedTuple):
    """The anchors whose key falls to one worker's input partitions; those of the workers of a group are disjoint.

    Every worker sees when a budget is exceeded and which anchors have to go. Who removes them must be one alone:
    two that prune at once would remove twice as many.

    Attributes:
        partitions: numbers of the input partitions that the worker owns.
        of: how many partitions the input has.
    """

    partitions: frozenset[int]
    of: int

    def owns(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which anchors are owned: uint64 (n,), their `key_of` -> bool (n,)."""
        numbers = (keys % np.uint64(self.of)).astype(np.int64)
        return np.isin(numbers, np.fromiter(self.partitions, np.int64, len(self.partitions)))

    def owns_id(self, anchor_id: str) -> bool:
        """Whether the anchor of this id is owned."""
        return key_of(anchor_id) % self.of in self.partitions


EVERYTHING = Ownership(frozenset({0}), 1)
NOTHING = Ownership(frozenset(), 1)
