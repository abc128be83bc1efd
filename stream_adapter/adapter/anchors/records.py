"""What the store says and hands out: what became of an offer and what left."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
    placed: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Offer:
    """What became of an anchor that was offered to the store: one of `row`, `twin` and `refused` says it.

    Attributes:
        row: row id of the new anchor.
        twin: id of the exact duplicate that it was folded into.
        refused: `repeated`, the same event with the same label, or `outdated`, a label with a larger stamp is known.
        displaced: anchors that had to go, whichever of the three it was.
    """

    row: int | None = None
    twin: str | None = None
    refused: Literal["repeated", "outdated"] | None = None
    displaced: tuple[Displaced, ...] = ()


# `AnchorStore.offer` and `AnchorStore.put`.
TakeIn = Callable[[Anchor, NDArray[np.float32], bytes], Offer]


def member_of(anchor_id: str, label: str, shape: bytes, event_time_ms: int) -> int:
    """One anchor's summand in the digest; sums do not depend on their order and can be taken back."""
    return int.from_bytes(hash_of(f"{anchor_id}\0{label}\0{event_time_ms}\0".encode() + shape), "big")


def hash_of(content: bytes) -> bytes:
    """What a float16 vector is recognised by."""
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()
