"""By what rules an anchor is taken into the store.

What is taught here comes by `offer`, so that an event teaches once and the newest label wins:

- the same id with the same label has no effect; with another label it replaces (a correction) unless its stamp is
  smaller;
- another id with exactly the same float16 vector is folded (nothing is added) if the label is the same; if the labels
  differ the one with the larger stamp, then id, stays.

What was decided elsewhere comes by `put`: of one id the largest stamp stays, and nothing is folded. So what is stored
is the same wherever the same records were put, in whatever order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, Displaced
from stream_adapter.adapter.anchors.store import AnchorStore


@dataclass(frozen=True, slots=True)
class Offer:
    """What became of an anchor that was offered to the store: one of `row`, `folded` and `refused` says it.

    Attributes:
        row: row id of the new anchor.
        folded: whether it was folded into an exact duplicate.
        refused: `repeated`, the same event with the same label, or `outdated`, a label with a larger stamp is known.
        displaced: anchors that had to go, whichever of the three it was.
    """

    row: int | None = None
    folded: bool = False
    refused: Literal["repeated", "outdated"] | None = None
    displaced: tuple[Displaced, ...] = ()


# `offer` and `put`.
TakeIn = Callable[[AnchorStore, Anchor, NDArray[np.float32], bytes], Offer]


def offer(store: AnchorStore, anchor: Anchor, stored: NDArray[np.float32], shape: bytes) -> Offer:
    """Take an anchor in that was taught here.

    Args:
        store: where to.
        anchor: its label must be in the vocabulary.
        stored: float32 (d,), from `as_stored`.
        shape: `hash_of` its float16 form.
    """
    displaced: list[Displaced] = []
    known = store.get(anchor.anchor_id)
    if known is not None:
        if known.label == anchor.label:
            return Offer(refused="repeated")
        if anchor.stamp < known.stamp:
            return Offer(refused="outdated")
        displaced.append(store.take_out(anchor.anchor_id))

    twins = store.of_shape(shape)
    if any(twin.label == anchor.label for twin in twins):
        return Offer(folded=True, displaced=tuple(displaced))
    if any((anchor.stamp, anchor.anchor_id) < (twin.stamp, twin.anchor_id) for twin in twins):
        return Offer(refused="outdated", displaced=tuple(displaced))
    displaced += [store.take_out(twin.anchor_id) for twin in twins]

    return Offer(row=_append(store, anchor, stored, shape), displaced=tuple(displaced))


def put(store: AnchorStore, anchor: Anchor, stored: NDArray[np.float32], shape: bytes) -> Offer:
    """Take an anchor in that was decided on elsewhere; arguments as for `offer`.

    At equal stamps the later arrival wins: stamps repeat only where the input topic was made anew.
    """
    known = store.get(anchor.anchor_id)
    if known is None:
        return Offer(row=_append(store, anchor, stored, shape))
    if anchor.stamp < known.stamp:
        return Offer(refused="outdated")
    alike = (twin.anchor_id for twin in store.of_shape(shape))
    if (anchor.stamp, anchor.label) == (known.stamp, known.label) and known.anchor_id in alike:
        return Offer(refused="repeated")
    gone = store.take_out(anchor.anchor_id)
    return Offer(row=_append(store, anchor, stored, shape), displaced=(gone,))


def _append(store: AnchorStore, anchor: Anchor, stored: NDArray[np.float32], shape: bytes) -> int:
    return store.extend([anchor], stored[None], [shape]).start
