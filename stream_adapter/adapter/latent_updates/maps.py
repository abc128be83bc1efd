"""Localized Latent Updates: one linear map per modality, blended in only close to what has been labelled.

z is a unit image vector, t_c the unit text vector of class c, a_j the anchors of the modality (labelled image vectors;
text vectors of the classes that have anchors), τ the model's logit scale:

    A(z)  = norm(W z + b)                                     W = I, b = 0 at the start, one pair per modality
    w(z)  = g · exp(−γ · (1 − max_j cos(z, a_j)))             the gate, for each z on its own
    z'    = norm(w A(z) + (1 − w) z)                          likewise t'_c
    p     = softmax(τ · z'·t'_c)

The maps are fitted to the anchors by cross-entropy over the classes that have anchors, and over no others: with all
classes in it, the loss teaches the maps that a class without labels does not exist. ρ · (MSE(W, I) + MSE(b, 0)) holds
both maps back. An anchor is its own nearest anchor, so that all gates in the fit are g.

Reference: Ibing, Lim, Kobbelt, *Localized Latent Updates for Fine-Tuning Vision-Language Models*, CVPR Workshops 2023,
arXiv 2212.06556.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, normalize


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What a fit depends on besides its anchors.

    Attributes:
        logit_scale: τ.
        gamma: γ.
        gate: g, the gate at an anchor, in [0, 1].
        steps: optimiser steps from identity. Adam overshoots for about 60 of them, before ρ pulls the maps back.
        learning_rate: Adam's.
        rho: ρ.
    """

    logit_scale: float
    gamma: float
    gate: float
    steps: int
    learning_rate: float
    rho: float


class Maps(NamedTuple):
    """Two linear maps, stacked: index 0 is for image vectors, 1 for text vectors.

    Attributes:
        weight: float32 (2, d, d).
        bias: float32 (2, d).
    """

    weight: Tensor
    bias: Tensor

    def image(self, vectors: Tensor, gate: Tensor) -> Tensor:
        """Adapted image vectors z', for vectors z (n, d) and gates (n,)."""
        return blend(vectors, self.weight[0], self.bias[0], gate)

    def text(self, vectors: Tensor, gate: Tensor) -> Tensor:
        """Adapted text vectors t', for vectors t (C, d) and gates (C,)."""
        return blend(vectors, self.weight[1], self.bias[1], gate)


def identity_maps(dimension: int, device: torch.device) -> Maps:
    """Maps that change nothing."""
    return Maps(torch.eye(dimension, device=device).repeat(2, 1, 1), torch.zeros(2, dimension, device=device))


@dataclass(frozen=True, eq=False, slots=True)
class Problem:
    """What one fit depends on besides its settings, copied from the anchors so that it may run anywhere.

    Attributes:
        vectors: float32 (m, d), unit: the anchors that take part.
        classes: int64 (m,), their class indices.
        labelled: bool (C,), the classes that have anchors; at least one.
        texts: float32 (C, d), unit, of all classes.
        version: names all anchors, whether they take part or not.
    """

    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    texts: Tensor
    version: str


@dataclass(frozen=True, eq=False, slots=True)
class Fitted:
    """What a fit leaves for predictions; nothing in it changes any more.

    Attributes:
        maps: the image and the text map.
        texts: float32 (C, d), t' of all classes.
        version: as in its problem.
    """

    maps: Maps
    texts: Tensor
    version: str


def gates(cosines: Tensor, settings: FitSettings) -> Tensor:
    """Each row's gate w = g · exp(−γ · distance), the distance 1 − cosine clamped to [0, 1].

    Args:
        cosines: (n,), each row's cosine with its own nearest anchor.
        settings: γ and g.
    """
    return settings.gate * torch.exp(-settings.gamma * (1.0 - cosines).clamp(0.0, 1.0))


def blend(vectors: Tensor, weight: Tensor, bias: Tensor, gate: Tensor) -> Tensor:
    """norm(w A(z) + (1 − w) z) for unit vectors (n, d), a map (d, d), (d,) and gates (n,): (n, d)."""
    mapped = normalize(torch.addmm(bias, vectors, weight.T), dim=1)  # (n, d)
    return normalize(torch.lerp(vectors, mapped, gate[:, None]), dim=1)


@torch.no_grad()
def solve(problem: Problem, settings: FitSettings) -> Fitted:
    """Fit the maps and adapt all text vectors with them: a pure function."""
    device = problem.texts.device
    position = np.cumsum(problem.labelled) - 1  # (C,), of each labelled class among those that are
    maps = fit(
        torch.from_numpy(problem.vectors).to(device),
        torch.from_numpy(position[problem.classes]).to(device),
        problem.texts[torch.from_numpy(problem.labelled).to(device)],
        settings,
    )
    return Fitted(maps, adapted_texts(maps, problem.texts, problem.labelled, settings), problem.version)


@torch.no_grad()
def adapted_texts(maps: Maps, texts: Tensor, labelled: NDArray[np.bool_], settings: FitSettings) -> Tensor:
    """T' (C, d) of unit text vectors (C, d), of which those of bool (C,), at least one, are of classes with anchors."""
    nearest = (texts @ texts[torch.from_numpy(labelled).to(texts.device)].T).amax(dim=1)  # (C,)
    return maps.text(texts, gates(nearest, settings))


def fit(vectors: Tensor, classes: Tensor, text_vectors: Tensor, settings: FitSettings) -> Maps:
    """Fit both maps to anchors, from identity: a pure function of its arguments, row order included.

    The same arguments give the same bits on the same machine with the same number of torch threads.

    Args:
        vectors: float32 (n, d), the anchors, unit.
        classes: int64 (n,), their classes as rows of `text_vectors`.
        text_vectors: float32 (S, d), unit, of the classes that have anchors and no others.
        settings: see `FitSettings`.
    """
    start = identity_maps(vectors.shape[1], vectors.device)
    if len(text_vectors) < 2 or settings.gate == 0.0:
        # One class alone has probability 1 whatever the maps are, and a closed gate lets no gradient through.
        return start
    maps = Maps(start.weight.clone().requires_grad_(), start.bias.clone().requires_grad_())
    optimiser = torch.optim.Adam(maps, lr=settings.learning_rate, amsgrad=True, fused=True)
    for _ in range(settings.steps):
        optimiser.zero_grad()
        with torch.enable_grad():
            image_gate = vectors.new_full((len(vectors),), settings.gate)
            text_gate = vectors.new_full((len(text_vectors),), settings.gate)
            adapted = maps.image(vectors, image_gate) @ maps.text(text_vectors, text_gate).T
            # Twice the means over both maps at once are the sum of the maps' own.
            hold = 2 * (mse_loss(maps.weight, start.weight) + mse_loss(maps.bias, start.bias))
            loss = cross_entropy(settings.logit_scale * adapted, classes) + settings.rho * hold
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return Maps(maps.weight.detach(), maps.bias.detach())
