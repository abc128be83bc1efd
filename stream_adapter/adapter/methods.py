"""The learner of a name: one of the package, or one that another package adds."""

from typing import Any

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Learner, LearnerContext, MakeLearner
from stream_adapter.adapter.protection import Protected
from stream_adapter.config import AdapterConfig
from stream_adapter.plugins import LEARNERS


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
