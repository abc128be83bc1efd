"""The learners by name: those of the package, and those that other packages add."""

import difflib
import pkgutil
from importlib.metadata import entry_points
from typing import Any

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Learner, MakeLearner, Surroundings
from stream_adapter.config import AdapterConfig
from stream_adapter.errors import ConfigError

GROUP = "stream_adapter.learners"
"""The entry points of this group are learners, too."""

# Where each one is; nothing is imported before it is asked for.
METHODS: dict[str, str] = {
    "mixture": "stream_adapter.adapter.mixture.mixture:Mixture",
    "llu": "stream_adapter.adapter.latent_updates.learner:LatentUpdates",
}


def make_learner(
    name: str, classes: Classes, anchors: Anchors, config: AdapterConfig, surroundings: Surroundings
) -> Learner:
    """The learner of this name; its settings are the section of the configuration that is called like it.

    Raises:
        ConfigError: there is no such learner.
    """
    make: MakeLearner = _find(name)
    settings: Any = getattr(config, name, None) if name in METHODS else config.methods.get(name, {})
    return make(classes, anchors, settings, surroundings)


def _find(name: str) -> Any:
    places = {point.name: point.value for point in entry_points(group=GROUP)} | METHODS
    if name not in places:
        near = difflib.get_close_matches(name, places, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError([f"adapter.method: no learner is called {name!r}; {advice}known are {', '.join(places)}"])
    return pkgutil.resolve_name(places[name])
