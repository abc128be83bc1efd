"""All anchors of a process: kept, weighed, pruned and searched; the one truth for every learner beside it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, AnchorListing, as_stored, checked_vectors
from stream_adapter.adapter.anchors.nearest.neighbours import Neighbours, nothing_found
from stream_adapter.adapter.anchors.nearest.search import NearestAnchors
from stream_adapter.adapter.anchors.net_changes import NetChanges
from stream_adapter.adapter.anchors.offering import TakeIn, offer, put
from stream_adapter.adapter.anchors.ownership import EVERYTHING, Ownership
from stream_adapter.adapter.anchors.pruning import Pruner
from stream_adapter.adapter.anchors.records import Displaced, hash_of
from stream_adapter.adapter.anchors.results import ForgetResult, IndexStatistics, LearnResult, Removed
from stream_adapter.adapter.anchors.state import AnchorsCopy, restored_store, unconfirmed_of
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.adapter.anchors.weights import AnchorWeights, Directions, WeightChanges
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.packing import Arrays
from stream_adapter.config import AnchorsConfig

# Anchors for which memory is reserved, though not used, at once: growing a store copies it, in the middle of a stream.
_MOST_AT_ONCE = 100_000


class Columns(NamedTuple):
    """Anchors by column: int64 (n,) row ids, float32 (n, d) as stored, int64 (n,) class indices."""

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]


class Change(NamedTuple):
    """What one call came to.

    Attributes:
        result: by anchor id, for whoever keeps a changelog.
        new: anchors that are there now and were not before.
        gone: anchors that were there before and are not now.
    """

    result: LearnResult
    new: Columns
    gone: Columns


class Anchors:
    """The live anchors. Owned by one thread.

    Args:
        canaries: class names whose anchors are not taken in.
        config: budgets and search.
        seed: for the random levels of a graph.
    """

    def __init__(self, classes: Classes, canaries: Sequence[str], config: AnchorsConfig, seed: int = 0) -> None:
        self._classes = classes
        self._canaries: frozenset[str] = frozenset(canaries)
        self._config = config
        self._seed = seed
        self._asked: tuple[NDArray[np.float32], int, Neighbours] | None = None
        self._use(AnchorStore(classes.names, classes.dimension, min(config.budget, _MOST_AT_ONCE)))

    def __len__(self) -> int:
        return len(self._store)

    @property
    def canaries(self) -> frozenset[str]:
        """Class names whose anchors are not taken in."""
        return self._canaries

    @property
    def columns(self) -> Columns:
        """All of them, by slot; views, good until the next change."""
        return Columns(self.rows, self.vectors, self.classes)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """Float32 (n, d), unit, by slot; a view, good until the next change."""
        return self._store.vectors

    @property
    def classes(self) -> NDArray[np.int64]:
        """Int64 (n,), class indices by slot; a view."""
        return self._store.classes

    @property
    def rows(self) -> NDArray[np.int64]:
        """Int64 (n,), row ids by slot; a view."""
        return self._store.rows

    @property
    def times(self) -> NDArray[np.int64]:
        """Int64 (n,), event times in milliseconds by slot; a view."""
        return self._store.times

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Uint64 (n,), `key_of` the anchors' ids by slot; a view."""
        return self._store.keys

    @property
    def counts(self) -> NDArray[np.int64]:
        """Int64 (C,), anchors per class."""
        return self._store.counts

    @property
    def digest(self) -> str:
        """Hex digest of the set of anchors (id, label, float16 vector, time), whatever order they came in."""
        return self._store.digest

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
            slot = self._store.slots_of(np.array([victim.row]))
            if owned.owns(self._store.keys[slot])[0]:
                pruned.append(self._store.remove(self._store.id_of(victim.row)))
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

    def remove(self, anchor_ids: Sequence[str]) -> tuple[ForgetResult, Columns]:
        """Delete anchors; ids that are not there are reported, not an error. Returns what is gone, too."""
        asked = tuple(dict.fromkeys(anchor_ids))
        known = tuple(anchor_id for anchor_id in asked if anchor_id in self._store)
        unknown = tuple(anchor_id for anchor_id in asked if anchor_id not in self._store)
        gone = [self._store.remove(anchor_id) for anchor_id in known]
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
        found = self._index.query(vectors, wanted) if len(self._store) else nothing_found(len(vectors), wanted)
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
        return np.asarray(1.0 / self._store.crowding)

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
        lost = np.flatnonzero(~known[self._store.classes])
        return [self._store.ids[slot] for slot in lost.tolist()]

    def set_classes(self, classes: Classes, renamed: Mapping[str, str], canaries: Collection[str]) -> None:
        """Go over to another vocabulary, in which all anchors have a class.

        Args:
            classes: the vocabulary from now on.
            renamed: former name to new name, of classes that are called otherwise now, or merged into another one.
            canaries: class names whose anchors are not taken in from now on.

        Raises:
            KeyError: an anchor's class is not in it, see `homeless`.
        """
        used = np.flatnonzero(self._store.counts)
        to = self._store.set_classes(classes.names, renamed)
        self._classes, self._canaries = classes, frozenset(canaries)
        self._pruner = Pruner(self._store, self._weights, classes, self._config)
        self._store.doubt[:] = np.nan
        if len(np.unique(to[used])) < len(used):  # merged classes crowd each other
            self._weights.set_directions(self._weights.directions)
        else:
            self._weights.set_classes(to)

    def anchors(self) -> Iterator[Anchor]:
        """All live anchors, by id; vectors as stored."""
        return self._store.anchors()

    def get(self, anchor_id: str) -> Anchor | None:
        """One live anchor; None where there is none of this id."""
        return self._store.get(anchor_id)

    def listing(self) -> AnchorListing:
        """All live anchors without their vectors; good for any thread and for ever."""
        return self._store.listing()

    def slots_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Int64, shaped as `rows`: their slots now; −1 where a row id is not live."""
        return self._store.slots_of(rows)

    def ids_at(self, slots: NDArray[np.int64]) -> NDArray[np.object_]:
        """Object, shaped as `slots`: their anchor ids; None where a slot is −1."""
        return self._store.ids_at(slots)

    def classes_at(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Int64, shaped as `slots`: their class indices; −1 where a slot is −1."""
        return self._store.classes_at(slots)

    def copy(self) -> AnchorsCopy:
        """Begin to copy all of them, for a snapshot; see `AnchorsCopy`."""
        return AnchorsCopy(self._store, self._canaries)

    def restore(self, arrays: Arrays) -> None:
        """Take over what a copy packed, in place of what is there.

        Raises:
            SnapshotError: the arrays do not fit together, or not to the vocabulary; nothing has changed.
        """
        unconfirmed, settled = unconfirmed_of(arrays, self._classes.dimension)
        directions = self._weights.directions
        of, capacity = self._classes, min(self._config.budget, _MOST_AT_ONCE)
        self._use(restored_store(arrays, of.names, of.dimension, self._canaries, capacity))
        self._weights.set_directions(directions)
        self.remove(unconfirmed)
        self.put(settled)

    def _use(self, store: AnchorStore) -> None:
        self._store = store
        self._weights = AnchorWeights(store)
        self._pruner = Pruner(store, self._weights, self._classes, self._config)
        self._index = NearestAnchors(store, self._config, self._seed)
        self._asked = None

    def _take(self, anchors: Sequence[Anchor], take_in: TakeIn, changes: NetChanges) -> None:
        if not anchors:
            return
        stored, halves = as_stored(checked_vectors(anchors, self._classes.dimension))
        learnable = [index for index, anchor in enumerate(anchors) if self._is_learnable(anchor, changes)]
        offered = [anchors[index] for index in learnable]
        shapes = [hash_of(halves[index].tobytes()) for index in learnable]
        for anchor, became in take_in(self._store, offered, stored[learnable], shapes):
            changes.offered(anchor, became)
        # Of those that came and went within the call no weight was ever counted.
        self._weights.update(list(changes.gone), self._store.slots_of(np.array(changes.new, np.int64)))

    def _is_learnable(self, anchor: Anchor, changes: NetChanges) -> bool:
        if anchor.label in self._canaries:
            changes.ignored(anchor.anchor_id, "canary")
        elif not self._store.knows(anchor.label):
            changes.ignored(anchor.anchor_id, "unknown label")
        else:
            return True
        return False

    def _settled(self, changes: NetChanges) -> Change:
        gone = self._columns_of(changes.gone)
        rows = np.array(changes.new, np.int64)
        slots = self._store.slots_of(rows)
        new = Columns(rows, self._store.vectors[slots], self._store.classes[slots])
        self._index.remove(gone.rows)
        self._index.add(rows)
        if gone.rows.size or rows.size:
            self._asked = None
        return Change(changes.result(), new, gone)

    def _columns_of(self, gone: Sequence[Displaced]) -> Columns:
        if gone:
            self._asked = None
        vectors = np.array([one.anchor.vector for one in gone], np.float32).reshape(-1, self._classes.dimension)
        rows, classes = [one.row for one in gone], [one.class_index for one in gone]
        return Columns(np.array(rows, np.int64), vectors, np.array(classes, np.int64))
