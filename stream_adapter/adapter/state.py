"""The adapter's state as arrays: copied in a moment, packed by somebody else, restored in bulk.

What is saved is the store, and what follows from it and takes long to make: the graph, and the fit in force.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors import Anchor, Origin, as_stored, check_vectors
from stream_adapter.adapter.columns import AnchorColumns
from stream_adapter.adapter.fit_state import fit_arrays
from stream_adapter.adapter.fitting import Fitted
from stream_adapter.adapter.graph import Graph
from stream_adapter.adapter.graph_state import GraphCopy
from stream_adapter.adapter.index import make_index
from stream_adapter.adapter.neighbours import NearestAnchors
from stream_adapter.adapter.share import key_of
from stream_adapter.adapter.store import DIGEST_BYTES, AnchorStore, hash_of, member_of
from stream_adapter.config import AdapterConfig
from stream_adapter.errors import AnchorError, SnapshotError
from stream_adapter.packing import Arrays, array_of, pack_strings, unpack_strings

# Rows that are converted at a time: their float64 form (16 MB at d = 512) should stay in the cache.
_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True, eq=False, slots=True)
class AdapterState:
    """All that an adapter held at one moment, made by `StateCopy`; nothing in it is shared with the adapter.

    Attributes:
        class_names: the vocabulary.
        canaries: classes whose anchors were not taken in.
        ids: n ids.
        vectors: float32 (n, d), as stored, in parts: what was copied in the background, and what came later.
        classes: int64 (n,), class indices.
        times: int64 (n,), event times.
        rows: int64 (n,), row ids.
        origins: n origins.
        shapes: n digests of the float16 vectors.
        next_row: the next row id.
        digest: of all anchors.
        graph: the graph over them; None where there was none, or it was not asked for.
        fitted: the fit in force; None where it was not given.
        settings: what the fit depends on besides anchors, see `Settings.name`.
        unconfirmed: anchors that are to be changed after a restore: to what, or to nothing.
    """

    class_names: Sequence[str]
    canaries: Collection[str]
    ids: Sequence[str]
    vectors: Sequence[NDArray[np.float32]]
    classes: NDArray[np.int64]
    times: NDArray[np.int64]
    rows: NDArray[np.int64]
    origins: Sequence[Origin]
    shapes: Sequence[bytes]
    next_row: int
    digest: str
    graph: GraphCopy | None
    fitted: Fitted | None
    settings: str
    unconfirmed: Mapping[str, Anchor | None]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The state as arrays, for `Adapter.load_state`; any thread may call it."""
        vectors = np.concatenate(self.vectors)  # (n, d)
        halves, shapes = vectors.astype(np.float16), b"".join(self.shapes)
        # Float16 is half the size, and gives back the same bits but for some short vectors (at d = 16, 1 of 600):
        # renormalising moved a number by more than half a float16 step.
        lossless = b"".join(hash_of(row.tobytes()) for row in halves) == shapes
        columns = AnchorColumns(
            ids=self.ids,
            labels=[self.class_names[index] for index in self.classes.tolist()],
            vectors=halves if lossless else vectors,
            times=self.times,
            origins=self.origins,
        )
        settled = [anchor for anchor in self.unconfirmed.values() if anchor is not None]
        return {
            **columns.arrays("store"),
            "store.rows": self.rows,
            "store.next_row": np.array([self.next_row], np.int64),
            "store.shapes": np.frombuffer(shapes, np.uint8).reshape(-1, DIGEST_BYTES),
            "store.digest": np.frombuffer(bytes.fromhex(self.digest), np.uint8),
            **pack_strings("learnable", _learnable(self.class_names, self.canaries)),
            **pack_strings("unconfirmed", list(self.unconfirmed)),
            **AnchorColumns.of(settled, vectors.shape[1]).arrays("settled"),
            **(self.graph.arrays(self.rows) if self.graph is not None else {}),
            **(fit_arrays(self.fitted, self.settings) if self.fitted is not None and self.fitted.anchors else {}),
        }


class StateCopy:
    """A copy of an adapter's state in the making, while the adapter goes on.

    Vectors are nearly all there is to copy, and the vector of a row id never changes; only its slot does. So they are
    copied by slot in the background, whatever moves meanwhile, and `finish` repeats the slots that have another row
    id now. What is copied is the state at `finish`.

    Args:
        store: the anchors. They belong to the thread that calls everything here but `run`.
        graph: the graph over them.
        canaries: classes whose anchors are not taken in.
        fitted: gives the fit in force.
        settings: what it depends on besides anchors.
    """

    def __init__(
        self,
        store: AnchorStore,
        graph: Graph | None,
        canaries: Collection[str],
        fitted: Callable[[], Fitted | None] = lambda: None,
        settings: str = "",
    ) -> None:
        self._store = store
        self._fitted = fitted
        self._settings = settings
        self._graph = graph
        self._canaries = canaries
        self._source = store.vectors
        self._rows = store.rows.copy()
        self._vectors: NDArray[np.float32] | None = None

    def run(self) -> None:
        """Copy the vectors; in any thread."""
        self._vectors = self._source.copy()

    def finish(self, *, unconfirmed: Mapping[str, Anchor | None] | None = None, graph: bool = False) -> AdapterState:
        """Copy the rest, and the vectors where `run` has not.

        Args:
            unconfirmed: anchors that are to be changed after a restore: to what, or to nothing.
            graph: copy the graph too. That takes longer than everything else, and saves building it after a restore.
        """
        if self._vectors is None:
            self.run()
        assert self._vectors is not None
        store = self._store
        known = min(len(store), len(self._rows))
        vectors = self._vectors[:known]
        moved = np.flatnonzero(store.rows[:known] != self._rows[:known])
        vectors[moved] = store.vectors[moved]
        return AdapterState(
            class_names=store.class_names,
            canaries=self._canaries,
            ids=list(store.ids),
            vectors=(vectors, store.vectors[known:].copy()),
            classes=store.classes.copy(),
            times=store.times.copy(),
            rows=store.rows.copy(),
            origins=list(store._origins),
            shapes=list(store._shapes),
            next_row=store._next_row,
            digest=store.digest,
            graph=self._graph.copy() if graph and self._graph is not None else None,
            fitted=self._fitted(),
            settings=self._settings,
            unconfirmed=dict(unconfirmed or {}),
        )


def restored_store(
    arrays: Arrays, class_names: Sequence[str], dimension: int, canaries: Collection[str]
) -> AnchorStore:
    """The store that `AdapterState.arrays` came from: the same anchors under the same row ids, the same digest.

    Args:
        arrays: the state.
        class_names: the vocabulary now.
        dimension: d.
        canaries: classes that are not learned now.

    Raises:
        SnapshotError: the arrays do not fit together, or not to the vocabulary: anchors of a class that was not known
            then were left out, and are only in the changelog.
    """
    try:
        _check_learnable(unpack_strings("learnable", arrays), _learnable(class_names, canaries))
        columns = AnchorColumns.from_arrays("store", arrays)
        rows, shapes = array_of(arrays, "store.rows", np.int64), _shapes(arrays, len(columns.ids))
        next_row = int(array_of(arrays, "store.next_row", np.int64)[0])
        if len(rows) != len(columns.ids) or len(np.unique(rows)) < len(rows):
            raise ValueError("row ids are not one for each anchor")
        if rows.size and not 0 <= rows.min() <= rows.max() < next_row:
            raise ValueError(f"row ids are not all below {next_row}")
        store = _filled(AnchorStore(class_names, dimension), columns, rows, next_row, shapes)
    except (ValueError, KeyError, AnchorError) as error:
        raise SnapshotError(f"the saved anchors cannot be used: {error}") from error
    if bytes.fromhex(store.digest) != arrays["store.digest"].tobytes():
        raise SnapshotError("the saved anchors cannot be used: their digest is not the one that was saved with them")
    return store


def restored(
    arrays: Arrays, class_names: Sequence[str], dimension: int, config: AdapterConfig
) -> tuple[AnchorStore, NearestAnchors]:
    """Store and index; the index has the saved graph if there is one that fits.

    Raises:
        SnapshotError: as `restored_store`.
    """
    store = restored_store(arrays, class_names, dimension, config.canaries)
    graph = Graph.restored(arrays, store, config.anchors, config.seed)
    return store, make_index(store, config.anchors, config.seed, graph)


def unconfirmed_of(arrays: Arrays) -> tuple[list[str], list[Anchor]]:
    """Ids of anchors that were not confirmed, and what is to be there instead for some of them.

    Raises:
        SnapshotError: the arrays do not fit together.
    """
    try:
        return unpack_strings("unconfirmed", arrays), AnchorColumns.from_arrays("settled", arrays).anchors()
    except ValueError as error:
        raise SnapshotError(f"the saved anchors cannot be used: {error}") from error


def _filled(
    store: AnchorStore, columns: AnchorColumns, rows: NDArray[np.int64], next_row: int, shapes: list[bytes]
) -> AnchorStore:
    size = len(rows)
    store._vectors = _stored(columns.vectors, store.vectors.shape[1])
    store._classes = np.array([store._class_index[label] for label in columns.labels], np.int64)
    store._times = columns.times.copy()
    store._keys = np.array([key_of(anchor_id) for anchor_id in columns.ids], np.uint64)
    store._rows = rows.copy()
    store._folds = np.zeros(size, np.int64)
    store._ids, store._origins, store._shapes = list(columns.ids), list(columns.origins), shapes
    store._slot_of_row = dict(zip(rows.tolist(), range(size), strict=True))
    store._row_of_id = dict(zip(columns.ids, rows.tolist(), strict=True))
    for shape, row in zip(shapes, rows.tolist(), strict=True):
        store._rows_of_shape.setdefault(shape, []).append(row)
    store._counts = np.bincount(store._classes, minlength=len(store._counts))
    store._size, store._next_row = size, next_row
    members = map(member_of, columns.ids, columns.labels, shapes, columns.times.tolist())
    store._digest = sum(members) % (1 << 8 * DIGEST_BYTES)
    return store


def _stored(vectors: NDArray[np.float16] | NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """The vectors as they were stored: float32 (n, d)."""
    stored = vectors.astype(np.float32)
    check_vectors(stored, dimension, "saved anchor {}".format)
    if vectors.dtype == np.float16:
        for start in range(0, len(vectors), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            stored[part] = as_stored(stored[part])[0]
    return stored


def _shapes(arrays: Arrays, size: int) -> list[bytes]:
    shapes = array_of(arrays, "store.shapes", np.uint8, dimensions=2)
    if shapes.shape != (size, DIGEST_BYTES):
        raise ValueError(f"`store.shapes` has shape {shapes.shape}, expected ({size}, {DIGEST_BYTES})")
    joined = shapes.tobytes()
    return [joined[start : start + DIGEST_BYTES] for start in range(0, len(joined), DIGEST_BYTES)]


def _learnable(class_names: Sequence[str], canaries: Collection[str]) -> list[str]:
    return sorted(set(class_names) - set(canaries))


def _check_learnable(then: Sequence[str], now: Sequence[str]) -> None:
    if set(then) != set(now):
        changed = sorted(set(then) ^ set(now))
        raise ValueError(
            f"classes were added, removed or made canaries since: {', '.join(changed[:5])}"
            f"{' …' if len(changed) > 5 else ''}; anchors of such classes are only in the changelog"
        )
