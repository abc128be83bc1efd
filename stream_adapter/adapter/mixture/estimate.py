"""One reading of anchors and traffic: the model in force, and what the own window says under it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.confidence import BINS
from stream_adapter.adapter.learner import LearnerContext, Standing
from stream_adapter.adapter.mixture.anchor_sums import AnchorSums
from stream_adapter.adapter.mixture.backend import Backend
from stream_adapter.adapter.mixture.class_means import ClassMeans, Prior
from stream_adapter.adapter.mixture.evidence import Evidence
from stream_adapter.adapter.mixture.label_shift import Shift
from stream_adapter.adapter.mixture.shared_evidence import SharedEvidence
from stream_adapter.adapter.mixture.standing import presence_of
from stream_adapter.adapter.mixture.traffic import Traffic
from stream_adapter.adapter.mixture.whitening import whitening
from stream_adapter.adapter.mixture.window import Window
from stream_adapter.config import AnchorsConfig, MixtureConfig

_PART = 512  # events of the window between two moments at which others are let in


class Estimate:
    """Reads the anchors, or none of them, and the traffic.

    Args:
        kind: what the keys of its records begin with.
        anchors: the anchors; an empty set for what the traffic alone says.
    """

    def __init__(
        self,
        kind: str,
        classes: Classes,
        anchors: Anchors,
        settings: MixtureConfig,
        context: LearnerContext,
        backend: Backend,
    ) -> None:
        self._classes = classes
        self._anchors = anchors
        self._backend = backend
        self._sums = AnchorSums(anchors, len(classes), classes.dimension)
        self._model: ClassMeans | None = None
        self._standing: Standing
        self._rooted = -1
        self._roots: dict[tuple[float, float], NDArray[np.float32]] = {}  # since the last change of the sums
        self.shared = SharedEvidence(kind, classes, context, settings.every_s)
        self.rebuild()

    @property
    def knows(self) -> bool:
        """Whether there is anything to go by."""
        return self.evidence.weight > 0 or len(self._anchors) > 0

    @property
    def model(self) -> ClassMeans:
        """The model in force."""
        if self._model is None:
            self._sums.update()
            prior, self._standing = self._prior(self.evidence)
            root = self._whitening(self.evidence.spread)
            self._model = ClassMeans(self._sums, self.evidence, prior, root, self._backend)
        return self._model

    @property
    def standing(self) -> Standing:
        """What classes are taken for, under the model in force."""
        assert self.model is not None  # made anew, it decides about them
        return self._standing

    def learned(self) -> None:
        """Let what has changed among the anchors be in force: their sums, and who is labelled."""
        if self._model is None:
            return  # it is made of all when it is asked for: until then many may come
        touched = self._sums.update()
        if len(touched):
            prior = self._model.prior
            if not np.array_equal(prior.labelled, self._anchors.counts > 0):
                prior, self._standing = self._prior(self.evidence)
            self._model.learned(touched, prior)

    def ask(self, window: Window, shift: Shift, give_way: Callable[[], None]) -> None:
        """What the own window says, given the anchors: beliefs first without any mean, then once with them.

        Nothing of what was believed before enters, so that what labels did does not stay when they go.
        """
        give_way()
        self._sums.update()
        traffic = Traffic(window, self._anchors, shift, self._backend)
        shifted = traffic.shifted()
        prior, _ = self._prior(self.shared.beside(*shifted, float(window.weights.sum())))
        belief = window.zero_shot * self._backend.put(prior.presence)
        belief /= self._backend.xp.sum(belief, axis=1, keepdims=True)
        give_way()
        evidence = traffic.evidence(belief, shifted, None)
        give_way()
        moves = self._moves(window, shift, traffic, give_way)
        give_way()
        root = self._whitening(evidence.spread, give_way)
        give_way()
        model = ClassMeans(self._sums, evidence, prior, root, self._backend)
        if model.active:
            give_way()
            parts = []
            for at in range(0, len(window), _PART):  # all at once would be by far the longest step
                parts.append(model.answer(window.vectors[at : at + _PART], window.zero_shot[at : at + _PART]))
                give_way()
            belief = self._backend.xp.concat(parts)
            evidence = traffic.evidence(belief, shifted, evidence.spread)
        give_way()
        self.shared.found(replace(evidence, moves=moves))

    def rebuild(self) -> None:
        """Make the model anew, of the anchors and of the evidence in force, when it is asked next."""
        self.evidence = self.shared.in_force()
        self._model = None

    def set_classes(self, classes: Classes, former: NDArray[np.int64]) -> None:
        """Go over to other classes: int64 (C,), which former one each is, −1 where it is new.

        The covariance stays as it is: what is known of the other classes is not worked out again.
        """
        self._classes = classes
        self._sums.set_classes(former)
        self.shared.set_classes(classes)
        self._sums.update()
        self.evidence = self.shared.in_force()
        if self._model is not None:
            before = self._model
            prior, self._standing = self._prior(self.evidence)
            self._model = ClassMeans(self._sums, self.evidence, prior, before.root, self._backend, (before, former))

    def _moves(
        self, window: Window, shift: Shift, traffic: Traffic, give_way: Callable[[], None]
    ) -> NDArray[np.float64]:
        """See `Traffic.moves`: asked of the traffic alone, as it would be read if nothing was labelled."""
        if not traffic.any_labelled:
            return np.zeros((2, BINS))
        none = Anchors(self._classes, (), AnchorsConfig(index="exact"))
        sums = AnchorSums(none, *self._sums.sums.shape)
        alone = Traffic(window, none, shift, self._backend)
        shifted = alone.shifted()
        beside = self.shared.beside(*shifted, float(window.weights.sum()))
        nobody = np.zeros(len(beside.given), np.bool_)
        presence, _ = presence_of(replace(beside, explained=np.zeros(len(nobody))), nobody)
        belief = window.zero_shot * self._backend.put(presence)
        belief /= self._backend.xp.sum(belief, axis=1, keepdims=True)
        give_way()
        evidence = alone.evidence(belief, shifted, None)
        give_way()
        prior = Prior(presence, nobody)
        model = ClassMeans(sums, evidence, prior, whitening(sums, evidence.spread), self._backend)
        give_way()
        return traffic.moves(model) if model.active else np.zeros((2, BINS))

    def _prior(self, evidence: Evidence) -> tuple[Prior, Standing]:
        labelled = self._anchors.counts > 0
        presence, standing = presence_of(evidence, labelled)
        return Prior(presence, labelled), standing

    def _whitening(
        self, spread: tuple[float, float], give_way: Callable[[], None] = lambda: None
    ) -> NDArray[np.float32]:
        """The covariance's root. Between two changes it is asked for by the spread in force, and twice by the next."""
        if self._rooted != self._sums.changes:
            self._rooted, self._roots = self._sums.changes, {}
        if spread not in self._roots:
            self._roots[spread] = whitening(self._sums, spread, give_way)
        return self._roots[spread]
