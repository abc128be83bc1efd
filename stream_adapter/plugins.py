"""What can be plugged in by name: learners, encoders and transports, built in or of any installed distribution.

A distribution registers what it brings as an entry point, `docs/plugins.md` says how:

    [project.entry-points."stream_adapter.transports"]
    sqlite = "my_package.transport:SqliteTransport"

Nothing is imported before it is asked for by its name.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from stream_adapter.errors import NotInstalled, PluginError


@dataclass(frozen=True)
class Registry:
    """All that is known under one entry point group.

    Attributes:
        kind: what is registered here, for messages: "transport".
        group: the entry point group.
        built_in: what comes with the package: names, and where each is, as `module:attribute`.
        needs: attributes that each of them must have.
    """

    kind: str
    group: str
    built_in: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Every name that `load` takes, sorted."""
        return sorted({*self.built_in, *(point.name for point in entry_points(group=self.group))})

    def check(self, name: str) -> None:
        """Make sure that there is exactly one of this name, without importing it.

        Raises:
            PluginError: there is none, and the message lists those that there are; or several distributions have one.
        """
        self._point(name)

    def load(self, name: str) -> Any:
        """Import what is registered under a name; what is built in goes before what others call the same.

        Raises:
            PluginError: as `check`; or it cannot be imported, or lacks what it needs: the message names the
                distribution that it comes from.
            NotInstalled: it is built in and needs what an extra brings.
        """
        point = self._point(name)
        try:
            found = point.load()
        except Exception as error:  # it is somebody else's code
            if isinstance(error, ModuleNotFoundError) and (missing := NotInstalled.of(error)) is not None:
                raise missing from error
            raise PluginError(
                f"{self._origin(point)} cannot be loaded: {type(error).__name__}: {error}; repair or remove it"
            ) from error
        lacking = [attribute for attribute in self.needs if not hasattr(found, attribute)]
        if lacking:
            raise PluginError(
                f"{self._origin(point)} is no {self.kind}: {point.value} has no {' and no '.join(map(repr, lacking))}"
            )
        return found

    def _point(self, name: str) -> EntryPoint:
        if name in self.built_in:
            return EntryPoint(name, self.built_in[name], self.group)
        points = list(entry_points(group=self.group, name=name))
        if not points:
            known = self.names()
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]!r}? " if near else ""
            raise PluginError(
                f"no {self.kind} is called {name!r}; {advice}known are {', '.join(known) or 'none'}. Others are "
                f"registered by what is installed, as entry points of the group {self.group!r}"
            )
        if len({point.value for point in points}) > 1:
            raise PluginError(
                f"several distributions have a {self.kind} {name!r}: {', '.join(sorted(map(_distribution, points)))}; "
                "remove all but one"
            )
        return points[0]

    def _origin(self, point: EntryPoint) -> str:
        return f"the {self.kind} {point.name!r} of {_distribution(point)}"


def _distribution(point: EntryPoint) -> str:
    """Where an entry point comes from, with its version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "stream-adapter itself"


# Compared with in `evaluate`; a worker runs each of them, too.
_RIVALS = (
    *("zero-shot", "tip-adapter", "nearest-or-zero-shot", "knn", "slda", "ranpac", "rail", "anytime", "kernel-ridge"),
    *("lsa", "stata", "online-mixture", "last-label"),
)
LEARNERS = Registry(
    "learner",
    "stream_adapter.learners",
    {
        "mixture": "stream_adapter.adapter.mixture.mixture:Mixture",
        "llu": "stream_adapter.adapter.latent_updates.learner:LatentUpdates",
        **{name: f"stream_adapter.evaluate.methods.live:{name.replace('-', '_')}" for name in _RIVALS},
    },
    needs=("Settings",),
)
ENCODERS = Registry(
    "encoder",
    "stream_adapter.encoders",
    {
        "open_clip": "stream_adapter.encode.clip:OpenClipModel",
        "vectors": "stream_adapter.encode.vectors_only:VectorsModel",
        "groceries": "stream_adapter.demo.groceries:GroceriesModel",  # the demo's
    },
    needs=("Settings",),
)
TRANSPORTS = Registry(
    "transport",
    "stream_adapter.transports",
    {
        "kafka": "stream_adapter.transport.kafka.transport:KafkaTransport",
        "files": "stream_adapter.transport.files.transport:FileTransport",
    },
    needs=("Settings",),
)
