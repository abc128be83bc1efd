"""How much of the traffic falls to each class, by label shift alone: E in docs/method.md.

Expectation maximisation for shifted priors (Saerens, Latinne, Decaestecker, *Adjusting the outputs of a classifier to
new a priori probabilities*, Neural Computation 14, 2002), with one event's worth of prior a class: over weighted events

    r_ic ∝ p0_ic π_c,     π_c = (Σ_i w_i r_ic + 1) / (Σ_i w_i + C)

No label enters.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.mixture.backend import Array, Backend
from stream_adapter.adapter.mixture.constants import ROUNDS

_TINY = 1e-38


class Shift(NamedTuple):
    """What the traffic gives to C classes.

    Attributes:
        events: float64 (C,), Σ_i w_i r_ic: events' worth.
        prior: float32 (C,), π of the last but one round: `events` are the responsibilities under it.
    """

    events: NDArray[np.float64]
    prior: NDArray[np.float32]


def label_shift(zero_shot: Array, weights: NDArray[np.float64], backend: Backend) -> Shift:
    """Of float32 (n, C) probabilities and float64 (n,) weights."""
    xp = backend.xp
    n_classes = zero_shot.shape[1]
    w = backend.put(weights.astype(np.float32))
    total = float(weights.sum())
    shares = prior = backend.put(np.full(n_classes, 1.0 / n_classes, np.float32))
    for _ in range(ROUNDS):
        prior = shares
        # Σ_i w_i r_ic = π_c Σ_i w_i p0_ic / (p0_i · π): two products instead of n × C responsibilities.
        each = w / xp.clip(zero_shot @ prior, _TINY, None)
        shares = (prior * (each @ zero_shot) + 1.0) / (total + n_classes)
    events = backend.get(shares).astype(np.float64) * (total + n_classes) - 1.0
    return Shift(np.maximum(events, 0.0), backend.get(prior))


def responsibilities(zero_shot: NDArray[np.float32], shift: Shift) -> NDArray[np.float32]:
    """r_ic under a shift: float32 (n, C), of probabilities (n, C)."""
    belief = zero_shot * shift.prior
    belief /= np.maximum(belief.sum(axis=1, keepdims=True), _TINY)
    return belief
