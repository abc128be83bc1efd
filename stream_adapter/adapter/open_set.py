"""Is an event of a labelled class at all? Learned by leaving classes out.

Labels say nothing about classes that nobody labels, but each labelled class can play one: take its anchors as events
and pretend that it had no anchors. So every anchor gives two examples, one with itself left out (known) and one with
its whole class left out (unknown), and a logistic regression on them learns how far the base's own verdict and the
distance from the anchors can be believed on these very data:

    logit P(labelled | z) = α · log(m / (1 − m)) + α0 · log(m0 / (1 − m0)) + ν · novelty(z) + o

m is the base's probability mass of the labelled classes (of all others but the anchor's own, where that is left out),
m0 the same without the maps, which were fitted to these anchors and know them too well; `novelty` is that of
`local_residual.py`. A Gaussian prior around α = α0 = ½, ν = 0, o = 0, that is, around the base's own verdict, decides
while there are few anchors. Known and unknown count alike, however rare unlabelled classes are.

This is stacked generalisation (Wolpert, Neural Networks 5, 1992) across classes in place of folds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CENTRE = np.array([0.5, 0.5, 0.0, 0.0])
_STEPS = 50  # of Newton's method, which needs about 8
_SMALLEST = 1e-6  # of a mass


@dataclass(frozen=True, slots=True)
class OpenSet:
    """The weights; as they come, the base's own verdict.

    Attributes:
        mass: α.
        zero_shot_mass: α0.
        novelty: ν.
        offset: o.
    """

    mass: float = 0.5
    zero_shot_mass: float = 0.5
    novelty: float = 0.0
    offset: float = 0.0


@dataclass(frozen=True, eq=False, slots=True)
class LeftOut:
    """n anchors as events, once each with itself and once with its class left out.

    Attributes:
        labelled: float64 (2, n), the mass of all labelled classes, with the maps and without.
        own: float64 (2, n), that of the anchor's own class, which is part of it.
        novelty: float64 (2, n), beside all other anchors, and beside those of other classes.
        trust: float64 (n,), how far the anchor's label is trusted: the examples' weight.
    """

    labelled: NDArray[np.float64]
    own: NDArray[np.float64]
    novelty: NDArray[np.float64]
    trust: NDArray[np.float64]


def log_odds(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(m / (1 − m)), both kept off zero."""
    odds: NDArray[np.float64] = np.log(np.maximum(mass, _SMALLEST) / np.maximum(1.0 - mass, _SMALLEST))
    return odds


def calibrate(examples: LeftOut, strength: float = 4.0) -> OpenSet:
    """The weights at the maximum of the posterior; concave, so Newton's method with halved steps finds it.

    Args:
        examples: may be empty: then the prior stands.
        strength: of the prior, in units of 1 / variance.
    """
    ones = np.ones(len(examples.trust))
    known = np.stack([*log_odds(examples.labelled), examples.novelty[0], ones], axis=1)  # (n, 4)
    unknown = np.stack([*log_odds(examples.labelled - examples.own), examples.novelty[1], ones], axis=1)  # (n, 4)
    signed = np.concatenate([known, -unknown])  # (2n, 4): all of them should be positive
    counts = np.concatenate([examples.trust, examples.trust])  # (2n,)

    def objective(weights: NDArray[np.float64]) -> float:
        off = weights - _CENTRE
        return float(counts @ np.logaddexp(0.0, -signed @ weights) + 0.5 * strength * off @ off)

    weights, value = _CENTRE, objective(_CENTRE)
    for _ in range(_STEPS):
        wrong = np.exp(-np.logaddexp(0.0, signed @ weights))  # σ(−x) (2n,)
        slope = -signed.T @ (counts * wrong) + strength * (weights - _CENTRE)
        curvature = (signed * (counts * wrong * (1.0 - wrong))[:, None]).T @ signed + strength * np.eye(len(weights))
        step = np.linalg.solve(curvature, slope)
        size = 1.0
        while size > 1e-6 and objective(weights - size * step) > value:
            size *= 0.5
        weights = weights - size * step
        before, value = value, objective(weights)
        if before - value < 1e-9 * max(abs(value), 1.0):
            break
    return OpenSet(*(float(weight) for weight in weights))
