"""The covariance within classes: a root of its inverse, in units of an event's mean square distance."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.mixture.anchor_sums import AnchorSums
from stream_adapter.adapter.mixture.constants import PRIOR, SPHERE, SPREAD


def whitening(
    anchors: AnchorSums, spread: tuple[float, float], give_way: Callable[[], None] = lambda: None
) -> NDArray[np.float32]:
    """R (d, d), float32, with |(z − m) R|² about 1 on average for an event z and its class's mean m.

    The covariance of the anchors around their classes' means, shrunk towards a sphere that weighs `SPHERE` pictures.
    How large it is the traffic says first. An anchor's distance from a mean that it is part of is too small by as
    much as it weighs there; that is undone in closed form, as if each had been left out.

    Args:
        anchors: sums over them.
        spread: of the traffic, see `Evidence.spread`.
        give_way: see `LearnerContext.give_way`.
    """
    d = anchors.sums.shape[1]
    variance = (PRIOR * SPREAD + spread[0]) / (PRIOR + spread[1])
    free = float(np.maximum(anchors.count - 1.0, 0.0).sum())
    if free < 1.0:
        return np.asarray(np.eye(d) / np.sqrt(variance), np.float32)
    scatter = anchors.scatter()
    give_way()
    trace = (PRIOR * variance + float(np.trace(scatter))) / (PRIOR + free)
    covariance = scatter / (free + SPHERE)
    ball = SPHERE / (free + SPHERE) * trace / d + 1e-9
    covariance[np.diag_indices(d)] += ball
    lower = np.asarray(np.linalg.cholesky(covariance), np.float64)
    give_way()
    root = _inverse(lower).T  # root rootᵀ = covariance⁻¹
    give_way()
    sphere = float(np.square(root).sum()) / d
    # tr(rootᵀ scatter root) / free, of what the root is the inverse of: no product of matrices.
    inside = (free + SPHERE) * d * (1.0 - ball * sphere) / free
    # A scatter of noise alone has no distance left out of it that a sphere would not have.
    inside = min(inside / max(1.0 - inside / (free + SPHERE), 0.02), sphere * trace)
    unit = (free * inside + PRIOR * sphere * variance) / (free + PRIOR)
    return np.asarray(root / np.sqrt(unit), np.float32)


def _inverse(lower: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a lower triangular matrix, by halves: a fifth of the time of a general inverse, which NumPy has alone."""
    n = len(lower)
    if n <= 64:
        return np.asarray(np.linalg.inv(lower))
    half = n // 2
    inverse = np.zeros_like(lower)
    inverse[:half, :half] = _inverse(lower[:half, :half])
    inverse[half:, half:] = _inverse(lower[half:, half:])
    inverse[half:, :half] = -inverse[half:, half:] @ (lower[half:, :half] @ inverse[:half, :half])
    return inverse
