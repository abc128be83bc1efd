"""By what rules an anchor is taken into the store.

What is taught here comes by `offer`, so that an event teaches once and the newest label wins:

- the same id with the same label has no effect; with another label it replaces (a correction) unless its stamp is
  smaller;
- another id with exactly the same float16 vector is folded (nothing is added) if the label is the same; if the labels
  differ the one with the larger stamp, then id, stays.

What was decided elsewhere comes by `put`: of one id the largest stamp stays, and nothing is folded. So what is stored
is the same wherever the same records were put, in whatever order and however many at once.
"""

from collections.abc import Callable, Mapping, Sequence
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
TakeIn = Callable[[AnchorStore, Sequence[Anchor], NDArray[np.float32], Sequence[bytes]], Sequence[tuple[Anchor, Offer]]]


def offer(
    store: AnchorStore, anchors: Sequence[Anchor], stored: NDArray[np.float32], shapes: Sequence[bytes]
) -> list[tuple[Anchor, Offer]]:
    """Take anchors in that were taught here, in this order.

    Args:
        store: where to.
        anchors: n; their labels must be in the vocabulary.
        stored: float32 (n, d), from `as_stored`.
        shapes: `hash_of` their float16 forms.
    """
    if store.is_new(anchors, shapes):
        return _appended(store, anchors, stored, shapes, {})
    columns = zip(anchors, stored, shapes, strict=True)
    return [(anchor, _offer(store, anchor, vector, shape)) for anchor, vector, shape in columns]


def put(
    store: AnchorStore, anchors: Sequence[Anchor], stored: NDArray[np.float32], shapes: Sequence[bytes]
) -> list[tuple[Anchor, Offer]]:
    """Take anchors in that were decided on elsewhere; arguments as for `offer`.

    At equal stamps the later arrival wins: stamps repeat only where the input topic was made anew.

    Returns:
        Of each id what became of the last one that changed anything, and of one that was refused after it.
    """
    best: dict[str, int] = {}  # by id, which one stays
    refused: dict[str, tuple[Anchor, Offer]] = {}
    for place, anchor in enumerate(anchors):
        anchor_id = anchor.anchor_id
        at = best.get(anchor_id)
        known = store.get(anchor_id) if at is None else anchors[at]
        if known is not None:
            if anchor.stamp < known.stamp:
                refused[anchor_id] = anchor, Offer(refused="outdated")
                continue
            same = (anchor.stamp, anchor.label) == (known.stamp, known.label)
            if same and shapes[place] == (store.shape_of(anchor_id) if at is None else shapes[at]):
                refused[anchor_id] = anchor, Offer(refused="repeated")
                continue
        best[anchor_id] = place
        refused.pop(anchor_id, None)
    places = list(best.values())
    gone = {anchor_id: store.take_out(anchor_id) for anchor_id in best if anchor_id in store}
    new = _appended(store, [anchors[at] for at in places], stored[places], [shapes[at] for at in places], gone)
    return [*new, *refused.values()]


def _offer(store: AnchorStore, anchor: Anchor, stored: NDArray[np.float32], shape: bytes) -> Offer:
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

    return Offer(store.extend([anchor], stored[None], [shape]).start, displaced=tuple(displaced))


def _appended(
    store: AnchorStore,
    anchors: Sequence[Anchor],
    stored: NDArray[np.float32],
    shapes: Sequence[bytes],
    gone: Mapping[str, Displaced],
) -> list[tuple[Anchor, Offer]]:
    rows = store.extend(anchors, stored, shapes)
    displaced = [(gone[anchor.anchor_id],) if anchor.anchor_id in gone else () for anchor in anchors]
    return [(anchor, Offer(row, displaced=left)) for anchor, row, left in zip(anchors, rows, displaced, strict=True)]
