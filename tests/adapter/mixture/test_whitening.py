"""The root of the inverse covariance against plain linear algebra."""

from typing import Any

import numpy as np
import pytest

from stream_adapter.adapter.mixture.constants import PRIOR, SPHERE, SPREAD
from stream_adapter.adapter.mixture.whitening import whitening

SEEN = (30.0, 60.0)  # what the traffic says: squares, and of how many


class Sums:
    """Stands for `AnchorSums`: events around the means of their classes."""

    def __init__(self, events: int, d: int, shape: float, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        truth = random.integers(0, 4, events)
        points = random.normal(size=(events, d)) * np.exp(-shape * np.arange(d)) / np.sqrt(d)
        self.count = np.bincount(truth, minlength=5).astype(float)
        self.sums = np.zeros((5, d))
        np.add.at(self.sums, truth, points)
        self._inside = points - (self.sums / np.maximum(self.count, 1)[:, None])[truth]

    def scatter(self) -> np.ndarray:
        return self._inside.T @ self._inside


def expected(sums: Sums) -> tuple[np.ndarray, bool]:
    """R Rᵀ, and whether a sphere would have done."""
    d = sums.sums.shape[1]
    variance = (PRIOR * SPREAD + SEEN[0]) / (PRIOR + SEEN[1])
    free, scatter = (sums.count[sums.count > 0] - 1).sum(), sums.scatter()
    trace = (PRIOR * variance + np.trace(scatter)) / (PRIOR + free)
    covariance = (scatter + SPHERE * trace / d * np.eye(d)) / (free + SPHERE) + 1e-9 * np.eye(d)
    precision = np.linalg.inv(covariance)
    sphere = np.trace(precision) / d
    inside = np.trace(precision @ scatter) / free
    apart = inside / max(1 - inside / (free + SPHERE), 0.02)
    unit = (free * min(apart, sphere * trace) + PRIOR * sphere * variance) / (free + PRIOR)
    return precision / unit, bool(apart >= sphere * trace)


@pytest.mark.parametrize(
    ("events", "d", "shape", "bounded"),
    [
        (300, 20, 0.15, False),
        (300, 20, 0.0, True),
        (12, 20, 0.0, True),
        (90, 150, 0.02, False),
        (3_000, 150, 0.02, False),
    ],
)
def test_it_is_the_root_of_the_inverse_in_units_of_a_mean_square_distance(
    events: int, d: int, shape: float, bounded: bool
) -> None:
    sums: Any = Sums(events, d, shape)
    root = whitening(sums, SEEN).astype(np.float64)
    assert np.allclose(root, np.triu(root), atol=1e-6), "distances are the same under any rotation of it"
    wanted, sphere = expected(sums)
    assert sphere == bounded
    np.testing.assert_allclose(root @ root.T, wanted, rtol=2e-4, atol=2e-4 * np.abs(wanted).max())


def test_without_two_anchors_of_a_class_it_is_a_sphere_of_the_traffics_size() -> None:
    sums: Any = Sums(1, 20, 0.0)
    variance = (PRIOR * SPREAD + SEEN[0]) / (PRIOR + SEEN[1])
    np.testing.assert_allclose(whitening(sums, SEEN), np.eye(20) / np.sqrt(variance), rtol=1e-6)
