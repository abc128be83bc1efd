"""The directions in which the traffic varies, and how much it does within classes: what copies are recognised by.

All workers weigh by the same ones, those that were published last: weights, and so all sums, are the same everywhere.
They are found again whenever twice as many events have been seen, so ever more rarely.
"""

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.learner import Records
from stream_adapter.adapter.mixture.constants import DIRECTIONS, PRIOR, SPREAD
from stream_adapter.adapter.mixture.window import Window

KEY = "directions"
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


class SharedDirections:
    """The directions in force, and newer ones that this worker has found.

    Args:
        dimension: d.
        publishes: whether somebody publishes what `due` hands out; where nobody does, it is in force at once.
    """

    def __init__(self, dimension: int, *, publishes: bool) -> None:
        self._dimension = dimension
        self._publishes = publishes
        self._value: bytes | None = None
        self._offered: Directions | None = None
        self.in_force: Directions | None = None

    @property
    def newest(self) -> Directions | None:
        """Those in force, or newer ones that wait to be published."""
        return self._offered or self.in_force

    def found(self, directions: Directions) -> None:
        """Take directions that this worker has found."""
        if self._publishes:
            self._offered = directions
        else:
            self.follow({KEY: bytes_of(directions)})

    def due(self) -> dict[str, bytes]:
        """The record to be published now, and to be followed once it is; mostly none."""
        return {} if self._offered is None else {KEY: bytes_of(self._offered)}

    def follow(self, records: Records) -> bool:
        """Take the newest record; whether it changes what is in force.

        Raises:
            ValueError: it cannot be read.
        """
        value = records.get(KEY)
        if value is None or value == self._value:
            return False
        directions = directions_of(value, self._dimension)
        if self._offered is not None and directions.version >= self._offered.version:
            self._offered = None
        self._value, self.in_force = value, directions
        return True

    @property
    def value(self) -> bytes:
        """The record in force; empty where there is none."""
        return self._value or b""


def bytes_of(directions: Directions) -> bytes:
    """The wire form: safetensors; float16 is more than enough for directions."""
    facts = np.array([directions.variance, directions.version], np.float64)
    return save({"matrix": directions.matrix.astype(np.float16), "variance_and_version": facts})


def directions_of(value: bytes, dimension: int) -> Directions:
    """Read a wire form.

    Raises:
        ValueError: it is none, or of another encoder.
    """
    try:
        arrays = load(value)
        matrix, facts = arrays["matrix"], arrays["variance_and_version"]
        if matrix.ndim != 2 or matrix.shape[0] != dimension or facts.shape != (2,):
            raise ValueError(f"directions of shape {matrix.shape}, expected ({dimension}, k)")
        # Columns are unit vectors, and so no variance is above 1; whatever is larger would make answers that are none.
        sound = (np.abs(matrix) <= 1.01).all() and 1e-9 <= facts[0] <= 1.0 and 0 <= facts[1] < 2**53
        if not sound or matrix.shape[1] > dimension:
            raise ValueError("directions that are not finite, or out of range")
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"it cannot be read: {error!r}") from error
    return Directions(matrix.astype(np.float32), float(facts[0]), int(facts[1]))
