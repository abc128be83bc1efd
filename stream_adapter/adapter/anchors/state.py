"""The anchors as arrays: copied in a moment, packed by somebody else, restored in bulk.

What is saved is the store alone. Weights and doubts follow from it, and a graph is built anew in the background, while
exact search answers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, as_stored, check_vectors
from stream_adapter.adapter.anchors.columns import AnchorColumns
from stream_adapter.adapter.anchors.records import DIGEST_BYTES, StoreColumns, hash_of
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.adapter.packing import Arrays, array_of, pack_strings, unpack_strings
from stream_adapter.errors import AnchorError, SnapshotError

# Rows that are converted at a time: their float64 form (16 MB at d = 512) should stay in the cache.
_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True, eq=False, slots=True)
class AnchorsState:
    """All anchors of one moment, made by `AnchorsCopy`; nothing in it is shared with the store.

    Attributes:
        learnable: the classes whose anchors were taken in.
        vectors: float32 (n, d), as stored, in parts: what was copied in the background, and what came later.
        columns: everything else.
        unconfirmed: anchors that are to be changed after a restore: to what, or to nothing.
    """

    learnable: Sequence[str]
    vectors: Sequence[NDArray[np.float32]]
    columns: StoreColumns
    unconfirmed: Mapping[str, Anchor | None]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The state as arrays, for `Anchors.restore`; any thread may call it."""
        of = self.columns
        vectors = np.concatenate(self.vectors)  # (n, d)
        halves, shapes = vectors.astype(np.float16), b"".join(of.shapes)
        # Float16 is half the size, and gives back the same bits but for some short vectors (at d = 16, 1 of 600):
        # renormalising moved a number by more than half a float16 step.
        lossless = b"".join(hash_of(row.tobytes()) for row in halves) == shapes
        columns = AnchorColumns(of.ids, of.labels, halves if lossless else vectors, of.times, of.origins)
        settled = [anchor for anchor in self.unconfirmed.values() if anchor is not None]
        return {
            **columns.arrays("store"),
            "store.rows": of.rows,
            "store.next_row": np.array([of.next_row], np.int64),
            "store.shapes": np.frombuffer(shapes, np.uint8).reshape(-1, DIGEST_BYTES),
            "store.digest": np.frombuffer(bytes.fromhex(of.digest), np.uint8),
            **pack_strings("learnable", self.learnable),
            **pack_strings("unconfirmed", list(self.unconfirmed)),
            **AnchorColumns.of(settled, vectors.shape[1]).arrays("settled"),
        }


class AnchorsCopy:
    """A copy of all anchors in the making, while their owner goes on.

    Vectors are nearly all there is to copy, and the vector of a row id never changes; only its slot does. So they are
    copied by slot in the background, whatever moves meanwhile, and `finish` repeats the slots that have another row
    id now. What is copied is the state at `finish`.

    Args:
        store: the anchors. They belong to the thread that calls everything here but `run`.
        canaries: classes whose anchors are not taken in.
    """

    def __init__(self, store: AnchorStore, canaries: Collection[str]) -> None:
        self._store = store
        self._canaries = canaries
        self._source = store.vectors
        self._rows = store.rows.copy()
        self._vectors: NDArray[np.float32] | None = None

    def run(self) -> None:
        """Copy the vectors; in any thread."""
        self._vectors = self._source.copy()

    def finish(self, unconfirmed: Mapping[str, Anchor | None] | None = None) -> AnchorsState:
        """Copy the rest, and the vectors where `run` has not.

        Args:
            unconfirmed: anchors that are to be changed after a restore: to what, or to nothing.
        """
        if self._vectors is None:
            self.run()
        assert self._vectors is not None
        store = self._store
        known = min(len(store), len(self._rows))
        vectors = self._vectors[:known]
        moved = np.flatnonzero(store.rows[:known] != self._rows[:known])
        vectors[moved] = store.vectors[moved]
        return AnchorsState(
            learnable=_learnable(store.class_names, self._canaries),
            vectors=(vectors, store.vectors[known:].copy()),
            columns=store.columns,
            unconfirmed=dict(unconfirmed or {}),
        )


def restored_store(
    arrays: Arrays, class_names: Sequence[str], dimension: int, canaries: Collection[str]
) -> AnchorStore:
    """The store that `AnchorsState.arrays` came from: the same anchors under the same row ids, the same digest.

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
        digest = array_of(arrays, "store.digest", np.uint8).tobytes().hex()
        if len(rows) != len(columns.ids) or len(np.unique(rows)) < len(rows):
            raise ValueError("row ids are not one for each anchor")
        if rows.size and not 0 <= rows.min() <= rows.max() < next_row:
            raise ValueError(f"row ids are not all below {next_row}")
        rest = StoreColumns(columns.ids, columns.labels, columns.times, rows, columns.origins, shapes, next_row, digest)
        store = AnchorStore.of(class_names, _stored(columns.vectors, dimension), rest)
    except (ValueError, KeyError, IndexError, AnchorError) as error:
        raise SnapshotError(f"the saved anchors cannot be used: {error}") from error
    if store.digest != digest:
        raise SnapshotError("the saved anchors cannot be used: their digest is not the one that was saved with them")
    return store


def unconfirmed_of(arrays: Arrays, dimension: int) -> tuple[list[str], list[Anchor]]:
    """Ids of anchors that were not confirmed, and what is to be there instead for some of them.

    Raises:
        SnapshotError: the arrays do not fit together.
    """
    try:
        columns = AnchorColumns.from_arrays("settled", arrays)
        check_vectors(columns.vectors.astype(np.float32), dimension, "settled anchor {}".format)
        return unpack_strings("unconfirmed", arrays), columns.anchors()
    except (ValueError, AnchorError) as error:
        raise SnapshotError(f"the saved anchors cannot be used: {error}") from error


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
