"""A base for methods that cannot take a label back: where one is deleted they begin anew and see all anchors again."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import (
    Answer,
    Events,
    Labels,
    Learner,
    LearnerContext,
    Records,
    Standing,
    standing_of,
)
from stream_adapter.adapter.packing import Arrays
from stream_adapter.errors import PluginError


class Replaying(Learner):
    """A learner by three methods: `begin`, `learn`, `answer`. The anchors are its memory, so it saves nothing else."""

    def __init__(self, classes: Classes, anchors: Anchors, settings: Any, context: LearnerContext) -> None:
        self.classes = classes
        self.anchors = anchors
        self.settings = settings
        self.context = context
        self._stale = False
        self.begin()

    @abstractmethod
    def begin(self) -> None:
        """Know nothing but `classes`."""

    @abstractmethod
    def learn(self, events: Events, labels: Labels) -> None:
        """Take in traffic and anchors that are new; either may be empty."""

    @abstractmethod
    def answer(self, vectors: NDArray[np.float32], zero_shot: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities float32 (B, C) for vectors (B, d), given the untouched model's (B, C); changes nothing."""

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """See `Learner.predict`.

        Raises:
            PluginError: `answer` gave no probabilities of this shape.
        """
        self._catch_up()
        logits = self.classes.logit_scale * (vectors @ self.classes.texts.T)  # (B, C)
        zero_shot = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        zero_shot /= zero_shot.sum(axis=1, keepdims=True)
        adapted = np.array(self.answer(vectors, zero_shot.copy()), np.float32)
        if adapted.shape != zero_shot.shape or not np.allclose(adapted.sum(axis=1), 1.0, atol=1e-3):
            raise PluginError(
                f"{type(self).__name__}.answer must give probabilities of shape {zero_shot.shape}, events by classes; "
                f"found the shape {adapted.shape} and a sum of {adapted.sum():g}"
            )
        return Answer(zero_shot, adapted, adapted.copy())

    def update(self, events: Events, labels: Labels) -> None:
        """See `Learner.update`."""
        if self._stale:  # the new ones are among all that are seen again
            self._catch_up()
            labels = Labels.none(self.classes.dimension)
        if len(events.keys) or len(labels.rows):
            self.learn(events, labels)

    def follow(self, labels: Labels, records: Records) -> None:
        """See `Learner.follow`; there are no records."""
        self.update(Events.none(self.classes.dimension), labels)

    def forget(self, rows: NDArray[np.int64], vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """See `Learner.forget`."""
        self._stale = True

    def set_classes(self, classes: Classes, former: NDArray[np.int64]) -> None:
        """See `Learner.set_classes`."""
        self.classes, self._stale = classes, True

    def standing(self) -> Standing:
        """Labelled or not, it knows no more."""
        return standing_of(self.anchors.counts > 0)

    def restore(self, arrays: Arrays) -> None:
        """See all anchors again."""
        self._stale = True

    @property
    def version(self) -> str:
        """The method's name; what else answers depend on are the anchors."""
        return type(self).__name__

    def _catch_up(self) -> None:
        if not self._stale:
            return
        self.begin()
        order = np.argsort(self.anchors.rows)  # as they came
        if len(order):
            every = Labels(self.anchors.rows[order], self.anchors.vectors[order], self.anchors.classes[order])
            self.learn(Events.none(self.classes.dimension), every)
        self._stale = False
