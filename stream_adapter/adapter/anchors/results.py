"""What became of the anchors that were given, and how their index is doing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stream_adapter.adapter.anchors.anchor import Anchor

IgnoredReason = Literal["repeated", "outdated", "canary", "unknown label"]
RemovedReason = Literal["corrected", "class budget", "total budget", "forgotten"]


class Replaced(NamedTuple):
    """An anchor that took another one's place because its label is newer.

    Attributes:
        previous_id: the same id (a correction of the event), or that of another event with exactly the same vector.
    """

    anchor_id: str
    previous_id: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """An anchor that had no effect, and why."""

    anchor_id: str
    reason: IgnoredReason


@dataclass(frozen=True, slots=True)
class Removed:
    """An anchor that is gone, and why; a changelog deletes its key."""

    anchor_id: str
    reason: RemovedReason


@dataclass(frozen=True, slots=True)
class LearnResult:
    """Net effect of one call of `learn`: what holds after it, compared with before.

    An anchor that came and went within the call is only among `removed`. A changelog writes `written` and deletes
    `removed`; the two never share an id.

    Attributes:
        replaced: ids that took the place of a wrong label.
        folded: ids of exact duplicates of a live anchor with the same label, which counts them.
        removed: ids that are gone: replaced by another id, or pruned.
        before: every anchor that was there before and is changed or gone, as it was, by id.
    """

    added: tuple[str, ...] = ()
    replaced: tuple[Replaced, ...] = ()
    folded: tuple[str, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    removed: tuple[Removed, ...] = ()
    before: Mapping[str, Anchor] = field(default_factory=dict)

    @property
    def written(self) -> tuple[str, ...]:
        """Ids whose record is new or changed."""
        # An anchor that replaced two others at once is there twice.
        return self.added + tuple(dict.fromkeys(change.anchor_id for change in self.replaced))


@dataclass(frozen=True, slots=True)
class ForgetResult:
    """Net effect of one call of `forget`.

    Attributes:
        unknown: ids that were not there, as happens when another worker's deletion is read twice.
    """

    removed: tuple[Removed, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexStatistics:
    """How the search for nearest anchors is doing.

    Attributes:
        tombstones: deleted elements that still take room in the graph; 0 for exact search.
        rebuilds: how often a new graph was swapped in.
        recall: recall@k against exact search over the newest sampled queries; None before the first sample or for
            exact search.
        fallbacks: queries that the graph could not answer and exact search did.
    """

    kind: Literal["exact", "hnsw"]
    live: int
    tombstones: int = 0
    rebuilds: int = 0
    recall: float | None = None
    fallbacks: int = 0
