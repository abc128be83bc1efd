"""What the store hands out when an anchor leaves it, and how it hashes anchors."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor

DIGEST_BYTES = 16


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
