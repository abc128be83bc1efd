"""From unit vectors to probabilities, with what the last fit left."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_adapter.adapter.fitting import Fitted
from stream_adapter.adapter.latent_update import FitSettings, gates
from stream_adapter.adapter.local_residual import LocalSettings, local_fit
from stream_adapter.adapter.neighbours import Neighbours
from stream_adapter.adapter.results import AdapterPrediction
from stream_adapter.adapter.store import AnchorStore
from stream_adapter.config import AdapterConfig


class Answering:
    """The two models, untouched and adapted, and what explains their answers.

    Args:
        text_vectors: float32 (C, d), unit.
        settings: of the maps: τ and g.
        config: γ, and how many neighbours are told.
        local: settings of local kernel ridge; None for the maps alone, LLU as published.
    """

    def __init__(
        self, text_vectors: Tensor, settings: FitSettings, config: AdapterConfig, local: LocalSettings | None
    ) -> None:
        self._texts = text_vectors
        self._settings = settings
        self._gamma = config.gamma
        self._told = config.anchors.neighbours
        self._local = local

    def predict(
        self, vectors: NDArray[np.float32], neighbours: Neighbours, store: AnchorStore, fitted: Fitted, version: str
    ) -> AdapterPrediction:
        """Predict a batch.

        Args:
            vectors: float32 (B, d), unit.
            neighbours: their nearest anchors, as many as are told and as local kernel ridge asks for.
            store: where those anchors are.
            fitted: what is in force.
            version: its name.
        """
        nearness = self._nearness(neighbours.cosines)  # (B,)
        gate = self._settings.damping * nearness
        images = torch.from_numpy(vectors).to(self._texts.device)
        zero_shot = (self._settings.logit_scale * images @ self._texts.T).softmax(dim=1)  # (B, C)
        slots = store.slots_of(neighbours.rows)  # (B, K)
        if len(store) and fitted.anchors:
            adapted = self._adapted(
                images, zero_shot, gate.to(images.device), neighbours, store.vectors, slots, fitted
            )  # (B, C)
        elif self._local is None or fitted.anchors:  # what was learned is forgotten at once
            adapted = zero_shot.clone()
        else:
            adapted = fitted.correction.of_traffic(images, zero_shot)
        explained = torch.maximum(zero_shot.amax(dim=1).cpu(), nearness)  # by a class's text or by an anchor
        slots = slots[:, : self._told]  # (B, k)
        return AdapterPrediction(
            zero_shot=zero_shot.cpu().numpy(),
            adapted=adapted.cpu().numpy(),
            gate=(gate if self._local is None else nearness).numpy(),
            novelty=(1.0 - explained).clamp(0.0, 1.0).numpy(),
            neighbour_rows=neighbours.rows[:, : self._told],
            neighbour_ids=_ids(store, slots),
            neighbour_classes=store.classes_at(slots),
            neighbour_cosines=neighbours.cosines[:, : self._told],
            has_anchor=store.counts > 0,
            kinds=fitted.correction.kinds,
            aliveness=fitted.correction.aliveness,
            version=version,
        )

    def _nearness(self, cosines: NDArray[np.float32]) -> Tensor:
        """exp(−γ · distance to the nearest anchor) of each row on its own: float32 (B,), 0 without anchors."""
        nearest = torch.from_numpy(cosines[:, 0].copy())
        return gates(nearest, self._gamma, damping=1.0).where(torch.isfinite(nearest), 0.0)

    def _adapted(
        self,
        images: Tensor,
        zero_shot: Tensor,
        gate: Tensor,
        neighbours: Neighbours,
        anchors: NDArray[np.float32],
        slots: NDArray[np.int64],
        fitted: Fitted,
    ) -> Tensor:
        """Adapted probabilities (B, C), given zero-shot ones, the maps' shares (B,) and neighbours' slots (B, K)."""
        logits = fitted.maps.image(images, gate).mul_(self._settings.logit_scale) @ fitted.text_vectors.T  # (B, C)
        if self._local is None:
            return logits.softmax(dim=1)
        k = self._local.neighbours
        places = fitted.correction.known(neighbours.rows[:, :k])  # (B, k)
        # An anchor that came after the fit has no residual yet: it is as if it was not there.
        cosines = np.where(places < 0, -np.inf, neighbours.cosines[:, :k])
        near = anchors[slots[:, :k]]  # (B, k, d)
        fit = local_fit(torch.from_numpy(cosines).to(images), torch.from_numpy(near).to(images), self._local)
        return fitted.correction.probabilities(images, logits, zero_shot, torch.from_numpy(places), fit)


def _ids(store: AnchorStore, slots: NDArray[np.int64]) -> NDArray[np.object_]:
    ids = np.full(slots.shape, None, np.object_)  # (B, k)
    known = store.ids
    ids.ravel()[:] = [known[slot] if slot >= 0 else None for slot in slots.ravel().tolist()]
    return ids
