"""Gaussian classes around the means of anchors and traffic: linear discriminant analysis that also learns unlabelled.

Every class with anchors, and every class that the unlabelled traffic shows, is a Gaussian around its mean; all share
one covariance Σ, shrunk: A = (1 − λ) Σ + λ tr(Σ)/d I. The answer p of the correction is the prior, the likelihood tells
the classes apart:

    L_c(z) = (z − μ)ᵀ A⁻¹ (m_c − μ) − ½ (m_c − μ)ᵀ A⁻¹ (m_c − μ)

m_c the mean over the class's anchors, weighted by trust, and its share of the unlabelled traffic (`traffic_means.py`),
μ the mean of labelled classes' means. Vectors of CLIP are no independent measurements, hence the weight s of L.

Σ is that of anchors around their class means, W, and of what anchors do not show: where the unlabelled events of
labelled classes lie elsewhere than the anchors, δ_c apart, because the domain changed or only easy pictures get labels.
Such a direction says nothing about the class:

    Σ = W + 10 Σ_c N_c v_c δ_c δ_cᵀ / Σ_c N_c,   v_c = max(0, 1 − tr(W) (1/N_c + 1/n_c) / |δ_c|²)

N_c events and n_c anchors of class c; v_c is what of |δ_c|² two samples of one distribution would not show by chance.

An unlabelled class takes part as far as its mean can be believed, with the share

    g_c = e / (e + 4) · e / N           N its weight in the traffic, e what of it labelled events do not explain

1 for labelled classes. A class keeps (1 − g_c) p_c whatever the likelihood says; the Σ_c g_c p_c that take part are
shared out again, ∝ g_c p_c exp(s L_c). So a class that is rare, or hidden among others, does not lose to the mean of
what it is confused with.

LDA over a stream of CLIP or other frozen features is that of Hayes and Kanan (CVPR Workshops 2020); means of unlabelled
vectors, anchored at what is known, are those of StatA (Zanella et al., CVPR 2025). Both know one of the two only.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_adapter.adapter.traffic_means import TrafficMeans

_LEAST_FREEDOM = 10.0  # anchors beyond one a class, below which there is no covariance to speak of
_MEASURED = 8_192  # anchors that the covariance is measured on
_HALF = 4.0  # events' worth of evidence with which an unlabelled class takes part with half of its probability
_LEAST_SHARE = 0.02
_SHIFT = 10.0  # how much more a shift of the traffic counts than its share of the scatter
_SMALLEST = 1e-12  # of a probability under the logarithm


@dataclass(frozen=True, slots=True)
class DiscriminantSettings:
    """How far the Gaussians are believed.

    Attributes:
        weight: s; 0 turns them off.
        shrinkage: λ in (0, 1].
    """

    weight: float
    shrinkage: float


class AnchorGaussians(NamedTuple):
    """What the anchors of S labelled classes say about means and covariance.

    Attributes:
        classes: int64 (S,), ascending.
        weights: float32 (S,), anchors of each, weighted by trust.
        sums: float32 (S, d), of their vectors, weighted by trust.
        covariance: float32 (d, d), W; (0, 0) where there are too few anchors.
    """

    classes: Tensor
    weights: Tensor
    sums: Tensor
    covariance: Tensor


def measure(vectors: Tensor, classes: Tensor, trust: Tensor, settings: DiscriminantSettings) -> AnchorGaussians:
    """Measure n anchors.

    Args:
        vectors: float32 (n, d), unit, in an order that says nothing about them.
        classes: int64 (n,).
        trust: float32 (n,), how far each label is trusted.
        settings: no covariance is measured where s is 0.
    """
    present, rows = torch.unique(classes, return_inverse=True)  # (S,), (n,)
    d = vectors.shape[1]
    weights = torch.zeros(len(present)).index_add_(0, rows, trust)  # (S,)
    sums = torch.zeros(len(present), d).index_add_(0, rows, vectors * trust[:, None])  # (S, d)
    freedom = float(weights.sum()) - len(present)
    if settings.weight == 0.0 or len(present) < 2 or freedom < _LEAST_FREEDOM:
        return AnchorGaussians(present, weights, sums, torch.empty(0, 0))
    some = slice(None, None, -(-len(vectors) // _MEASURED))
    means = sums / weights.clamp(min=1e-6)[:, None]
    off = (vectors[some] - means[rows[some]]) * trust[some].sqrt()[:, None]  # (n', d)
    covariance = (off.T @ off) * (float(weights.sum()) / freedom / float(trust[some].sum()))  # (d, d)
    return AnchorGaussians(present, weights, sums, covariance)


class Discriminant:
    """Shares out again what an answer gives to classes whose means are known.

    Args:
        anchors: None without any.
        traffic: what the unlabelled traffic shows.
        labelled: bool (C,), the classes that have anchors.
        settings: s and λ.
    """

    def __init__(
        self,
        anchors: AnchorGaussians | None,
        traffic: TrafficMeans,
        labelled: NDArray[np.bool_],
        settings: DiscriminantSettings,
    ) -> None:
        self._active = anchors is not None and len(anchors.covariance) > 0
        if anchors is None or not self._active:
            return
        weights = np.zeros(len(labelled))  # (C,)
        sums = np.zeros((len(labelled), anchors.sums.shape[1]), np.float32)  # (C, d)
        weights[anchors.classes] += anchors.weights.double().numpy()
        sums[anchors.classes] += anchors.sums.numpy()
        weights[traffic.classes] += traffic.weights
        if len(traffic.classes):
            sums[traffic.classes] += traffic.sums
        shares = np.where(labelled & (weights > 0), 1.0, 0.0)  # (C,), g
        told = traffic.classes[~labelled[traffic.classes]]
        evidence = traffic.excess[~labelled[traffic.classes]]
        shares[told] = evidence / (evidence + _HALF) * np.minimum(evidence / weights[told], 1.0)
        taking_part = np.flatnonzero(shares >= _LEAST_SHARE)  # (m,)
        means = torch.from_numpy(sums[taking_part] / weights[taking_part, None].astype(np.float32))  # (m, d)
        self._classes = torch.from_numpy(taking_part)
        self._shares = torch.from_numpy(shares[taking_part]).float()  # (m,)
        self._centre = means[torch.from_numpy(labelled[taking_part])].mean(dim=0)  # (d,), μ
        off = means - self._centre
        precision = _inverse(_with_shift(anchors, traffic), settings.shrinkage)  # (d, d)
        self._directions = settings.weight * (off @ precision).T  # (d, m)
        self._offsets = -0.5 * torch.linalg.vecdot(off, self._directions.T)  # (m,)

    def shared_out(self, answer: Tensor, images: Tensor) -> Tensor:
        """The answer with the likelihood taken in: float32 (B, C); `answer` is used up.

        Args:
            answer: float32 (B, C), probabilities.
            images: float32 (B, d), unit.
        """
        if not self._active:
            return answer
        likelihood = torch.addmm(self._offsets, images - self._centre, self._directions)  # (B, m), s L
        all_take_part = len(self._classes) == answer.shape[1]
        before = answer if all_take_part else answer[:, self._classes]  # (B, m)
        part = before * self._shares
        total = part.sum(dim=1, keepdim=True)  # (B, 1)
        after = likelihood.add_(part.clamp(min=_SMALLEST).log_()).softmax(dim=1).mul_(total)
        after += before - part
        if all_take_part:
            return after
        return answer.index_copy_(1, self._classes, after)


def _with_shift(anchors: AnchorGaussians, traffic: TrafficMeans) -> Tensor:
    """Σ: float64 (d, d)."""
    covariance = anchors.covariance.double()
    classes = anchors.classes.numpy()
    _, ours, theirs = np.intersect1d(classes, traffic.classes, return_indices=True)
    ours = ours[anchors.weights.numpy()[ours] > 0]
    theirs = theirs[np.isin(traffic.classes[theirs], classes[ours])]
    if not len(ours):
        return covariance
    n, events = anchors.weights.double().numpy()[ours], traffic.weights[theirs]  # (c,), (c,)
    shift = traffic.sums[theirs] / events[:, None] - anchors.sums.double().numpy()[ours] / n[:, None]  # (c, d)
    by_chance = float(covariance.trace()) * (1.0 / events + 1.0 / n)  # (c,)
    real = np.maximum(0.0, 1.0 - by_chance / np.maximum(np.square(shift).sum(axis=1), 1e-12))
    scatter = (shift * (events * real)[:, None]).T @ shift / events.sum()  # (d, d)
    return covariance + _SHIFT * torch.from_numpy(scatter)


def _inverse(covariance: Tensor, shrinkage: float) -> Tensor:
    """A⁻¹: float32 (d, d)."""
    shrunk = (1.0 - shrinkage) * covariance
    shrunk.diagonal().add_(shrinkage * float(covariance.trace()) / len(covariance) + 1e-9)
    return torch.cholesky_inverse(torch.linalg.cholesky(shrunk)).float()
