"""How sharp the distribution among labelled classes should be: its temperature, learned from the anchors.

Local kernel ridge shrinks towards the base and the base is not certain, so that what comes out is right more often than
it says. Each anchor is predicted with itself left out, q_i over the labelled classes; the exponent s of

    q_ic^s / Σ_c' q_ic'^s

minimises their negative log-likelihood, weighted by trust, with a Gaussian prior around s = 1. That is temperature
scaling (Guo, Pleiss, Sun, Weinberger, *On Calibration of Modern Neural Networks*, ICML 2017) without a validation set.
The order of the labelled classes is what it was.
"""

from torch import Tensor

LEAST, MOST = 0.25, 6.0
_STEPS = 30  # of Newton's method, which needs about 6


def sharpness(log_probabilities: Tensor, labels: Tensor, trust: Tensor) -> float:
    """The exponent s, in [0.25, 6].

    Args:
        log_probabilities: float (n, S), log q; finite, normalised or not.
        labels: int64 (n,), columns.
        trust: float (n,), weights.
    """
    wide, weights = log_probabilities.double(), trust.double()
    own = wide.gather(1, labels[:, None])[:, 0]  # (n,)
    exponent = 1.0
    for _ in range(_STEPS):
        # Convex in s: the slope is E_q[log q] − log q_y, the curvature the variance of log q.
        powered = (exponent * wide).softmax(dim=1)
        mean = (powered * wide).sum(dim=1)
        variance = (powered * wide.square()).sum(dim=1) - mean.square()
        slope = float(weights @ (mean - own)) + (exponent - 1.0)
        step = slope / (float(weights @ variance) + 1.0)
        # Half an exponent at a time: far from the minimum the curvature says little.
        before, exponent = exponent, min(max(exponent - min(max(step, -0.5), 0.5), LEAST), MOST)
        if abs(exponent - before) < 1e-6:
            break
    return exponent
