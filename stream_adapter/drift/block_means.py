"""Means of consecutive values: what detectors that look at every value one by one are fed with, to save time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.detector import State


class BlockMeans:
    """Cuts a stream of values into blocks, however it is split into batches.

    Args:
        block: values in a block.

    Example:
        >>> means = BlockMeans(block=2)
        >>> means.take(np.array([1.0, 3.0, 5.0]))
        (array([2.]), array([1]))
        >>> means.take(np.array([7.0]))
        (array([6.]), array([0]))
    """

    def __init__(self, block: int) -> None:
        if block < 1:
            raise ValueError(f"block must be at least 1, got {block}")
        self.block = block
        self._pending = np.zeros(0)

    def take(self, values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Means of the blocks that `values` (B,) completes, and the row that completed each."""
        waiting = len(self._pending)
        everything = np.concatenate([self._pending, np.asarray(values, dtype=np.float64)])
        n_blocks = len(everything) // self.block
        whole, self._pending = np.split(everything, [n_blocks * self.block])
        rows = np.arange(1, n_blocks + 1) * self.block - waiting - 1
        return whole.reshape(n_blocks, self.block).mean(axis=1), rows

    def state(self) -> State:
        """The values of the block that is not complete."""
        return {"pending": self._pending.tolist()}

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self._pending = np.array(state["pending"], dtype=np.float64)
