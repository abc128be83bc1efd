"""An HNSW graph that only grows and forgets, and how a new one is built while the old one answers."""

from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.config import AnchorsConfig

_SMALLEST_CAPACITY = 1_024
_WHOLE_GRAPH = 10_000  # rows at once that only a build brings
# As many late anchors are put into a finished graph at once, by the thread that answers queries (0.3 ms each);
# more go through the background once again.
_CATCH_UP_AT_ONCE = 64


class Graph:
    """hnswlib, used the way that is safe: labels are row ids and never come twice, deleting only marks.

    One thread at a time may use it: an insert or a resize under a query corrupts or crashes the process.

    Reference: Malkov, Yashunin, *Efficient and robust approximate nearest neighbor search using HNSW graphs*, 2016.
    """

    def __init__(self, dimension: int, config: AnchorsConfig, seed: int, capacity: int = _SMALLEST_CAPACITY) -> None:
        import hnswlib  # an extra: small stores are searched exactly

        self._ef_search = config.hnsw_ef_search
        self._index = hnswlib.Index(space="ip", dim=dimension)
        self._index.init_index(
            max_elements=max(_SMALLEST_CAPACITY, capacity),
            M=config.hnsw_m,
            ef_construction=config.hnsw_ef_construction,
            random_seed=seed,
        )
        self._elements = 0
        self._tombstones = 0
        self._ef = 0

    @property
    def live(self) -> int:
        """Elements that are not deleted."""
        return self._elements - self._tombstones

    @property
    def tombstones(self) -> int:
        """Elements that are deleted and still take room."""
        return self._tombstones

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Insert float32 (n, d) unit vectors under int64 (n,) row ids that were never in this graph."""
        if not len(rows):
            return
        needed = self._elements + len(rows)
        if needed > self._index.get_max_elements():
            self._index.resize_index(max(needed, 2 * self._index.get_max_elements()))
        # One thread: the same inserts give the same graph. Two for a whole graph, in which it is the time that counts.
        self._index.add_items(vectors, rows, num_threads=2 if len(rows) >= _WHOLE_GRAPH else 1)
        self._elements = needed

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Mark elements as deleted; they go on carrying paths through the graph."""
        for row in rows.tolist():
            self._index.mark_deleted(row)
        self._tombstones += len(rows)

    def query(self, vectors: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Row ids of about the k nearest live elements of float32 (B, d): int64 (B, k).

        Raises:
            RuntimeError: fewer than k were reached for some query.
        """
        # hnswlib wants ef >= k, and misses live elements behind tombstones when it is close to k.
        wanted = max(self._ef_search, 2 * k)
        if wanted != self._ef:
            self._index.set_ef(wanted)
            self._ef = wanted
        labels, _ = self._index.knn_query(vectors, k=k)
        rows: NDArray[np.int64] = labels.astype(np.int64)
        return rows


class GraphBuild:
    """A graph over the store as it is now, built in the background; it catches up with what comes meanwhile.

    The background sees only copies and the unfinished graph; everything else happens in the thread that owns the store,
    in `add`, `remove` and `finished`. One insert costs less than one event, so each round of catching up has less left
    to do than the one before.

    Args:
        seed: for the random levels of the graph.
    """

    def __init__(self, store: AnchorStore, config: AnchorsConfig, seed: int, executor: Executor) -> None:
        self._store = store
        self._graph = Graph(store.vectors.shape[1], config, seed, capacity=int(1.25 * len(store)))
        self._late: list[int] = []
        self._gone: set[int] = set()
        self._running = executor.submit(self._graph.add, store.rows.copy(), store.vectors.copy())

    def add(self, rows: NDArray[np.int64]) -> None:
        """Anchors that entered the store since the build began."""
        self._late.extend(rows.tolist())

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Anchors that left the store since the build began."""
        self._gone.update(rows.tolist())

    def finished(self, executor: Executor) -> Graph | None:
        """The graph, level with the store, or None while there is work left for the background.

        Raises:
            BaseException: whatever the background raised.
        """
        if not self._running.done():
            return None
        self._running.result()
        # What came and went meanwhile never enters the graph.
        late = np.array([row for row in self._late if row not in self._gone], np.int64)
        self._gone.difference_update(self._late)
        self._late = []
        if len(late) > _CATCH_UP_AT_ONCE:
            self._running = executor.submit(self._graph.add, late, self._vectors(late))
            return None
        self._graph.add(late, self._vectors(late))
        self._graph.remove(np.array(sorted(self._gone), np.int64))
        return self._graph

    def _vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        taken: NDArray[np.float32] = self._store.vectors[self._store.slots_of(rows)]  # (n, d), a copy
        return taken
