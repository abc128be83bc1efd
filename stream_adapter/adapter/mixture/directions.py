"""The directions in which the traffic varies, and how much it does within classes: what copies are told by."""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.mixture.constants import DIRECTIONS, PRIOR, SPREAD
from stream_adapter.adapter.mixture.window import Window

# Share of the variance within classes that lies in the leading directions, before any traffic.
_SHARE = 0.4
_ITERATIONS = 3
_RIDGE = 1e-6


def find_directions(
    window: Window, vectors: NDArray[np.float32], belief: NDArray[np.float32], before: Directions | None, seed: int
) -> Directions:
    """The leading directions of a window by subspace iteration, and the variance within classes there.

    No label enters: they are the same whatever was labelled.

    Args:
        window: n events; not empty.
        vectors: float32 (n, d), theirs.
        belief: float32 (n, C), whose they are taken to be: rows sum to 1.
        before: where to begin; None: anywhere.
        seed: for that.
    """
    weights = window.weights
    centred = vectors - (weights @ vectors / weights.sum()).astype(np.float32)
    centred *= np.sqrt(weights)[:, None].astype(np.float32)
    dimension = vectors.shape[1]
    if before is None:
        matrix = np.random.default_rng(seed).normal(size=(dimension, min(DIRECTIONS, dimension))).astype(np.float32)
    else:
        matrix = before.matrix
    for _ in range(_ITERATIONS):
        matrix = np.linalg.qr(centred.T @ (centred @ matrix) + np.float32(_RIDGE) * matrix)[0]
    projected = vectors @ matrix  # (n, k)
    weighted = belief * weights[:, None].astype(np.float32)
    mass = weighted.sum(axis=0, dtype=np.float64)  # (C,)
    several = mass >= 2.0
    means = weighted[:, several].T @ projected  # (m, k)
    inside = float((np.square(projected).sum(axis=1) @ weighted[:, several]).sum())
    inside -= float((np.square(means).sum(axis=1) / mass[several]).sum())
    free = float((mass[several] - 1.0).sum())
    variance = (PRIOR * _SHARE * SPREAD + max(inside, 0.0)) / (PRIOR + free)
    return Directions(np.ascontiguousarray(matrix, np.float32), variance, window.seen)
