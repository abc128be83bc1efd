"""The adapter: unit image vectors and labels in, adapted probabilities out."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stream_adapter.adapter.anchors import Anchor, as_stored, check_vectors
from stream_adapter.adapter.graph import Graph
from stream_adapter.adapter.index import make_index
from stream_adapter.adapter.latent_update import FitSettings, gates
from stream_adapter.adapter.neighbours import Neighbours
from stream_adapter.adapter.net_effect import NetEffect
from stream_adapter.adapter.pruning import Pruner
from stream_adapter.adapter.refit import FitProblem, Refitting, nothing_fitted, settings_hash, take_part
from stream_adapter.adapter.results import AdapterPrediction, ForgetResult, IndexStatistics, LearnResult, Removed
from stream_adapter.adapter.share import EVERYTHING, Share
from stream_adapter.adapter.state import StateCopy, restored_store, unconfirmed_of
from stream_adapter.adapter.store import AnchorStore, Offer
from stream_adapter.config import AdapterConfig
from stream_adapter.errors import AnchorError, VocabularyError
from stream_adapter.packing import Arrays


class Adapter:
    """Localized Latent Updates over a live set of anchors. Owned by one thread; does no I/O and reads no clock.

    One batch goes `predict`, `learn`, `maintain`, in this order. `maintain` is also called while nothing arrives, so
    that the last labels are fitted within `refit.max_age_s`.

    Args:
        text_vectors: float32 (C, d), unit; one per class.
        class_names: C distinct names, in the order of `text_vectors`.
        logit_scale: the model's logit scale (100 for CLIP).
        config: gate, anchors, refit, canaries, seed.
        device: where fits and maps are computed, as torch names it.

    Raises:
        VocabularyError: names and vectors do not fit together, or a canary is not a class.
    """

    def __init__(
        self,
        text_vectors: NDArray[np.float32],
        class_names: Sequence[str],
        logit_scale: float,
        config: AdapterConfig,
        *,
        device: str = "cpu",
    ) -> None:
        _check_vocabulary(text_vectors, class_names, config.canaries)
        text_vectors = np.array(text_vectors, np.float32)  # (C, d), a copy
        self._config = config
        self._class_names = frozenset(class_names)
        self._device = torch.device(device)
        self._texts = torch.from_numpy(text_vectors).to(self._device)
        self._fit_settings = FitSettings(
            logit_scale=logit_scale,
            damping=config.damping,
            steps=config.refit.steps,
            learning_rate=config.refit.learning_rate,
            rho=config.refit.rho,
        )
        self._settings_hash = settings_hash(
            text_vectors, tuple(class_names), self._fit_settings, config.gamma, config.refit.max_anchors
        )
        self._store = AnchorStore(class_names, text_vectors.shape[1])
        self._index = make_index(self._store, config.anchors, config.seed)
        self._pruner = Pruner(self._store, config.anchors.budget, config.anchors.budget_per_class)
        self._refitting = Refitting(config.refit)
        self._fitted = nothing_fitted(self._texts, self._store.digest)
        self._fit_number = 0

    def predict(self, vectors: NDArray[np.float32]) -> AdapterPrediction:
        """Predict a batch; changes nothing (but for statistics of the index).

        Args:
            vectors: float32 (B, d), unit; B may be 0.

        Raises:
            AnchorError: wrong shape, not finite or not unit.
        """
        vectors = np.ascontiguousarray(vectors, np.float32)
        check_vectors(vectors, self._texts.shape[1], "row {} of the batch".format)
        neighbours = self._index.query(vectors, self._config.anchors.neighbours)
        nearness = self._nearness(neighbours)  # (B,)
        gate = self._config.damping * nearness
        images = torch.from_numpy(vectors).to(self._device)
        zero_shot = self._probabilities(images, self._texts)  # (B, C)
        adapted = self._adapted(images, gate.to(self._device), zero_shot)  # (B, C)
        explained = torch.maximum(zero_shot.amax(dim=1).cpu(), nearness)  # by a class's text or by an anchor
        slots = self._store.slots_of(neighbours.rows)  # (B, k)
        return AdapterPrediction(
            zero_shot=zero_shot.cpu().numpy(),
            adapted=adapted.cpu().numpy(),
            gate=gate.numpy(),
            novelty=(1.0 - explained).clamp(0.0, 1.0).numpy(),
            neighbour_rows=neighbours.rows,
            neighbour_ids=self._ids(slots),
            neighbour_classes=self._store.classes_at(slots),
            neighbour_cosines=neighbours.cosines,
            has_anchor=self.has_anchor,
            version=self.version,
        )

    def learn(self, anchors: Sequence[Anchor], share: Share = EVERYTHING) -> LearnResult:
        """Take anchors in, in this order, then prune to the budgets. All are checked before anything changes.

        Args:
            anchors: may be empty: then it only prunes.
            share: the anchors that may be pruned here; others that have to go are left to whoever decides about them.

        Raises:
            AnchorError: a vector is not finite, not unit or of the wrong length; nothing was learned.
        """
        effect = NetEffect()
        self._offer(anchors, self._store.offer, effect)
        for victim in self._pruner.victims():
            if share.holds(self._store.keys[self._store.slots_of(np.array([victim.row]))])[0]:
                effect.pruned(victim, self._store.remove(self._store.id_of(victim.row)))
        self._changed(effect)
        return effect.result()

    def follow(self, anchors: Sequence[Anchor]) -> LearnResult:
        """Take in anchors that were decided on elsewhere: of one id the largest stamp stays; nothing is pruned.

        Raises:
            AnchorError: as `learn`.
        """
        effect = NetEffect()
        self._offer(anchors, self._store.put, effect)
        self._changed(effect)
        return effect.result()

    def forget(self, anchor_ids: Sequence[str]) -> ForgetResult:
        """Delete anchors; ids that are not there are reported, not an error."""
        asked = tuple(dict.fromkeys(anchor_ids))
        known = tuple(anchor_id for anchor_id in asked if anchor_id in self._store)
        unknown = tuple(anchor_id for anchor_id in asked if anchor_id not in self._store)
        gone = [self._store.remove(anchor_id).row for anchor_id in known]
        self._index.remove(np.array(gone, np.int64))
        self._refitting.changed(len(gone))
        return ForgetResult(tuple(Removed(anchor_id, "forgotten") for anchor_id in known), unknown)

    def maintain(self, executor: Executor, now_s: float) -> None:
        """Swap in what the background finished and start what is due; called between batches.

        Args:
            executor: runs refits and index rebuilds; not used for refits when `refit.background` is off.
            now_s: the caller's clock, seconds, monotonic.

        Raises:
            BaseException: whatever a background fit or rebuild raised.
        """
        self._index.maintain(executor)
        fitted = self._refitting.maintain(executor, now_s, lambda: self._problem(now_s))
        if fitted is not None:
            self._fitted = fitted
            self._fit_number += 1

    def copy_state(self) -> StateCopy:
        """Begin to copy the state; whoever wants it at once calls `finish`, see `StateCopy`."""
        return StateCopy(self._store, self._index.graph, self._config.canaries)

    def load_state(self, arrays: Arrays) -> None:
        """Take over what `AdapterState.arrays` packed in place of what is there; `maintain` fits the maps to it.

        Raises:
            SnapshotError: the arrays do not fit together, or not to the vocabulary; nothing has changed.
        """
        unconfirmed, settled = unconfirmed_of(arrays)
        anchors = self._config.anchors
        self._store = restored_store(arrays, self._store.class_names, self._texts.shape[1], self._config.canaries)
        graph = Graph.restored(arrays, self._store, anchors, self._config.seed)
        self._index = make_index(self._store, anchors, self._config.seed, graph)
        self._pruner = Pruner(self._store, anchors.budget, anchors.budget_per_class)
        self._refitting.changed(len(self._store))
        self.forget(unconfirmed)
        self.follow(settled)

    def anchors(self) -> Iterator[Anchor]:
        """All live anchors, by id; vectors as stored."""
        return self._store.anchors()

    def anchor(self, anchor_id: str) -> Anchor | None:
        """One live anchor; None where there is none of this id."""
        return self._store.get(anchor_id)

    @property
    def n_anchors(self) -> int:
        """How many anchors are live."""
        return len(self._store)

    @property
    def has_anchor(self) -> NDArray[np.bool_]:
        """Bool (C,): the classes that have anchors now."""
        return self._store.counts > 0

    @property
    def anchors_digest(self) -> str:
        """Hex digest of the set of live anchors (id, label, float16 vector, time), whatever order they came in."""
        return self._store.digest

    @property
    def version(self) -> str:
        """Which maps answer: a function of the anchors at the fit, the vocabulary and the settings alone."""
        return f"{self._fitted.anchors}-{self._fitted.digest[:12]}-{self._settings_hash}"

    @property
    def fit_number(self) -> int:
        """How many fits were swapped in so far."""
        return self._fit_number

    @property
    def fitted_at_s(self) -> float | None:
        """`now_s` of the call in which the current fit's anchors were taken; None before the first fit."""
        return self._fitted.taken_at_s

    @property
    def changes_since_fit(self) -> int:
        """Anchors added, replaced or removed that the current maps do not know yet."""
        return self._refitting.changes

    @property
    def index_statistics(self) -> IndexStatistics:
        """How the search for nearest anchors is doing."""
        return self._index.statistics

    def _offer(
        self,
        anchors: Sequence[Anchor],
        to: Callable[[Anchor, NDArray[np.float32], NDArray[np.float16]], Offer],
        effect: NetEffect,
    ) -> None:
        if not anchors:
            return
        stored, halves = as_stored(self._checked(anchors))
        for index, anchor in enumerate(anchors):
            if anchor.label in self._config.canaries:
                effect.ignored(anchor.anchor_id, "canary")
            elif anchor.label not in self._class_names:
                effect.ignored(anchor.anchor_id, "unknown label")
            else:
                effect.offered(anchor, to(anchor, stored[index], halves[index]))

    def _changed(self, effect: NetEffect) -> None:
        self._index.remove(np.array(effect.gone, np.int64))
        self._index.add(np.array(effect.new, np.int64))
        self._refitting.changed(len(effect.gone) + len(effect.new))

    def _nearness(self, neighbours: Neighbours) -> Tensor:
        """exp(−γ · distance to the nearest anchor) of each row on its own: float32 (B,), 0 without anchors."""
        if not len(self._store):
            return torch.zeros(len(neighbours.cosines))
        return gates(torch.from_numpy(neighbours.cosines[:, 0].copy()), self._config.gamma, damping=1.0)

    def _adapted(self, images: Tensor, gate: Tensor, zero_shot: Tensor) -> Tensor:
        """Adapted probabilities (B, C) of images (B, d), given their gates (B,) and zero-shot probabilities (B, C)."""
        if not len(self._store) or not self._fit_number:
            return zero_shot.clone()
        return self._probabilities(self._fitted.maps.image(images, gate), self._fitted.text_vectors)

    def _probabilities(self, images: Tensor, texts: Tensor) -> Tensor:
        """softmax(τ · z·t): (B, d), (C, d) -> (B, C)."""
        return (self._fit_settings.logit_scale * images @ texts.T).softmax(dim=1)

    def _ids(self, slots: NDArray[np.int64]) -> NDArray[np.object_]:
        ids = np.full(slots.shape, None, np.object_)  # (B, k)
        known = self._store.ids
        ids.ravel()[:] = [known[slot] if slot >= 0 else None for slot in slots.ravel().tolist()]
        return ids

    def _checked(self, anchors: Sequence[Anchor]) -> NDArray[np.float32]:
        """The anchors' vectors, float32 (n, d)."""
        dimension = self._texts.shape[1]
        for anchor in anchors:
            if anchor.vector.shape != (dimension,):
                raise AnchorError(
                    f"anchor {anchor.anchor_id}: the vector has shape {anchor.vector.shape}, expected ({dimension},); "
                    "was it made by this encoder?"
                )
        vectors = np.stack([anchor.vector for anchor in anchors]).astype(np.float32, copy=False)
        check_vectors(vectors, dimension, lambda index: f"anchor {anchors[index].anchor_id}")
        return vectors

    def _problem(self, now_s: float) -> FitProblem:
        slots = take_part(self._store, self._config.refit.max_anchors)
        return FitProblem(
            vectors=self._store.vectors[slots],
            classes=self._store.classes[slots],
            text_vectors=self._texts,
            labelled=self.has_anchor,
            gamma=self._config.gamma,
            settings=self._fit_settings,
            anchors=len(self._store),
            digest=self._store.digest,
            taken_at_s=now_s,
        )


def _check_vocabulary(text_vectors: NDArray[np.float32], class_names: Sequence[str], canaries: Sequence[str]) -> None:
    if text_vectors.ndim != 2 or len(text_vectors) != len(class_names) or not len(class_names):
        raise VocabularyError(
            f"text vectors have shape {text_vectors.shape}, expected ({len(class_names)}, d): one per class"
        )
    if len(set(class_names)) < len(class_names):
        twice = sorted({name for name in class_names if list(class_names).count(name) > 1})
        raise VocabularyError(f"class names must be distinct; more than once: {', '.join(twice)}")
    missing = sorted(set(canaries) - set(class_names))
    if missing:
        raise VocabularyError(f"canaries that are not in the vocabulary: {', '.join(missing)}")
    try:
        check_vectors(text_vectors, text_vectors.shape[1], lambda index: f"class {class_names[index]!r}")
    except AnchorError as error:
        raise VocabularyError(str(error)) from error
