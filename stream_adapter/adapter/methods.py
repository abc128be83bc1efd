"""The learners by name: those of the package, and those that other packages add."""

from collections.abc import Mapping
from typing import Any

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Learner, MakeLearner, Surroundings
from stream_adapter.config import AdapterConfig


def _mixture(classes: Classes, anchors: Anchors, settings: Any, surroundings: Surroundings) -> Learner:
    from stream_adapter.adapter.mixture.mixture import Mixture

    return Mixture(classes, anchors, settings, surroundings)


def _latent_updates(classes: Classes, anchors: Anchors, settings: Any, surroundings: Surroundings) -> Learner:
    from stream_adapter.adapter.latent_updates.learner import LatentUpdates  # loads torch, seconds

    return LatentUpdates(classes, anchors, settings, surroundings)


METHODS: Mapping[str, MakeLearner] = {"mixture": _mixture, "llu": _latent_updates}


def make_learner(
    name: str, classes: Classes, anchors: Anchors, config: AdapterConfig, surroundings: Surroundings
) -> Learner:
    """The learner of this name; its settings are the section of the configuration that is called like it.

    Raises:
        ConfigError: there is no such learner.
    """
    settings: Any = getattr(config, name, None) or config.methods.get(name, {})
    return METHODS[name](classes, anchors, settings, surroundings)
