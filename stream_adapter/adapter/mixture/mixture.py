"""The learner that docs/method.md states: zero-shot, presence, purity and class means in one product."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Answer, Events, Labels, Records, Standing, Surroundings
from stream_adapter.adapter.mixture.anchor_sums import AnchorSums
from stream_adapter.adapter.mixture.backend import Array, Backend
from stream_adapter.adapter.mixture.class_means import ClassMeans, Prior
from stream_adapter.adapter.mixture.directions import find_directions
from stream_adapter.adapter.mixture.evidence import Evidence
from stream_adapter.adapter.mixture.label_shift import label_shift
from stream_adapter.adapter.mixture.protection import LabelledOdds
from stream_adapter.adapter.mixture.publishing import Publishing
from stream_adapter.adapter.mixture.standing import presence_of
from stream_adapter.adapter.mixture.traffic import Traffic
from stream_adapter.adapter.mixture.whitening import whitening
from stream_adapter.adapter.mixture.window import Window
from stream_adapter.adapter.packing import Arrays
from stream_adapter.config import MixtureConfig

# A refresh may take this share of the time from one to the next.
_SHARE = 0.1


class Mixture:
    """Answers from sums over anchors and over a window of traffic.

    Labels change the sums at once. What asks the window anew (beliefs about its events, presences, the covariance, b)
    is refreshed in line, at most every `every_s` seconds and in a tenth of the time; without a clock at every update.

    What it answers is a function of the anchors, of the evidence in force (its own and the other workers') and of the
    directions: nothing that a forgotten label did stays behind.

    Args:
        classes: the vocabulary.
        anchors: the anchors.
        settings: window, protection, pace.
        surroundings: clock, device, slot.
    """

    def __init__(
        self, classes: Classes, anchors: Anchors, settings: MixtureConfig, surroundings: Surroundings
    ) -> None:
        self._classes = classes
        self._anchors = anchors
        self._settings = settings
        self._clock = surroundings.clock
        self._seed = surroundings.seed
        self._backend = Backend(surroundings.device)
        self._texts = self._backend.put(classes.texts)
        self._sums = AnchorSums(anchors, len(classes), classes.dimension)
        self._odds = LabelledOdds(anchors, self._backend)
        self._window = Window(classes, settings.window, self._backend)
        self._publishing = Publishing(surroundings, settings.every_s)
        self._directions: Directions | None = None
        self._last: tuple[NDArray[np.float32], Array] | None = None
        self._pending = 0
        self._due_s = float("-inf")
        self._stale = False
        self._rebuild()

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """See `Learner.predict`."""
        on_device = self._backend.put(vectors)
        zero_shot = self._zero_shot(on_device)
        self._last = vectors.copy(), zero_shot
        adapted = self._backend.get(self._model.answer(on_device, zero_shot)) if self._knows else None
        plain = self._backend.get(zero_shot)
        if adapted is None:
            adapted = plain.copy()
        return Answer(plain, adapted, adapted)

    def update(self, events: Events, labels: Labels) -> None:
        """See `Learner.update`."""
        if len(events.keys):
            self._window.add(events, self._zero_shot_of(events.vectors))
            self._stale = True
            self._find_directions()
        self._learned(len(labels.rows))
        self._refresh_if_due()

    def follow(self, labels: Labels, records: Records) -> None:
        """See `Learner.follow`."""
        changed = self._publishing.hear(records, self._classes)
        if self._publishing.directions is not None and self._publishing.directions is not self._directions:
            self._use_directions(self._publishing.directions)
        if changed:
            self._stale = True
        self._learned(len(labels.rows))
        self._refresh_if_due()

    def forget(self, rows: NDArray[np.int64], vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """See `Learner.forget`."""
        self._learned(len(rows))

    def set_classes(self, classes: Classes, former: NDArray[np.int64]) -> None:
        """See `Learner.set_classes`."""
        self._window.set_classes(classes, former)
        self._sums.set_classes(former)
        self._sums.update()
        self._odds.forget_all()
        self._classes, self._last = classes, None
        self._texts = self._backend.put(classes.texts)
        self._publishing.set_classes(classes)
        self._refresh()

    def records(self) -> Mapping[str, bytes]:
        """See `Learner.records`."""
        return self._publishing.due()

    def standing(self) -> Standing:
        """See `Learner.standing`."""
        return self._standing

    def state(self) -> dict[str, NDArray[Any]]:
        """See `Learner.state`."""
        window = {f"window.{name}": array for name, array in self._window.state().items()}
        return {**window, **self._publishing.state()}

    def restore(self, arrays: Arrays) -> None:
        """See `Learner.restore`."""
        window = {name.removeprefix("window."): one for name, one in arrays.items() if name.startswith("window.")}
        if not window:
            return
        self._publishing.restore(arrays, self._classes)
        if self._publishing.directions is not None:
            self._use_directions(self._publishing.directions)
        self._window.restore(window, self._classes)
        self._refresh()

    @property
    def version(self) -> str:
        """See `Learner.version`."""
        return self._version

    @property
    def pending(self) -> int:
        """See `Learner.pending`."""
        return self._pending

    @property
    def _knows(self) -> bool:
        return self._evidence.weight > 0 or len(self._anchors) > 0

    def _zero_shot(self, vectors: Array) -> Array:
        """softmax(τ z·t): (n, d) -> (n, C)."""
        return self._backend.softmax(self._classes.logit_scale * (vectors @ self._texts.T))

    def _zero_shot_of(self, vectors: NDArray[np.float32]) -> Array:
        """The same, remembered from `predict`."""
        if self._last is not None and np.array_equal(self._last[0], vectors):
            return self._last[1]
        return self._zero_shot(self._backend.put(vectors))

    def _find_directions(self) -> None:
        """Directions are found again whenever twice as many events have been seen: they change ever more rarely."""
        newest = self._publishing.newest_directions
        if newest is not None and self._window.seen < 2 * newest.version:
            return
        vectors = self._backend.get(self._window.vectors)
        shift = label_shift(self._window.zero_shot, self._window.weights, self._backend)
        belief = self._backend.get(self._window.zero_shot) * shift.prior
        belief /= np.maximum(belief.sum(axis=1, keepdims=True), 1e-38)
        found = find_directions(self._window, vectors, belief, newest, self._seed)
        in_force = self._publishing.offer_directions(found)
        if in_force is not None:
            self._use_directions(in_force)

    def _use_directions(self, directions: Directions) -> None:
        self._directions = directions
        self._window.set_directions(directions)
        self._anchors.set_directions(directions)
        self._stale = True

    def _learned(self, labels: int) -> None:
        """Let what has changed among the anchors be in force: their sums, and who is labelled."""
        touched = self._sums.update()
        if len(touched):
            self._pending += labels
            self._stale = True
            self._model.learned(touched, self._prior(self._evidence, self._model.prior.bias))

    def _refresh_if_due(self) -> None:
        if not self._stale:
            return
        if self._clock is None:
            self._refresh()
            return
        started = self._clock()
        if started >= self._due_s:
            self._refresh()
            took = self._clock() - started
            self._due_s = started + max(self._settings.every_s, took / _SHARE)

    def _refresh(self) -> None:
        """Ask the window anew."""
        self._sums.update()
        if len(self._window):
            self._publishing.found(self._own_evidence(), self._classes)
        self._rebuild()
        self._pending, self._stale = 0, False

    def _own_evidence(self) -> Evidence:
        """What this process's window says, given the anchors: beliefs first without any mean, then once with them."""
        backend, zero_shot = self._backend, self._window.zero_shot
        shift = label_shift(zero_shot, self._window.weights, backend)
        traffic = Traffic(self._window, self._anchors, shift, backend)
        shifted = traffic.shifted()
        weight = float(self._window.weights.sum())
        prior = self._prior(self._publishing.beside(*shifted, weight, self._classes))
        belief = zero_shot * backend.put(prior.presence)
        belief /= backend.xp.sum(belief, axis=1, keepdims=True)
        first = traffic.evidence(belief, shifted, None)
        model = ClassMeans(self._sums, first, prior, whitening(self._sums, first.spread), backend)
        if not model.active:
            return first
        return traffic.evidence(model.answer(self._window.vectors, zero_shot), shifted, first.spread)

    def _rebuild(self) -> None:
        """The model of the anchors and of the evidence in force."""
        self._evidence = self._publishing.in_force(self._classes)
        prior = self._prior(self._evidence)
        root = whitening(self._sums, self._evidence.spread)
        self._model = ClassMeans(self._sums, self._evidence, prior, root, self._backend)
        settled = (self._settings, self._classes.logit_scale, self._publishing.digest)
        digest = hashlib.blake2b(repr(settled).encode(), digest_size=4)
        digest.update("\0".join(self._classes.names).encode())
        digest.update(self._classes.texts.tobytes())
        self._version = f"mixture-{digest.hexdigest()}"

    def _prior(self, evidence: Evidence, bias: float | None = None) -> Prior:
        labelled = self._anchors.counts > 0
        presence, self._standing = presence_of(evidence, labelled)
        if bias is None:
            bias = self._odds.bias(
                presence, labelled, self._classes.texts, self._classes.logit_scale, self._settings.protection
            )
        return Prior(presence, labelled, bias)
