"""The anchor: a labelled image vector, as the adapter sees it, and the one form in which its vector is kept."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import AnchorError

UNIT_TOLERANCE = 1e-3
DIGEST_BYTES = 16
# Rows that are converted at a time: their float64 form (2 MB at d = 512) should stay in the cache.
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Origin:
    """The labelled event that an anchor comes from.

    Attributes:
        annotator: who labelled it, where that is known.
        reference: where its picture is stored, if it said so.
    """

    event_source: str = ""
    event_id: str = ""
    topic: str = ""
    partition: int = 0
    offset: int = 0
    annotator: str = ""
    reference: str = ""


class Stamp(NamedTuple):
    """When a label was given: of two for the same anchor the larger one counts, whichever arrives first."""

    event_time_ms: int
    partition: int
    offset: int


@dataclass(frozen=True, eq=False, slots=True)
class Anchor:
    """One labelled image vector; everything the adapter knows is a function of these.

    Attributes:
        anchor_id: stable identity of the event that taught it; the changelog's key.
        vector: float32 (d,), unit length. Whatever is given, the adapter keeps its float16 rounding (see `as_stored`).
        event_time_ms: when the event happened, milliseconds since the epoch; newer labels win over older ones.
        origin: where it came from. Partition and offset decide between labels of the same time.
    """

    anchor_id: str
    vector: NDArray[np.float32]
    label: str
    event_time_ms: int
    origin: Origin = Origin()

    @property
    def stamp(self) -> Stamp:
        """What decides between two labels."""
        return Stamp(self.event_time_ms, self.origin.partition, self.origin.offset)


@dataclass(frozen=True, eq=False, slots=True)
class AnchorListing:
    """All n anchors of one moment without their vectors, in no order.

    Attributes:
        ids: n anchor ids.
        classes: int64 (n,), class indices.
        times: int64 (n,), event times in milliseconds.
        origins: the n labelled events that they come from.
    """

    ids: Sequence[str]
    classes: NDArray[np.int64]
    times: NDArray[np.int64]
    origins: Sequence[Origin]


def check_vectors(vectors: NDArray[np.float32], dimension: int, name: Callable[[int], str]) -> None:
    """Refuse vectors that cannot be compared with anchors.

    Args:
        vectors: float32 (n, d).
        dimension: the d that is expected.
        name: what row i is called in the message.

    Raises:
        AnchorError: the first vector that is not finite or not unit within `UNIT_TOLERANCE`, or a wrong length.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        why = "a single one goes into a list" if vectors.ndim == 1 else "another encoder's?"
        raise AnchorError(f"vectors have shape {vectors.shape}, expected (n, {dimension}): {why}")
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))  # (n,); not finite where the vector is not
    wrong = np.flatnonzero(~(np.abs(norms - 1.0) <= UNIT_TOLERANCE))
    if wrong.size:
        first = int(wrong[0])
        raise AnchorError(
            f"{name(first)}: the vector's length is {norms[first]:.6g}, expected 1 ± {UNIT_TOLERANCE:g}; "
            "normalise vectors before they reach the adapter"
        )


def as_stored(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Round unit vectors to what float16 can carry, so that a changelog in float16 loses nothing.

    The original, its float16 form and the stored vector end as the same bits. A few short vectors would not, as
    renormalising moves a number of theirs by half a float16 step: they are left as float16 has them.

    Args:
        vectors: float32 (n, d), unit.

    Returns:
        float32 (n, d), unit, and float16 (n, d), its form on the wire.
    """
    halves = vectors.astype(np.float16)  # (n, d)
    return stored_form(halves), halves


def stored_form(halves: NDArray[np.float16]) -> NDArray[np.float32]:
    """The stored vectors of float16 (n, d), see `as_stored`: float32 (n, d)."""
    stored = np.empty(halves.shape, np.float32)
    for start in range(0, len(halves), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        # In float64, so that a row's last bits do not depend on what it is batched with.
        wide = halves[part].astype(np.float64)
        norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        wide /= norms[:, None]
        stored[part] = wide
        # Nearer to 1, no number moves by half a step: that is 2⁻¹² of it at least.
        far = start + np.flatnonzero(~(np.abs(norms - 1.0) < 2.0**-13))
        moved = far[(stored[far].astype(np.float16) != halves[far]).any(axis=1)]
        stored[moved] = halves[moved]
    return stored


def checked_vectors(anchors: Sequence[Anchor], dimension: int) -> NDArray[np.float32]:
    """The vectors of anchors, float32 (n, d).

    Args:
        anchors: at least one.
        dimension: d.

    Raises:
        AnchorError: a vector is not finite, not unit or of the wrong length.
    """
    for anchor in anchors:
        if anchor.vector.shape != (dimension,):
            raise AnchorError(
                f"anchor {anchor.anchor_id}: the vector has shape {anchor.vector.shape}, expected ({dimension},); "
                "was it made by this encoder?"
            )
    vectors = np.stack([anchor.vector for anchor in anchors]).astype(np.float32, copy=False)
    check_vectors(vectors, dimension, lambda index: f"anchor {anchors[index].anchor_id}")
    return vectors


@dataclass(frozen=True, slots=True)
class Displaced:
    """An anchor that has left the store: its row, all that it was, and what was known about it."""

    row: int
    anchor: Anchor
    class_index: int
    crowding: float
    placed: NDArray[np.float64]


def member_of(anchor_id: str, label: str, shape: bytes, event_time_ms: int) -> int:
    """One anchor's summand in the digest; sums do not depend on their order and can be taken back."""
    return int.from_bytes(hash_of(f"{anchor_id}\0{label}\0{event_time_ms}\0".encode() + shape), "big")


def hash_of(content: bytes) -> bytes:
    """What a float16 vector is recognised by."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
