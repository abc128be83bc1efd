"""Anchors as arrays, for files that hold arrays: a column for each thing that an anchor has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, Origin
from stream_adapter.adapter.packing import (
    Arrays,
    array_of,
    pack_repeated,
    pack_strings,
    unpack_repeated,
    unpack_strings,
)


@dataclass(frozen=True, eq=False, slots=True)
class AnchorColumns:
    """n anchors, by column.

    Attributes:
        ids: n different ids.
        labels: n class names.
        vectors: float32 (n, d), or float16 as wire and file carry them, which loses nothing: see `as_stored`.
        times: int64 (n,), event times in milliseconds.
        origins: n origins.
    """

    ids: Sequence[str]
    labels: Sequence[str]
    vectors: NDArray[np.float16] | NDArray[np.float32]
    times: NDArray[np.int64]
    origins: Sequence[Origin]

    @classmethod
    def of(cls, anchors: Sequence[Anchor], vectors: NDArray[Any]) -> "AnchorColumns":
        """The columns of these anchors, with vectors float32 or float16 (n, d)."""
        return cls(
            ids=[anchor.anchor_id for anchor in anchors],
            labels=[anchor.label for anchor in anchors],
            vectors=vectors,
            times=np.array([anchor.event_time_ms for anchor in anchors], np.int64),
            origins=[anchor.origin for anchor in anchors],
        )

    def anchors(self) -> list[Anchor]:
        """The anchors, in float32, one by one."""
        vectors = self.vectors.astype(np.float32)
        columns = zip(self.ids, vectors, self.labels, self.times.tolist(), self.origins, strict=True)
        return [Anchor(*column) for column in columns]

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """Arrays whose names begin with `name.`, see `from_arrays`."""
        return {
            f"{name}.vectors": self.vectors.astype(np.float16),
            f"{name}.times": self.times,
            f"{name}.partitions": np.array([origin.partition for origin in self.origins], np.int64),
            f"{name}.offsets": np.array([origin.offset for origin in self.origins], np.int64),
            **pack_strings(f"{name}.ids", self.ids),
            **pack_repeated(f"{name}.labels", self.labels),
            **pack_repeated(f"{name}.sources", [origin.event_source for origin in self.origins]),
            **pack_strings(f"{name}.event_ids", [origin.event_id for origin in self.origins]),
            **pack_repeated(f"{name}.topics", [origin.topic for origin in self.origins]),
            **pack_repeated(f"{name}.annotators", [origin.annotator for origin in self.origins]),
            **pack_repeated(f"{name}.references", [origin.reference for origin in self.origins]),
        }

    @classmethod
    def from_arrays(cls, name: str, arrays: Arrays) -> "AnchorColumns":
        """The columns that `arrays` made.

        Raises:
            ValueError: an array is missing, of another type or length, or an id is there twice.
        """
        vectors = array_of(arrays, f"{name}.vectors", np.float16, dimensions=2)
        times = array_of(arrays, f"{name}.times", np.int64)
        origins = [
            unpack_repeated(f"{name}.sources", arrays),
            unpack_strings(f"{name}.event_ids", arrays),
            unpack_repeated(f"{name}.topics", arrays),
            array_of(arrays, f"{name}.partitions", np.int64).tolist(),
            array_of(arrays, f"{name}.offsets", np.int64).tolist(),
            unpack_repeated(f"{name}.annotators", arrays),
            unpack_repeated(f"{name}.references", arrays),
        ]
        ids, labels = unpack_strings(f"{name}.ids", arrays), unpack_repeated(f"{name}.labels", arrays)
        lengths = {len(column) for column in (ids, labels, vectors, times, *origins)}
        if len(lengths) > 1:
            raise ValueError(f"the columns of `{name}` have different lengths: {sorted(lengths)}")
        if len(set(ids)) < len(ids):
            raise ValueError(f"an id is more than once in `{name}`")
        return cls(ids, labels, vectors, times, [Origin(*fields) for fields in zip(*origins, strict=True)])
