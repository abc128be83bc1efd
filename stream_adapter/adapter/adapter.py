"""The adapter: unit image vectors and labels in, adapted probabilities out."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from stream_adapter.adapter.anchors import Anchor, AnchorListing, as_stored, check_vectors
from stream_adapter.adapter.answering import Answering
from stream_adapter.adapter.checks import check_vocabulary, checked_vectors
from stream_adapter.adapter.class_presence import ClassPresence
from stream_adapter.adapter.fit_state import restored_fit
from stream_adapter.adapter.fitting import FitProblem, Fitted, Settings, nothing_fitted, take_problem, under
from stream_adapter.adapter.index import make_index
from stream_adapter.adapter.net_effect import NetEffect
from stream_adapter.adapter.presence_evidence import ClassKind, HeardEvidence, PresenceEvidence
from stream_adapter.adapter.pruning import Doubt, Pruner
from stream_adapter.adapter.refit import Refitting
from stream_adapter.adapter.results import AdapterPrediction, ForgetResult, IndexStatistics, LearnResult, Removed
from stream_adapter.adapter.share import EVERYTHING, Share
from stream_adapter.adapter.state import StateCopy, restored, unconfirmed_of
from stream_adapter.adapter.store import AnchorStore, TakeIn
from stream_adapter.adapter.traffic_window import TrafficWindow
from stream_adapter.config import AdapterConfig
from stream_adapter.packing import Arrays


class Adapter:
    """Learns from a live set of anchors and from the traffic. Owned by one thread; does no I/O and reads no clock.

    One batch goes `predict`, `observe`, `learn`, `maintain`, in this order. What the traffic says takes effect when it
    is heard: about once a second `hear(slot, evidence())`, and what other workers publish in the same way. `maintain`
    is also called while nothing arrives, so that the last labels are fitted within `refit.max_age_s`.

    Args:
        text_vectors: float32 (C, d), unit; one per class.
        class_names: C distinct names, in the order of `text_vectors`.
        logit_scale: the model's logit scale (100 for CLIP).
        config: method, gate, anchors, refit, traffic, canaries, seed.
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
        check_vocabulary(text_vectors, class_names, config.canaries)
        text_vectors = np.array(text_vectors, np.float32)  # (C, d), a copy
        self._config = config
        self._class_names = frozenset(class_names)
        self._texts = torch.from_numpy(text_vectors).to(device)
        self._settings = Settings.of(text_vectors, class_names, logit_scale, config)
        self._answering = Answering(self._texts, self._settings.fit, config, self._settings.local)
        self._presence = ClassPresence(len(class_names), text_vectors.shape[1], config.presence.window)
        self._heard = HeardEvidence(len(class_names))
        self._store = AnchorStore(class_names, text_vectors.shape[1])
        self._index = make_index(self._store, config.anchors, config.seed)
        self._pruner = Pruner(self._store, Doubt(text_vectors, logit_scale), config.anchors)
        self._refitting = Refitting(config.refit)
        self._fitted = nothing_fitted(self._texts, self._store.digest, self._settings.correction)
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
        neighbours = self._index.query(vectors, self._settings.neighbours)
        return self._answering.predict(vectors, neighbours, self._store, self._fitted, self.version)

    def observe(self, events: TrafficWindow) -> None:
        """Take a batch into this process's window of traffic; called after `predict` and before `learn`.

        Predictions depend on what was heard (`hear`), and on nothing of the window directly. An event counts as
        labelled where a label that may be learned came with it: none of a canary's.
        """
        self._presence.observe(events)

    def mark_labelled(self, numbers: NDArray[np.int64]) -> None:
        """Labels that came late: the events' numbers as counted by `observed`; those that left the window are ignored.

        Args:
            numbers: int64 (n,).
        """
        self._presence.mark_labelled(numbers)

    @property
    def dimension(self) -> int:
        """d, the length of vectors."""
        return self._texts.shape[1]

    @property
    def window(self) -> int:
        """How many events the window of traffic holds at most."""
        return self._config.presence.window

    @property
    def observed(self) -> int:
        """Events observed so far; the next one gets this number."""
        return self._presence.seen

    def evidence(self) -> PresenceEvidence:
        """What the own window says now, exactly as it survives the wire."""
        return self._presence.evidence().rounded()

    def hear(self, slot: str, evidence: PresenceEvidence | None) -> None:
        """Take the newest evidence of a worker slot, the own one included; None forgets the slot.

        Raises:
            ValueError: evidence about another number of classes.
        """
        if self._heard.hear(slot, evidence):
            self._refitting.evidence_changed()

    def traffic(self) -> TrafficWindow:
        """A copy of the own window, oldest event first."""
        return self._presence.window()

    def restore_traffic(self, window: TrafficWindow) -> None:
        """Start over with a window that `traffic` handed out.

        Raises:
            ValueError: its arrays do not fit this vocabulary, the encoder or each other.
        """
        self._presence.restore(window)

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
        fitted = self._refitting.maintain(executor, now_s, lambda: self._problem(now_s), self._adjusted)
        if fitted is not None:
            self._fit_number += fitted.maps is not self._fitted.maps
            self._fitted = fitted

    def copy_state(self) -> StateCopy:
        """Begin to copy the state; whoever wants it at once calls `finish`, see `StateCopy`."""
        return StateCopy(
            self._store, self._index.graph, self._config.canaries, lambda: self._fitted, self._settings.name
        )

    def load_state(self, arrays: Arrays) -> None:
        """Take over what `AdapterState.arrays` packed in place of what is there, the fit with it where it fits.

        Raises:
            SnapshotError: the arrays do not fit together, or not to the vocabulary; nothing has changed.
        """
        unconfirmed, settled = unconfirmed_of(arrays)
        self._store, self._index = restored(arrays, self._store.class_names, self._texts.shape[1], self._config)
        self._pruner = self._pruner.of(self._store)
        self._fitted = restored_fit(arrays, self._texts, self._heard.total, self._settings) or self._fitted
        if self._fitted.digest != self._store.digest:
            self._refitting.changed(len(self._store))
        self.forget(unconfirmed)
        self.follow(settled)

    def take_evidence_in(self) -> None:
        """Let what was heard be in force at once, in the caller's thread: a start has nobody to keep waiting."""
        self._fitted = self._adjusted()()
        self._refitting.evidence_taken_in()

    def anchors(self) -> Iterator[Anchor]:
        """All live anchors, by id; vectors as stored."""
        return self._store.anchors()

    def anchor(self, anchor_id: str) -> Anchor | None:
        """One live anchor; None where there is none of this id."""
        return self._store.get(anchor_id)

    def listing(self) -> AnchorListing:
        """All live anchors without their vectors; good for any thread and for ever."""
        return self._store.listing()

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
        """What answers: a function of the anchors at the fit, the evidence in force, vocabulary and settings alone."""
        fit = f"{self._fitted.anchors}-{self._fitted.digest[:12]}-{self._settings.name}"
        return fit if self._config.method == "llu" else f"{fit}-{self.presence.digest[:8]}"

    @property
    def presence(self) -> PresenceEvidence:
        """The evidence in force: the sum over the slots when the last correction was made."""
        return self._fitted.correction.evidence

    @property
    def kinds(self) -> list[ClassKind]:
        """What each of the C classes is taken for by predictions now."""
        return list(self._fitted.correction.kinds)

    @property
    def aliveness(self) -> NDArray[np.float64]:
        """How alive each class is taken to be: float64 (C,) in (0, 1], 1 for labelled and present classes."""
        return self._fitted.correction.aliveness.copy()

    @property
    def has_fit(self) -> bool:
        """Whether predictions rest on a fit to anchors, be it to those of a moment ago."""
        return self._fitted.anchors > 0

    @property
    def fit_number(self) -> int:
        """How many fits of the maps were swapped in so far."""
        return self._fit_number

    @property
    def fitted_at_s(self) -> float | None:
        """`now_s` of the call in which the current fit's anchors were taken; None before the first fit."""
        return self._fitted.taken_at_s

    @property
    def changes_since_fit(self) -> int:
        """Anchors added, replaced or removed, and evidence heard, that predictions do not know yet."""
        return self._refitting.changes

    @property
    def index_statistics(self) -> IndexStatistics:
        """How the search for nearest anchors is doing."""
        return self._index.statistics

    def _offer(self, anchors: Sequence[Anchor], to: TakeIn, effect: NetEffect) -> None:
        if not anchors:
            return
        stored, halves = as_stored(checked_vectors(anchors, self._texts.shape[1]))
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

    def _problem(self, now_s: float) -> FitProblem:
        fit, correction, heard = self._settings.fit, self._settings.correction, self._heard.total
        return take_problem(self._store, self._texts, fit, correction, heard, config=self._config, taken_at_s=now_s)

    def _adjusted(self) -> Callable[[], Fitted]:
        return partial(under, self._fitted, self._heard.total, self._settings.correction)
