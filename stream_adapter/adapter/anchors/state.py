"""The anchors as arrays: copied in a moment, packed by somebody else, restored in bulk.

What is saved is the store alone. Weights and doubts follow from it, and a graph is built anew in the background, while
exact search answers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, check_vectors, stored_form
from stream_adapter.adapter.anchors.columns import AnchorColumns
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.adapter.packing import Arrays, array_of, pack_strings, unpack_strings
from stream_adapter.errors import AnchorError, SnapshotError


@dataclass(frozen=True, eq=False, slots=True)
class AnchorsState:
    """All anchors of one moment, made by `AnchorsCopy`; nothing in it is shared with the store.

    Attributes:
        learnable: the classes whose anchors were taken in.
        columns: all anchors, in float32.
        rows: int64 (n,), their row ids: the order in which they came.
        digest: hex digest of all of them.
        unconfirmed: anchors that are to be changed after a restore: to what, or to nothing.
    """

    learnable: Sequence[str]
    columns: AnchorColumns
    rows: NDArray[np.int64]
    digest: str
    unconfirmed: Mapping[str, Anchor | None]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The state as arrays, for `Anchors.restore`; any thread may call it."""
        settled = [anchor for anchor in self.unconfirmed.values() if anchor is not None]
        dimension = self.columns.vectors.shape[1]
        vectors = np.array([anchor.vector for anchor in settled], np.float32).reshape(-1, dimension)
        return {
            **self.columns.arrays("store"),
            "store.rows": self.rows,
            "store.digest": np.frombuffer(bytes.fromhex(self.digest), np.uint8),
            **pack_strings("learnable", self.learnable),
            **pack_strings("unconfirmed", list(self.unconfirmed)),
            **AnchorColumns.of(settled, vectors).arrays("settled"),
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
        if len(store) > known:
            vectors = np.concatenate([vectors, store.vectors[known:]])
        labels = [store.class_names[index] for index in store.classes.tolist()]
        return AnchorsState(
            learnable=_learnable(store.class_names, self._canaries),
            columns=AnchorColumns(store.ids.copy(), labels, vectors, store.times.copy(), store.origins.copy()),
            rows=store.rows.copy(),
            digest=store.digest,
            unconfirmed=dict(unconfirmed or {}),
        )


def restored_store(
    arrays: Arrays, class_names: Sequence[str], dimension: int, canaries: Collection[str], capacity: int = 0
) -> AnchorStore:
    """The store that `AnchorsState.arrays` came from: the same anchors under the same row ids, the same digest.

    Args:
        arrays: the state.
        class_names: the vocabulary now.
        dimension: d.
        canaries: classes that are not learned now.
        capacity: see `AnchorStore`.

    Raises:
        SnapshotError: the arrays do not fit together, or not to the vocabulary: anchors of a class that was not known
            then were left out, and are only in the changelog.
    """
    try:
        _check_learnable(unpack_strings("learnable", arrays), _learnable(class_names, canaries))
        columns = AnchorColumns.from_arrays("store", arrays)
        rows = array_of(arrays, "store.rows", np.int64)
        digest = array_of(arrays, "store.digest", np.uint8).tobytes().hex()
        if len(rows) != len(columns.ids) or len(np.unique(rows)) < len(rows) or rows.min(initial=0) < 0:
            raise ValueError("row ids are not one for each anchor")
        check_vectors(columns.vectors.astype(np.float32), dimension, "saved anchor {}".format)
        store = AnchorStore.of(class_names, columns, stored_form(columns.vectors.astype(np.float16)), rows, capacity)
    except (ValueError, KeyError, AnchorError) as error:
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


def _learnable(class_names: Sequence[str], canaries: Collection[str]) -> list[str]:
    return sorted(set(class_names) - set(canaries))


def _check_learnable(then: Sequence[str], now: Sequence[str]) -> None:
    if set(then) != set(now):
        changed = sorted(set(then) ^ set(now))
        raise ValueError(
            f"classes were added, removed or made canaries since: {', '.join(changed[:5])}"
            f"{' …' if len(changed) > 5 else ''}; anchors of such classes are only in the changelog"
        )
