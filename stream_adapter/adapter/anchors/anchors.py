"""All anchors of a process: kept, weighed, pruned and searched; the one truth for every learner beside it."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, Displaced, as_stored, checked_vectors, hash_of
from stream_adapter.adapter.anchors.nearest.neighbours import Neighbours, nothing_found
from stream_adapter.adapter.anchors.nearest.search import NearestAnchors
from stream_adapter.adapter.anchors.net_changes import NetChanges
from stream_adapter.adapter.anchors.offering import TakeIn, offer, put
from stream_adapter.adapter.anchors.ownership import EVERYTHING, Ownership
from stream_adapter.adapter.anchors.pruning import Pruner
from stream_adapter.adapter.anchors.results import ForgetResult, IndexStatistics, LearnResult, Removed
from stream_adapter.adapter.anchors.state import AnchorsCopy, restored_store, unconfirmed_of
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.adapter.anchors.weights import AnchorWeights, Directions, WeightChanges
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.packing import Arrays
from stream_adapter.config import AnchorsConfig

# Anchors for which memory is reserved, though not used, at once: growing a store copies it, in the middle of a stream.
_MOST_AT_ONCE = 100_000


class Labels(NamedTuple):
    """Anchors, by column.

    Attributes:
        rows: int64 (n,), their row ids: never used twice.
        vectors: float32 (n, d), unit, as stored.
        classes: int64 (n,), class indices.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]

    @classmethod
    def none(cls, dimension: int) -> "Labels":
        """No anchors, of d numbers."""
        return cls(np.zeros(0, np.int64), np.zeros((0, dimension), np.float32), np.zeros(0, np.int64))


class Change(NamedTuple):
    """What one call came to.

    Attributes:
        result: by anchor id, for whoever keeps a changelog.
        new: anchors that are there now and were not before.
        gone: anchors that were there before and are not now.
    """

    result: LearnResult
    new: Labels
    gone: Labels


class Anchors(AnchorStore):
    """The live anchors: a store that weighs, prunes and searches what it holds. Owned by one thread.

    Args:
        canaries: class names whose anchors are not taken in.
        config: budgets and search.
        seed: for the random levels of a graph.
    """

    _asked: tuple[NDArray[np.float32], int, Neighbours] | None

    def __init__(self, classes: Classes, canaries: Sequence[str], config: AnchorsConfig, seed: int = 0) -> None:
        self._classes = classes
        self._canaries: frozenset[str] = frozenset(canaries)
        self._config = config
        self._seed = seed
        super().__init__(classes.names, classes.dimension, min(config.budget, _MOST_AT_ONCE))
        self._begin()

    @property
    def canaries(self) -> frozenset[str]:
        """Class names whose anchors are not taken in."""
        return self._canaries

    @property
    def columns(self) -> Labels:
        """All of them, by slot; views, good until the next change."""
        return Labels(self.rows, self.vectors, self.classes)

    def take_in(self, anchors: Sequence[Anchor], owned: Ownership = EVERYTHING) -> Change:
        """Take anchors in, in this order, then prune to the budgets. All are checked before anything changes.

        Args:
            anchors: may be empty: then it only prunes.
            owned: the anchors that may be pruned here; others that have to go are left to whoever owns them.

        Raises:
            AnchorError: a vector is not finite, not unit or of the wrong length; nothing has changed.
        """
        changes = NetChanges()
        self._take(anchors, offer, changes)
        pruned: list[Displaced] = []
        for victim in self._pruner.victims():
            slot = self.slots_of(np.array([victim.row]))
            if owned.owns(self.keys[slot])[0]:
                pruned.append(self.take_out(self.id_of(victim.row)))
                changes.pruned(victim, pruned[-1])
        self._weights.update(pruned, np.zeros(0, np.int64))
        return self._settled(changes)

    def put(self, anchors: Sequence[Anchor]) -> Change:
        """Take in anchors that were decided on elsewhere: of one id the largest stamp stays; nothing is pruned.

        Raises:
            AnchorError: as `take_in`.
        """
        changes = NetChanges()
        self._take(anchors, put, changes)
        return self._settled(changes)

    def remove(self, anchor_ids: Sequence[str]) -> tuple[ForgetResult, Labels]:
        """Delete anchors; ids that are not there are reported, not an error. Returns what is gone, too."""
        asked = tuple(dict.fromkeys(anchor_ids))
        known = tuple(anchor_id for anchor_id in asked if anchor_id in self)
        unknown = tuple(anchor_id for anchor_id in asked if anchor_id not in self)
        gone = [self.take_out(anchor_id) for anchor_id in known]
        self._weights.update(gone, np.zeros(0, np.int64))
        columns = self._columns_of(gone)
        self._index.remove(columns.rows)
        return ForgetResult(tuple(Removed(anchor_id, "forgotten") for anchor_id in known), unknown), columns

    def nearest(self, vectors: NDArray[np.float32], k: int) -> Neighbours:
        """The k nearest anchors of each of float32 (B, d) unit vectors; asked again about the same array, the same.

        At least `config.neighbours` are looked up, so that a learner that wants fewer does not search twice.
        """
        asked, wanted = self._asked, max(k, self._config.neighbours)
        if asked is not None and asked[0] is vectors and asked[1] >= k:
            return Neighbours(asked[2].rows[:, :k], asked[2].cosines[:, :k])
        found = self._index.query(vectors, wanted) if len(self) else nothing_found(len(vectors), wanted)
        self._asked = (vectors, wanted, found)
        return Neighbours(found.rows[:, :k], found.cosines[:, :k])

    def maintain(self, executor: Executor) -> None:
        """Rebuild the search where that is due, in the background; called between batches.

        Raises:
            BaseException: whatever a background rebuild raised.
        """
        self._index.maintain(executor)
        self._asked = None

    @property
    def index_statistics(self) -> IndexStatistics:
        """How the search is doing."""
        return self._index.statistics

    @property
    def weights(self) -> NDArray[np.float64]:
        """Float64 (n,) in (0, 1], what each anchor adds to those near it, by slot."""
        self._weights.level()
        return np.asarray(1.0 / self.crowding)

    def drain_weight_changes(self) -> WeightChanges | None:
        """All changes of weights since this was last called, for the one learner that sums over anchors.

        None where there are too many: it begins anew.
        """
        return self._weights.drain()

    def set_directions(self, directions: Directions | None) -> None:
        """Weigh all anchors in other directions, as the learner that measures the traffic finds them."""
        self._weights.set_directions(directions)

    def homeless(self, classes: Classes, renamed: Mapping[str, str], canaries: Collection[str]) -> list[str]:
        """Ids of anchors that have no class in another vocabulary; arguments as for `set_classes`."""
        learnable = set(classes.names) - set(canaries)
        known = np.array([renamed.get(name, name) in learnable for name in self._classes.names], np.bool_)
        lost = np.flatnonzero(~known[self.classes])
        return [self.ids[slot] for slot in lost.tolist()]

    def set_classes(self, classes: Classes, renamed: Mapping[str, str], canaries: Collection[str]) -> None:
        """Go over to another vocabulary, in which all anchors have a class.

        Args:
            classes: the vocabulary from now on.
            renamed: former name to new name, of classes that are called otherwise now, or merged into another one.
            canaries: class names whose anchors are not taken in from now on.

        Raises:
            KeyError: an anchor's class is not in it, see `homeless`.
        """
        used = np.flatnonzero(self.counts)
        to = self.rename(classes.names, renamed)
        self._classes, self._canaries = classes, frozenset(canaries)
        self._pruner = Pruner(self, self._weights, classes, self._config)
        self.doubt[:] = np.nan
        if len(np.unique(to[used])) < len(used):  # merged classes crowd each other
            self._weights.set_directions(self._weights.directions)
        else:
            self._weights.set_classes(to)

    def copy(self) -> AnchorsCopy:
        """Begin to copy all of them, for a snapshot; see `AnchorsCopy`."""
        return AnchorsCopy(self, self._canaries)

    def restore(self, arrays: Arrays) -> None:
        """Take over what a copy packed, in place of what is there.

        Raises:
            SnapshotError: the arrays do not fit together, or not to the vocabulary; nothing has changed.
        """
        unconfirmed, settled = unconfirmed_of(arrays, self._classes.dimension)
        directions = self._weights.directions
        of, capacity = self._classes, min(self._config.budget, _MOST_AT_ONCE)
        self.take_over(restored_store(arrays, of.names, of.dimension, self._canaries, capacity))
        self._begin()
        self._weights.set_directions(directions)
        self.remove(unconfirmed)
        self.put(settled)

    def _begin(self) -> None:
        self._weights = AnchorWeights(self)
        self._pruner = Pruner(self, self._weights, self._classes, self._config)
        self._index = NearestAnchors(self, self._config, self._seed)
        self._asked = None

    def _take(self, anchors: Sequence[Anchor], take_in: TakeIn, changes: NetChanges) -> None:
        if not anchors:
            return
        stored, halves = as_stored(checked_vectors(anchors, self._classes.dimension))
        learnable = []
        for index, anchor in enumerate(anchors):
            if anchor.label in self._canaries:
                changes.ignored(anchor.anchor_id, "canary")
            elif anchor.label not in self._class_index:
                changes.ignored(anchor.anchor_id, "unknown label")
            else:
                learnable.append(index)
        offered = [anchors[index] for index in learnable]
        shapes = [hash_of(halves[index].tobytes()) for index in learnable]
        for anchor, became in take_in(self, offered, stored[learnable], shapes):
            changes.offered(anchor, became)
        # Of those that came and went within the call no weight was ever counted.
        self._weights.update(list(changes.gone), self.slots_of(np.array(changes.new, np.int64)))

    def _settled(self, changes: NetChanges) -> Change:
        gone = self._columns_of(changes.gone)
        rows = np.array(changes.new, np.int64)
        slots = self.slots_of(rows)
        new = Labels(rows, self.vectors[slots], self.classes[slots])
        self._index.remove(gone.rows)
        self._index.add(rows)
        if gone.rows.size or rows.size:
            self._asked = None
        return Change(changes.result(), new, gone)

    def _columns_of(self, gone: Sequence[Displaced]) -> Labels:
        if gone:
            self._asked = None
        vectors = np.array([one.anchor.vector for one in gone], np.float32).reshape(-1, self._classes.dimension)
        rows, classes = [one.row for one in gone], [one.class_index for one in gone]
        return Labels(np.array(rows, np.int64), vectors, np.array(classes, np.int64))
