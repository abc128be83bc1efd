"""The search for the nearest anchors: exact while the store is small, by a graph (HNSW) as it grows."""

import importlib.util
import math
from collections import deque
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.nearest.graph import Graph, GraphBuild
from stream_adapter.adapter.anchors.nearest.neighbours import Neighbours, exact, ranked
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
_LIMITS: dict[str, tuple[float, float]] = {"exact": (math.inf, 0), "hnsw": (0, 0), "auto": (GROW_AT, SHRINK_AT)}
# Anchors that come at once are put into a graph one by one, in the thread that answers (0.3 ms each). As many as there
# are, and at least these, are left to a new one.
_BUILT_ANEW = 2_000
# Below this, tombstones cost nothing worth a rebuild.
_FEW_TOMBSTONES = 128
# Recall is judged on means of this many sampled queries (standard error about half a point at recall 0.95, k = 16).
_RECALL_WINDOW = 64
# A rebuild restores about one point after ordinary drift; five are a graph that has gone bad.
_RECALL_DROP = 0.05


class NearestAnchors:
    """A cache over the anchor store; used by the thread that owns the adapter.

    The store is changed first, then the index is told; a query between the two may miss what was added but never
    returns what is gone. A graph is trusted with nothing but a guess: ids are checked and cosines recomputed from the
    store. It is built in the background while exact search answers, and again when half of it is tombstones or its
    sampled recall has dropped.

    Args:
        config: which search, a graph's parameters, and the share of queries on which recall is measured.
        seed: for the random levels of a graph.
        limits: anchors from which on there is a graph, and below which there is none; None: as the configuration says.
    """

    def __init__(
        self, store: AnchorStore, config: AnchorsConfig, seed: int, limits: tuple[float, float] | None = None
    ) -> None:
        self._store = store
        self._config = config
        self._seed = seed
        self._grow_at, self._shrink_at = limits or _LIMITS[config.index]
        if config.index == "auto" and importlib.util.find_spec("hnswlib") is None:
            self._grow_at = math.inf  # an extra, which the library alone does not bring
        self._build: GraphBuild | None = None
        self._rebuilds = 0
        self._fallbacks = 0
        self._queries = 0
        empty = self._grow_at == 0 and not len(store)
        self._use(Graph(store.vectors.shape[1], config, seed) if empty else None)

    def add(self, rows: NDArray[np.int64]) -> None:
        """Anchors that are new in the store; int64 (n,) row ids that were never given before."""
        if self._graph is not None and len(rows) >= max(_BUILT_ANEW, self._graph.live):
            self._use(None)
        if self._graph is not None:
            self._graph.add(rows, self._store.vectors[self._store.slots_of(rows)])
        if self._build is not None:
            self._build.add(rows)

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Anchors that have left the store; int64 (n,) row ids that were added before."""
        if self._graph is not None:
            self._graph.remove(rows)
        if self._build is not None:
            self._build.remove(rows)

    def query(self, vectors: NDArray[np.float32], k: int) -> Neighbours:
        """The k nearest anchors of each of float32 (B, d) unit vectors, all of them if there are fewer than k."""
        graph = self._graph
        if graph is None or not graph.live or not len(vectors) or not len(self._store):
            return exact(self._store, vectors, k)
        try:
            candidates = graph.query(vectors, min(k, graph.live))  # (B, found)
        except RuntimeError:
            # Fewer than k live elements can be reached through the graph from some query.
            self._fallbacks += len(vectors)
            self._sample_recall(vectors, np.empty((len(vectors), 0), np.int64), k)
            return exact(self._store, vectors, k)
        self._sample_recall(vectors, candidates, k)
        return ranked(self._store, vectors, self._store.slots_of(candidates), k)

    def maintain(self, executor: Executor) -> None:
        """Swap in what was built in the background and start what is due; called between batches.

        Raises:
            BaseException: whatever a build in the background raised.
        """
        if self._graph is not None and len(self._store) < self._shrink_at:
            self._build = None
            self._use(None)
        if self._build is None and self._is_due():
            self._build = GraphBuild(self._store, self._config, self._seed, executor)
        if self._build is not None:
            graph = self._build.finished(executor)
            if graph is not None:
                self._build = None
                self._rebuilds += self._graph is not None
                self._use(graph)

    @property
    def statistics(self) -> IndexStatistics:
        """How the search is doing."""
        if self._graph is None:
            return IndexStatistics(kind="exact", live=len(self._store))
        return IndexStatistics(
            kind="hnsw",
            live=self._graph.live,
            tombstones=self._graph.tombstones,
            rebuilds=self._rebuilds,
            recall=float(np.mean(self._recalls)) if self._recalls else None,
            fallbacks=self._fallbacks,
        )

    def _use(self, graph: Graph | None) -> None:
        self._graph = graph
        self._recalls: deque[float] = deque(maxlen=_RECALL_WINDOW)
        self._recall_at_first: float | None = None

    def _is_due(self) -> bool:
        if self._graph is None:
            return len(self._store) >= self._grow_at
        if self._graph.tombstones >= max(_FEW_TOMBSTONES, self._graph.live):
            return True
        if len(self._recalls) < _RECALL_WINDOW:
            return False
        recall = float(np.mean(self._recalls))
        if self._recall_at_first is None:
            self._recall_at_first = recall
        return recall < self._recall_at_first - _RECALL_DROP

    def _sample_recall(self, vectors: NDArray[np.float32], candidates: NDArray[np.int64], k: int) -> None:
        """Every 1/`recall_sample`-th query is asked exactly, too; counted, not drawn, so that runs repeat."""
        if self._config.recall_sample == 0:
            return
        every = max(1, round(1 / self._config.recall_sample))
        first = -self._queries % every
        self._queries += len(vectors)
        for index in range(first, len(vectors), every):
            truth = exact(self._store, vectors[index : index + 1], k).rows[0]
            truth = truth[truth >= 0]
            self._recalls.append(float(np.isin(truth, candidates[index]).mean()))
