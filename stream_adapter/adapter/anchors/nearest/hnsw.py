"""Approximate nearest anchors: an HNSW graph beside the store, watched and rebuilt."""

from collections import deque
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.nearest.exact import ExactNeighbours
from stream_adapter.adapter.anchors.nearest.graph import Graph, GraphBuild
from stream_adapter.adapter.anchors.nearest.neighbours import Neighbours, ranked
from stream_adapter.adapter.anchors.results import IndexStatistics
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.config import AnchorsConfig

# Below this, tombstones cost nothing worth a rebuild.
_FEW_TOMBSTONES = 128
# Recall is judged on means of this many sampled queries (standard error about half a point at recall 0.95, k = 16).
_RECALL_WINDOW = 64
# A rebuild restores about one point after ordinary drift; five are a graph that has gone bad.
_RECALL_DROP = 0.05


class HnswNeighbours:
    """Asks a graph, and trusts it with nothing but a guess: ids are checked and cosines recomputed from the store.

    The graph is rebuilt in the background when half of it is tombstones or when its sampled recall has dropped.

    Args:
        store: the anchors.
        config: the graph's parameters, and the share of queries on which recall is measured.
        seed: for the random levels of the graph.
        graph: a graph that is level with the store, as `GraphBuild` makes it; without it one is built here and now.
    """

    def __init__(self, store: AnchorStore, config: AnchorsConfig, seed: int, graph: Graph | None = None) -> None:
        self._store = store
        self._config = config
        self._seed = seed
        self._exact = ExactNeighbours(store)
        self._build: GraphBuild | None = None
        self._rebuilds = 0
        self._fallbacks = 0
        self._queries = 0
        if graph is None:
            graph = Graph(store.vectors.shape[1], config, seed, capacity=len(store))
            if len(store):
                graph.add(store.rows, store.vectors)
        self._use(graph)

    def add(self, rows: NDArray[np.int64]) -> None:
        """See `NearestAnchors.add`."""
        self._graph.add(rows, self._store.vectors[self._store.slots_of(rows)])
        if self._build is not None:
            self._build.add(rows)

    def remove(self, rows: NDArray[np.int64]) -> None:
        """See `NearestAnchors.remove`."""
        self._graph.remove(rows)
        if self._build is not None:
            self._build.remove(rows)

    def query(self, vectors: NDArray[np.float32], k: int) -> Neighbours:
        """See `NearestAnchors.query`; falls back to exact search where the graph cannot answer."""
        found = min(k, self._graph.live)
        if found == 0 or len(self._store) == 0 or len(vectors) == 0:
            return self._exact.query(vectors, k)
        try:
            candidates = self._graph.query(vectors, found)  # (B, found)
        except RuntimeError:
            # Fewer than k live elements can be reached through the graph from some query.
            self._fallbacks += len(vectors)
            self._sample_recall(vectors, np.empty((len(vectors), 0), np.int64), k)
            return self._exact.query(vectors, k)
        self._sample_recall(vectors, candidates, k)
        return ranked(self._store, vectors, self._store.slots_of(candidates), k)

    def maintain(self, executor: Executor) -> None:
        """See `NearestAnchors.maintain`."""
        if self._build is None and self._rebuild_is_due():
            self._build = GraphBuild(self._store, self._config, self._seed, executor)
        if self._build is not None:
            graph = self._build.finished(executor)
            if graph is not None:
                self._build = None
                self._rebuilds += 1
                self._use(graph)

    @property
    def statistics(self) -> IndexStatistics:
        """See `NearestAnchors.statistics`."""
        return IndexStatistics(
            kind="hnsw",
            live=self._graph.live,
            tombstones=self._graph.tombstones,
            rebuilds=self._rebuilds,
            recall=float(np.mean(self._recalls)) if self._recalls else None,
            fallbacks=self._fallbacks,
        )

    def _use(self, graph: Graph) -> None:
        self._graph = graph
        self._recalls: deque[float] = deque(maxlen=_RECALL_WINDOW)
        self._recall_at_first: float | None = None

    def _rebuild_is_due(self) -> bool:
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
            truth = self._exact.query(vectors[index : index + 1], k).rows[0]
            truth = truth[truth >= 0]
            self._recalls.append(float(np.isin(truth, candidates[index]).mean()))
