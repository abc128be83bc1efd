"""Classes around the means of anchors and traffic: discriminant analysis that learns unlabelled classes too.

Every class with anchors, and every class that the unlabelled traffic shows, lies around its mean; all share W, the
anchors' covariance around their class means, shrunk to a sphere: A = (1 − λ_n) W + λ_n tr(W)/d I. Of n anchors more
than one a class λ_n = (λ n + 100)/(n + 100): few say little about directions, which is the mean of a covariance that
was taken for a sphere as surely as a hundred anchors would say. Distances are measured in A, so that the mean square
distance of an anchor that is left out, from its class as the other anchors show it, is 1:

    D²_c(z) = (z − m_c)ᵀ A⁻¹ (z − m_c) / mean_i (a_i − m*_i)ᵀ A*_i⁻¹ (a_i − m*_i)

m_c the mean over the class's anchors, weighted by trust, and its share of the unlabelled traffic (`traffic_means.py`),
m* and A* those of the anchors without the i-th. Where there are none, A is a sphere, and the unit that of the traffic's
own events around their classes' means. The answer p of the correction is the prior; a likelihood with the tails of
Student's t tells the classes apart:

    L_c(z) = −w log(1 + 5/2 D²_c(z))

Near the means this is linear discriminant analysis. Far from all of them, where an event is of none of these classes or
its domain is another, distances to all are alike and L says little, as it should: Gaussian tails would be surest there.
w is half as many numbers as the distance is taken to be made of; vectors of CLIP have 512 and more, most of them hardly
independent.

An unlabelled class takes part as far as its mean can be believed, with the share

    g_c = e / (e + 4) · e / N           N its weight in the traffic, e what of it labelled events do not explain

1 for labelled classes. A class keeps (1 − g_c) p_c whatever the likelihood says; the Σ_c g_c p_c that take part are
shared out again, ∝ g_c p_c exp(L_c). So a class that is rare, or hidden among others, does not lose to the mean of what
it is confused with. Before that, names that are mere shadows of another class fade (`local_shares.py`).

What comes out, q, is the answer where it names the same class as p. Where it names another it overrules the rest of the
model, and nothing but labels could have shown it to be wrong: (1 − h) p + h q,

    h = ¼ + ¾ L / (L + 50)              L labels: events in the window that have one, or anchors, whichever are more

LDA over a stream of CLIP or other frozen features is that of Hayes and Kanan (CVPR Workshops 2020); means of unlabelled
vectors, anchored at what is known, are those of StatA (Zanella et al., CVPR 2025). Both know one of the two only.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_adapter.adapter.local_shares import local_shares
from stream_adapter.adapter.presence_evidence import PresenceEvidence
from stream_adapter.adapter.traffic_means import TrafficMeans

_LEAST_FREEDOM = 10.0  # anchors beyond one a class, below which there is no covariance to speak of
_SPHERE = 100.0  # anchors' worth of belief that the covariance is a sphere
_MEASURED = 8_192  # anchors that the covariance is measured on
_HALF = 4.0  # events' worth of evidence with which an unlabelled class takes part with half of its probability
_LEAST_SHARE = 0.02
_UNCHECKED = 0.25  # how far traffic without any label may overrule the rest of the model
_CHECKED = 50.0  # labels that take half of the doubt away
_LEAST_EVENTS = 2.0  # of a class, from which on they say how far apart its events lie
_LEAST_SPREAD = 1e-3  # a mean square distance that means rounded to float16 cannot hide
_LEAST_OTHERS = 0.5  # weight of a class's other anchors, without which none can be left out
_LEAST_LACKING = 1e-3  # of a direction's precision, where one anchor is nearly all that is known of it
_TAIL = 0.4  # square distance from which on distances count less and less
_SMALLEST = 1e-12  # of what is divided by, and of a probability under the logarithm


@dataclass(frozen=True, slots=True)
class DiscriminantSettings:
    """How far the classes' means are believed.

    Attributes:
        weight: w; 0 turns them off.
        shrinkage: λ in (0, 1], with many anchors.
    """

    weight: float
    shrinkage: float


class AnchorMeans(NamedTuple):
    """What the anchors of S labelled classes say about means and covariance.

    Attributes:
        classes: int64 (S,), ascending.
        weights: float32 (S,), anchors of each, weighted by trust.
        sums: float32 (S, d), of their vectors, weighted by trust.
        whitening: float32 (d, d), U, so that D² is the square distance between vectors times U; (0, 0) where there
            are too few anchors.
    """

    classes: Tensor
    weights: Tensor
    sums: Tensor
    whitening: Tensor


def measure(vectors: Tensor, classes: Tensor, trust: Tensor, settings: DiscriminantSettings) -> AnchorMeans:
    """Measure n anchors.

    Args:
        vectors: float32 (n, d), unit, in an order that says nothing about them.
        classes: int64 (n,).
        trust: float32 (n,), how far each label is trusted.
        settings: λ; nothing is measured where w is 0.
    """
    present, rows = torch.unique(classes, return_inverse=True)  # (S,), (n,)
    d = vectors.shape[1]
    weights = torch.zeros(len(present)).index_add_(0, rows, trust)  # (S,)
    sums = torch.zeros(len(present), d).index_add_(0, rows, vectors * trust[:, None])  # (S, d)
    freedom = float(weights.sum()) - len(present)
    if settings.weight == 0.0 or freedom < _LEAST_FREEDOM:
        return AnchorMeans(present, weights, sums, torch.empty(0, 0))
    some = slice(None, None, -(-len(vectors) // _MEASURED))
    means = sums / weights.clamp(min=1e-6)[:, None]
    off, sure, of_class = vectors[some] - means[rows[some]], trust[some], weights[rows[some]]  # (n', d), (n',), (n',)
    scale = float(weights.sum()) / freedom / float(sure.sum())
    covariance = (off.T @ (off * sure[:, None])).double() * scale  # (d, d), W
    shrinkage = (settings.shrinkage * freedom + _SPHERE) / (freedom + _SPHERE)  # λ_n
    shrunk = (1.0 - shrinkage) * covariance  # A
    shrunk.diagonal().add_(shrinkage * float(covariance.trace()) / d + 1e-9)
    lower = torch.linalg.cholesky(shrunk)
    root = torch.linalg.solve_triangular(lower, torch.eye(d, dtype=lower.dtype), upper=False).T.float()  # A⁻¹ = R Rᵀ
    spread = _left_out((off @ root).square().sum(dim=1), sure, of_class, (1.0 - shrinkage) * scale)
    return AnchorMeans(present, weights, sums, root / max(spread, _SMALLEST) ** 0.5)


def _left_out(square: Tensor, trust: Tensor, of_class: Tensor, scale: float) -> float:
    """The mean square distance that anchors have from their classes when mean and covariance do not know them.

    Without an anchor its class's mean is farther by N/(N − t), and A lacks the term of its direction (Sherman and
    Morrison 1950). With few anchors in many dimensions this is many times what they have as they stand.

    Args:
        square: float32 (n,), distances in A from means that the anchor is part of.
        trust: float32 (n,), t.
        of_class: float32 (n,), N, the class's weight, the anchor's own included.
        scale: what A has of an anchor's t times its outer product.
    """
    others = of_class - trust
    counts = others >= _LEAST_OTHERS
    farther = of_class[counts] / others[counts]
    lacking = 1.0 - scale * trust[counts] * square[counts] * farther
    left_out = farther.square() * square[counts] / lacking.clamp(min=_LEAST_LACKING)
    return float((left_out * trust[counts]).sum() / trust[counts].sum().clamp(min=_SMALLEST))


class Discriminant:
    """Shares out again what an answer gives to classes whose means are known.

    Args:
        anchors: None without any.
        evidence: of the traffic, what its unlabelled events show with it.
        labelled: bool (C,), the classes that have anchors.
        settings: w; λ was used by `measure`.
    """

    def __init__(
        self,
        anchors: AnchorMeans | None,
        evidence: PresenceEvidence,
        labelled: NDArray[np.bool_],
        settings: DiscriminantSettings,
    ) -> None:
        traffic = evidence.means
        whitening = anchors.whitening if anchors is not None and len(anchors.whitening) else _sphere(traffic)  # (d, d)
        self._active = settings.weight > 0.0 and len(whitening) > 0
        if not self._active:
            return
        weights, excess = np.zeros((2, len(labelled)))  # (C,), (C,)
        sums = np.zeros((len(labelled), len(whitening)), np.float32)  # (C, d)
        if anchors is not None:
            weights[anchors.classes.numpy()] += anchors.weights.double().numpy()
            sums[anchors.classes.numpy()] += anchors.sums.numpy()
        labels = max(float(evidence.labelled_events), float(weights.sum()))  # L
        self._believed = _UNCHECKED + (1.0 - _UNCHECKED) * labels / (labels + _CHECKED)  # h
        if len(traffic.classes):
            weights[traffic.classes] += traffic.weights
            excess[traffic.classes] = traffic.excess
            sums[traffic.classes] += traffic.sums
        of_traffic = excess / (excess + _HALF) * np.minimum(excess / np.maximum(weights, _SMALLEST), 1.0)  # (C,)
        shares = np.where(labelled, weights > 0, of_traffic)  # (C,), g
        taking_part = np.flatnonzero(shares >= _LEAST_SHARE)  # (m,)
        means = torch.from_numpy(sums[taking_part] / weights[taking_part, None].astype(np.float32))  # (m, d)
        self._classes = torch.from_numpy(taking_part)
        self._shares = torch.from_numpy(shares[taking_part]).float()  # (m,)
        self._centre = means.mean(dim=0)  # (d,), which keeps small differences apart from the vectors' common part
        self._whitening = whitening
        self._means = (means - self._centre) @ whitening  # (m, d)
        self._lengths = torch.linalg.vecdot(self._means, self._means)  # (m,)
        self._weight = settings.weight
        told = ~labelled[taking_part]
        own = local_shares(self._means[torch.from_numpy(told)], weights[taking_part[told]], excess[taking_part[told]])
        self._fading = _of_all_classes(own, taking_part[told], labelled)  # (C,)

    def shared_out(self, answer: Tensor, images: Tensor) -> Tensor:
        """The answer with the likelihood taken in: float32 (B, C); `answer` is used up.

        Args:
            answer: float32 (B, C), probabilities.
            images: float32 (B, d), unit.
        """
        if not self._active:
            return answer
        again = self._shared_out(answer * self._fading, images)  # (B, C)
        agrees = again.argmax(dim=1) == answer.argmax(dim=1)  # (B,)
        return answer.lerp_(again, torch.where(agrees, 1.0, self._believed)[:, None])

    def _shared_out(self, faded: Tensor, images: Tensor) -> Tensor:
        """The faded answer (B, C), used up, with the likelihood taken in."""
        faded.div_(faded.sum(dim=1, keepdim=True))
        points = (images - self._centre) @ self._whitening  # (B, d)
        square = torch.addmm(self._lengths, points, self._means.T, alpha=-2.0)  # (B, m)
        square += torch.linalg.vecdot(points, points)[:, None]
        likelihood = square.clamp_(min=0.0).div_(_TAIL).log1p_().mul_(-self._weight)  # (B, m), L
        all_take_part = len(self._classes) == faded.shape[1]
        before = faded if all_take_part else faded[:, self._classes]  # (B, m)
        part = before * self._shares
        total = part.sum(dim=1, keepdim=True)  # (B, 1)
        after = likelihood.add_(part.clamp(min=_SMALLEST).log_()).softmax(dim=1).mul_(total)
        after += before - part
        if all_take_part:
            return after
        return faded.index_copy_(1, self._classes, after)


def _sphere(traffic: TrafficMeans) -> Tensor:
    """U before anchors say anything about directions: float32 (d, d), (0, 0) where the traffic shows no two classes.

    Events of a class lie 1 − |m|² from their mean, as they have length 1, and N/(N − 1) times as far from the others'.
    """
    of_class = traffic.weights[traffic.weights >= _LEAST_EVENTS]  # (m',), N
    if len(of_class) < 2:
        return torch.empty(0, 0)
    means = traffic.sums[traffic.weights >= _LEAST_EVENTS] / of_class[:, None]  # (m', d)
    left_out = (of_class / (of_class - 1.0)) ** 2 * (1.0 - np.square(means).sum(axis=1))  # (m',)
    spread = float(of_class @ left_out / of_class.sum())
    unit: Tensor = torch.eye(means.shape[1]) / max(spread, _LEAST_SPREAD) ** 0.5
    return unit


def _of_all_classes(own: NDArray[np.float64], told: NDArray[np.int64], labelled: NDArray[np.bool_]) -> Tensor:
    """What each class keeps of its probability: float32 (C,).

    Labelled classes keep all of it. One whose place the traffic does not show must not gain from those that fade: it
    keeps what these keep on (geometric) average.
    """
    keeps = np.where(labelled, 1.0, np.exp(np.log(own).mean()) if len(own) else 1.0)  # (C,)
    keeps[told] = own
    return torch.from_numpy(keeps).float()
