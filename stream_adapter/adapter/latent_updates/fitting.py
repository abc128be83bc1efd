"""One fit: to which anchors, what it leaves for predictions, and what names it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_adapter.adapter.allowances import allowances
from stream_adapter.adapter.correction import (
    AllAnchors,
    AnchorReadings,
    Correction,
    CorrectionSettings,
    read_anchors,
)
from stream_adapter.adapter.discriminant import DiscriminantSettings
from stream_adapter.adapter.label_trust import label_trust
from stream_adapter.adapter.latent_update import FitSettings, Maps, fit, gates, identity_maps
from stream_adapter.adapter.local_residual import LocalSettings
from stream_adapter.adapter.presence_evidence import PresenceEvidence
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.config import AdapterConfig


@dataclass(frozen=True, eq=False, slots=True)
class FitProblem:
    """All that one fit depends on, copied from the store so that it may run anywhere.

    Attributes:
        vectors: float32 (m, d), the anchors that take part.
        classes: int64 (m,), class indices.
        text_vectors: float32 (C, d), of all classes.
        labelled: bool (C,), the classes that have anchors.
        gamma: the text gate's γ.
        settings: the fit's settings.
        correction: the correction's settings.
        evidence: what the traffic says.
        everything: all anchors; None where nothing is corrected beyond the maps.
        anchors: how many anchors there were, whether they take part or not.
        digest: their digest.
        taken_at_s: when they were taken, by the caller's clock.
    """

    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    text_vectors: Tensor
    labelled: NDArray[np.bool_]
    gamma: float
    settings: FitSettings
    correction: CorrectionSettings
    evidence: PresenceEvidence
    everything: AllAnchors | None
    anchors: int
    digest: str
    taken_at_s: float


@dataclass(frozen=True, eq=False, slots=True)
class Fitted:
    """What a fit leaves for predictions.

    Attributes:
        maps: the image and the text map.
        text_vectors: float32 (C, d), t' of all classes, computed once per fit.
        readings: of the anchors; None where nothing is corrected.
        correction: what the anchors and the traffic correct.
        anchors: how many anchors there were.
        digest: their digest.
        taken_at_s: when they were taken; None for the identity that the adapter starts with.
    """

    maps: Maps
    text_vectors: Tensor
    readings: AnchorReadings | None
    correction: Correction
    anchors: int
    digest: str
    taken_at_s: float | None


def nothing_fitted(text_vectors: Tensor, digest: str, settings: CorrectionSettings) -> Fitted:
    """What is in force before the first fit."""
    n_classes, dimension = text_vectors.shape
    maps = identity_maps(dimension, text_vectors.device)
    correction = Correction(None, np.zeros(n_classes, np.bool_), PresenceEvidence.none(n_classes), settings)
    return Fitted(maps, text_vectors, None, correction, 0, digest, None)


def solve(problem: FitProblem) -> Fitted:
    """Fit the maps, adapt all text vectors with them and read all anchors: a pure function."""
    texts = problem.text_vectors  # (C, d)
    device = texts.device
    labelled = torch.from_numpy(problem.labelled).to(device)
    seen = texts[labelled]  # (S, d)
    position = np.cumsum(problem.labelled) - 1  # (C,), row in `seen` of each labelled class
    everything = problem.everything if len(seen) else None
    trust, weights = None, None
    if everything is not None:
        trust = label_trust(
            torch.from_numpy(everything.vectors),
            torch.from_numpy(position[everything.classes]),
            torch.from_numpy(everything.taking_part),
            seen.cpu(),
            problem.settings.logit_scale,
            problem.correction.local,
        )
        weights = trust.trust[everything.taking_part].to(device)
    maps = fit(
        torch.from_numpy(problem.vectors).to(device),
        torch.from_numpy(position[problem.classes]).to(device),
        seen,
        problem.settings,
        weights,
    )
    adapted = texts
    if len(seen):
        nearest = (texts @ seen.T).amax(dim=1)  # (C,)
        adapted = maps.text(texts, gates(nearest, problem.gamma, problem.settings.damping))
    readings = None
    if everything is not None and trust is not None:
        trust = trust._replace(classes=torch.nonzero(labelled.cpu())[:, 0][trust.classes])
        readings = read_anchors(
            everything,
            trust,
            lambda images: problem.settings.logit_scale * _at_anchors(maps, images, problem.settings) @ adapted.T,
            lambda images: problem.settings.logit_scale * images.to(device) @ texts.T,
            problem.correction,
        )
    correction = Correction(readings, problem.labelled, problem.evidence, problem.correction)
    return Fitted(maps, adapted, readings, correction, problem.anchors, problem.digest, problem.taken_at_s)


def under(fitted: Fitted, evidence: PresenceEvidence, settings: CorrectionSettings) -> Fitted:
    """The same fit when the traffic says something else; costs a few numbers for each anchor."""
    return replace(fitted, correction=Correction(fitted.readings, fitted.correction.labelled, evidence, settings))


def _at_anchors(maps: Maps, anchors: Tensor, settings: FitSettings) -> Tensor:
    """Adapted vectors z' of anchors (n, d): each is its own nearest one, so that all gates are g."""
    anchors = anchors.to(maps.bias.device)
    return maps.image(anchors, torch.full((len(anchors),), settings.damping, device=anchors.device))


def take_part(store: AnchorStore, most: int) -> NDArray[np.int64]:
    """Which anchors enter a fit: all, or an even share of each class, those whose ids hash lowest; in id order.

    Returns:
        int64 (n,), slots; a function of the set of anchors, whatever order they came in.
    """
    slots = np.arange(len(store))
    if len(store) > most:
        allowed = allowances(store.counts, np.zeros(len(store.counts), np.int64), most, most)
        order = np.lexsort((store.keys, store.classes))  # by class, then by hash
        classes = store.classes[order]
        rank = np.arange(len(order)) - np.searchsorted(classes, classes)  # within its class
        slots = order[rank < allowed[classes]]
    ids = store.ids
    return np.array(sorted(slots.tolist(), key=lambda slot: ids[slot]), np.int64)


def take_problem(
    store: AnchorStore,
    text_vectors: Tensor,
    settings: FitSettings,
    correction: CorrectionSettings,
    evidence: PresenceEvidence,
    *,
    config: AdapterConfig,
    taken_at_s: float,
) -> FitProblem:
    """Copy what a fit needs from the store, in the owner's thread.

    For `ours` that is every anchor: 200 MB for 100,000 anchors of 512 numbers, held until the fit is done.
    """
    slots = take_part(store, config.refit.max_anchors)
    everything = None
    if config.method == "ours":
        order = np.lexsort((store.rows, store.keys))  # by a hash of the id, so that all workers agree
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        everything = AllAnchors(store.vectors[order], store.classes[order], store.rows[order], place[slots])
    return FitProblem(
        vectors=store.vectors[slots],
        classes=store.classes[slots],
        text_vectors=text_vectors,
        labelled=store.counts > 0,
        gamma=config.gamma,
        settings=settings,
        correction=correction,
        evidence=evidence,
        everything=everything,
        anchors=len(store),
        digest=store.digest,
        taken_at_s=taken_at_s,
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """What is configured, in the form in which fits and answers need it.

    Attributes:
        fit: of the maps.
        correction: of what follows them.
        local: of local kernel ridge; None for LLU as published, which has none.
        neighbours: anchors looked up for an event.
        name: eight hex digits that change when anything does that predictions depend on, other than anchors.
    """

    fit: FitSettings
    correction: CorrectionSettings
    local: LocalSettings | None
    neighbours: int
    name: str

    @classmethod
    def of(
        cls, text_vectors: NDArray[np.float32], class_names: Sequence[str], logit_scale: float, config: AdapterConfig
    ) -> "Settings":
        """Those of a vocabulary, float32 (C, d) and C names, and a configuration."""
        maps = FitSettings(
            logit_scale=logit_scale,
            damping=config.damping,
            steps=config.refit.steps,
            learning_rate=config.refit.learning_rate,
            rho=config.refit.rho,
        )
        ours = config.method == "ours"
        local = LocalSettings(config.residual.neighbours, config.residual.beta, config.residual.ridge)
        discriminant = DiscriminantSettings(config.discriminant.weight, config.discriminant.shrinkage)
        correction = CorrectionSettings(local, config.presence.kappa, config.protection, discriminant)
        name = settings_hash(
            text_vectors,
            tuple(class_names),
            maps,
            config.gamma,
            config.refit.max_anchors,
            correction if ours else None,
        )
        neighbours = max(config.anchors.neighbours, local.neighbours if ours else 0)
        return cls(maps, correction, local if ours else None, neighbours, name)


def settings_hash(*parts: Any) -> str:
    """Eight hex digits that change when anything does that predictions depend on, other than anchors."""
    digest = hashlib.blake2b(digest_size=4)
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()
