"""Which search for nearest anchors is used: exact while the store is small, HNSW as it grows."""

import importlib.util
import math
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.nearest.exact import ExactNeighbours
from stream_adapter.adapter.anchors.nearest.graph import GraphBuild
from stream_adapter.adapter.anchors.nearest.hnsw import HnswNeighbours
from stream_adapter.adapter.anchors.nearest.neighbours import NearestAnchors, Neighbours
from stream_adapter.adapter.anchors.results import IndexStatistics
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.config import AnchorsConfig

# Cost per event at batch 64, one in three of them an insert: without bfloat16 instructions the two are level at about
# 25,000 anchors (benchmarks/adapter.py), with them at 50,000 for batches of 16 and 150,000 for batches of 64. Up to
# here exact search costs at most a third of a millisecond more per event, needs no building and misses nothing;
# beyond, its cost goes on growing with the store.
GROW_AT = 30_000
# Far enough below that a store at its budget does not build graphs back and forth.
SHRINK_AT = GROW_AT // 2


def make_index(store: AnchorStore, config: AnchorsConfig, seed: int) -> NearestAnchors:
    """The search that `config.index` asks for, over the anchors that are in the store; it can be used at once.

    Where a graph is needed it is built in the background, while exact search answers.

    Args:
        store: the anchors.
        config: which search, and a graph's parameters.
        seed: for the random levels of a graph.
    """
    if config.index == "exact":
        return ExactNeighbours(store)
    if config.index == "auto":
        return AutoNeighbours(store, config, seed)
    if not len(store):
        return HnswNeighbours(store, config, seed)
    return AutoNeighbours(store, config, seed, grow_at=0, shrink_at=0)


class AutoNeighbours:
    """Exact search up to `grow_at` anchors, then HNSW until they are fewer than `shrink_at`.

    Without hnswlib, which the library alone does not bring, it stays with exact search.
    The first graph is built in the background while exact search goes on answering; going back needs nothing.
    """

    def __init__(
        self,
        store: AnchorStore,
        config: AnchorsConfig,
        seed: int,
        *,
        grow_at: int = GROW_AT,
        shrink_at: int = SHRINK_AT,
    ) -> None:
        self._store = store
        self._config = config
        self._seed = seed
        self._grow_at = grow_at if importlib.util.find_spec("hnswlib") is not None else math.inf
        self._shrink_at = shrink_at
        self._exact = ExactNeighbours(store)
        self._hnsw: HnswNeighbours | None = None
        self._first_build: GraphBuild | None = None

    def add(self, rows: NDArray[np.int64]) -> None:
        """See `NearestAnchors.add`."""
        if self._hnsw is not None:
            self._hnsw.add(rows)
        if self._first_build is not None:
            self._first_build.add(rows)

    def remove(self, rows: NDArray[np.int64]) -> None:
        """See `NearestAnchors.remove`."""
        if self._hnsw is not None:
            self._hnsw.remove(rows)
        if self._first_build is not None:
            self._first_build.remove(rows)

    def query(self, vectors: NDArray[np.float32], k: int) -> Neighbours:
        """See `NearestAnchors.query`."""
        return self._active.query(vectors, k)

    def maintain(self, executor: Executor) -> None:
        """See `NearestAnchors.maintain`; switches between the two searches."""
        self._active.maintain(executor)
        if self._hnsw is not None:
            if len(self._store) < self._shrink_at:
                self._hnsw = None
            return
        if self._first_build is None and len(self._store) >= self._grow_at:
            self._first_build = GraphBuild(self._store, self._config, self._seed, executor)
        if self._first_build is not None:
            graph = self._first_build.finished(executor)
            if graph is not None:
                self._first_build = None
                self._hnsw = HnswNeighbours(self._store, self._config, self._seed, graph)

    @property
    def statistics(self) -> IndexStatistics:
        """See `NearestAnchors.statistics`."""
        return self._active.statistics

    @property
    def _active(self) -> NearestAnchors:
        return self._exact if self._hnsw is None else self._hnsw
