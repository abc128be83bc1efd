"""Labels that the other anchors contradict."""

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 8
_DECAY = 10.0  # how fast a neighbour's word fades with its cosine distance, as nearness does
_ROWS_AT_ONCE = 1_024


def contradictions(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], k: int = NEIGHBOURS
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What the k nearest other anchors of each of n say, by how near they are. Takes the square of n.

    Args:
        vectors: float32 (n, d), unit.
        labels: int64 (n,), from 0.
        k: neighbours that are asked.

    Returns:
        Float64 (n,), the share of their word for other labels, and int64 (n,), the label that most of it is for.
    """
    n, k = len(labels), max(0, min(k, len(labels) - 1))
    shares, others = np.zeros(n), labels.copy()
    for start in range(0, n if k else 0, _ROWS_AT_ONCE):
        own = labels[start : start + _ROWS_AT_ONCE]
        cosines = vectors[start : start + _ROWS_AT_ONCE] @ vectors.T  # (b, n)
        rows = np.arange(len(own))
        cosines[rows, start + rows] = -np.inf  # itself
        nearest = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
        weights = np.exp(_DECAY * (np.take_along_axis(cosines, nearest, axis=1) - 1.0))  # (b, k)
        votes = np.zeros((len(own), int(labels.max()) + 1))
        np.add.at(votes, (rows[:, None], labels[nearest]), weights)
        shares[start : start + len(own)] = 1.0 - votes[rows, own] / votes.sum(axis=1)
        others[start : start + len(own)] = votes.argmax(axis=1)
    return shares, others
