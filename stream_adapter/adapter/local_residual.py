"""Local kernel ridge regression: what the nearest anchors say about an event, and how novel it is beside them.

Around each event one small system over its k nearest anchors a_1 … a_k is solved, on its own:

    K_ij = exp(−β (1 − cos(a_i, a_j)))      k_i = exp(−β (1 − cos(z, a_i)))      M = (K + λ I)⁻¹
    weights   w = M k                        Σ_i w_i R_i is the ridge prediction of the residuals R at z
    variance  v = 1 − kᵀ M k                 of the same model read as a Gaussian process
    novelty   log(v / mean of v_i over the 5 nearest), v_i = 1 / M_ii − λ: anchor i's variance with itself left out

A variance alone depends on how similar any two pictures of a domain are (two paintings: 0.7); beside that of the
anchors themselves it says whether z is as close to them as they are to each other.

References: kernel ridge regression on CLIP's residuals is ProKeR (Bendou et al., CVPR 2025, arXiv 2501.11175), here
solved locally; leave-one-out variances from the inverse are Rasmussen and Williams, *Gaussian Processes for Machine
Learning*, 2006, section 5.4.2.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

_NEAREST = 5  # anchors whose own variance novelty is measured by
_FLOOR = 1e-3  # of variances: an exact copy of an anchor has none


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Of local kernel ridge.

    Attributes:
        neighbours: k.
        beta: β.
        ridge: λ.
    """

    neighbours: int
    beta: float
    ridge: float


class LocalFit(NamedTuple):
    """What the systems around B events give.

    Attributes:
        weights: float32 (B, k), 0 where there is no anchor.
        novelty: float32 (B,), 0 where z is as close to its nearest anchors as they are to each other.
    """

    weights: Tensor
    novelty: Tensor


def local_fit(cosines: Tensor, anchors: Tensor, settings: LocalSettings) -> LocalFit:
    """Solve one system around each event.

    Args:
        cosines: float32 (B, k), with its nearest anchors, nearest first; -inf where there are fewer than k.
        anchors: float32 (B, k, d), those anchors' vectors; anything where there is none.
        settings: β and λ.
    """
    found = torch.isfinite(cosines)  # (B, k)
    if not cosines.numel():
        return LocalFit(torch.zeros_like(cosines), torch.zeros(len(cosines)))
    pairs = found[:, :, None] & found[:, None, :]  # (B, k, k)
    system = torch.exp(settings.beta * (torch.bmm(anchors, anchors.mT) - 1.0)).where(pairs, 0.0)
    system.diagonal(dim1=1, dim2=2).fill_(1.0 + settings.ridge)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(system))  # (B, k, k)
    kernel = torch.exp(settings.beta * (cosines - 1.0))  # (B, k), 0 where there is no anchor
    weights = torch.bmm(inverse, kernel[:, :, None])[:, :, 0]  # (B, k)
    variance = 1.0 - torch.linalg.vecdot(kernel, weights)  # (B,)
    nearest = found[:, :_NEAREST]
    own = (1.0 / inverse.diagonal(dim1=1, dim2=2)[:, :_NEAREST] - settings.ridge) * nearest  # (B, 5)
    usual = own.sum(dim=1) / nearest.sum(dim=1).clamp(min=1)
    novelty = (variance.clamp(min=_FLOOR) / usual.clamp(min=_FLOOR)).log()
    return LocalFit(weights * found, novelty.where(found.any(dim=1), 0.0))


def nearest_fit(
    vectors: Tensor,
    anchors: Tensor,
    settings: LocalSettings,
    *,
    without: Tensor | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, LocalFit]:
    """Find the nearest of all anchors by exact search and solve around each event.

    Args:
        vectors: float32 (b, d), unit.
        anchors: float32 (n, d), unit; at least one.
        settings: k, β and λ.
        without: int64 (b,), one anchor that each event must not see, -1 for none.
        mask: bool (b, n), anchors that each event must not see.

    Returns:
        int64 (b, k), the anchors used, and the fit.
    """
    cosines = vectors @ anchors.T  # (b, n)
    if without is not None:
        rows = torch.nonzero(without >= 0)[:, 0]
        cosines[rows, without[rows]] = -torch.inf
    if mask is not None:
        cosines.masked_fill_(mask, -torch.inf)
    top = cosines.topk(min(settings.neighbours, len(anchors)), dim=1)
    return top.indices, local_fit(top.values, anchors[top.indices], settings)
