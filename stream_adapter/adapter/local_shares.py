"""How much of what lies in the place of an unlabelled class is its own.

Zero-shot's mistakes go to names: a painted person is a "wall-panel" here and a "textile" there, each often enough to
look present. What tells such a shadow from a class that is there is where its events lie: among those of another class,
of which there are more. With e_c the evidence for class c, and δ_cc' the square distance between the means of c and c',
in units of the spread within a class, less what chance would show:

    f_c = e_c / Σ_c' e_c' exp(−5 δ_cc'),   δ_cc' = max(0, D²_cc' − 1/N_c − 1/N_c')

c' among the classes without anchors, c itself included. A class that has its place for itself keeps f = 1 however rare
it is; classes in one place share it as their evidence does, which is the prior that label shift theory corrects by
(Saerens, Latinne, Decaestecker 2002), here of a place and not of the whole traffic. As evidence is counted on answers
that f has entered, it sharpens from round to round, as that paper's expectation maximisation does.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_FADE = 5.0  # of a share of one class in the place of another, with the square distance between them


def local_shares(means: Tensor, weights: NDArray[np.float64], evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """f: float64 (u,), in (0, 1].

    Args:
        means: float32 (u, d), whitened: the mean square distance of an event from its class is 1.
        weights: float64 (u,), N > 0: events' worth behind each mean.
        evidence: float64 (u,), e > 0.
    """
    square = torch.cdist(means, means).square().double().numpy()  # (u, u)
    chance = 1.0 / weights
    apart = np.maximum(square - chance[:, None] - chance, 0.0)  # (u, u), δ; of a class with itself 0
    return np.asarray(evidence / (np.exp(-_FADE * apart) @ evidence), np.float64)
