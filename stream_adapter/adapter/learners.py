"""The learners of a process, made by name: the one that answers, and a second one on trial that is told the same."""

from collections.abc import Callable
from typing import Any, TypeVar

import structlog

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Events, Labels, Learner, LearnerContext, MakeLearner, Records
from stream_adapter.adapter.protection import Protected
from stream_adapter.config import AdapterConfig
from stream_adapter.plugins import LEARNERS

_T = TypeVar("_T")

log = structlog.get_logger(__name__)


def make_learner(
    name: str, classes: Classes, anchors: Anchors, config: AdapterConfig, context: LearnerContext
) -> Learner:
    """The learner of this name, under the protection that is configured.

    The package's own have sections of the configuration, others a part of `methods`.

    Raises:
        PluginError: there is no such learner, or it cannot be loaded.
    """
    make: MakeLearner = LEARNERS.load(name)
    settings: Any = getattr(config, name, None) if name in LEARNERS.built_in else config.methods.get(name, {})
    learner = make(classes, anchors, settings, context)
    if not config.protection and not any(config.protect.values()):
        return learner
    return Protected(learner, classes, anchors, config.protection, config.protect, chosen=config.labels == "chosen")


class Learners:
    """A learner, and one in its shadow that is left out from the moment when it fails; nothing else is worse for it.

    Args:
        shadow: the other one; None for no one.
    """

    def __init__(self, answering: Learner, shadow: Learner | None = None, method: str | None = None) -> None:
        self.answering = answering
        self._shadow = shadow
        self._method = method

    def in_shadow(self, step: Callable[[Learner], _T]) -> _T | None:
        """Do something with the one in the shadow; None where there is none, or it fails."""
        if self._shadow is None:
            return None
        try:
            return step(self._shadow)
        except Exception:
            log.exception("the method in the shadow failed and is left out", method=self._method)
            self._shadow = None
            return None

    def each(self, step: Callable[[Learner], None]) -> None:
        """Do something with both."""
        step(self.answering)
        self.in_shadow(step)

    def forget(self, gone: Labels) -> None:
        """Anchors are gone."""
        self.each(lambda learner: _forget(learner, gone))

    def update(self, gone: Labels, events: Events, labels: Labels) -> None:
        """Anchors are gone; traffic and others have come."""
        self.each(lambda learner: update_learner(learner, gone, events, labels))

    def follow(self, gone: Labels, labels: Labels, records: Records) -> None:
        """Anchors are gone and others have come elsewhere; records are the answering one's alone."""

        def follow(learner: Learner) -> None:
            _forget(learner, gone)
            learner.follow(labels, records if learner is self.answering else {})

        self.each(follow)


def update_learner(learner: Learner, gone: Labels, events: Events, labels: Labels) -> None:
    """Anchors are gone; traffic and others have come."""
    _forget(learner, gone)
    learner.update(events, labels)


def _forget(learner: Learner, gone: Labels) -> None:
    if gone.rows.size:
        learner.forget(*gone)
