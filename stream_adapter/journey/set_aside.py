"""Anchors of the changelog that have no class at present: kept, so that they are there when they have one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.columns import AnchorColumns
from stream_adapter.adapter.packing import Arrays

KEPT_REMOVED_S = 10.0
"""So long anchors of a class that was taken out are kept where several workers write: it may be back before one of them
hears of it, and have anchors already."""


class SetAside:
    """Anchors by id; belongs to the thread that owns the adapter.

    What is live and what is set aside are together the anchors of the changelog, so it does not matter whether a worker
    hears first of a class or of its anchors.

    Args:
        clock: monotonic seconds.
        kept_s: so long those of a class that was taken out are kept.
    """

    def __init__(self, clock: Callable[[], float], kept_s: float = KEPT_REMOVED_S) -> None:
        self.anchors: dict[str, Anchor] = {}
        self._clock = clock
        self._kept_s = kept_s
        self._removed_s: dict[str, float] = {}

    def put(self, anchors: Iterable[Anchor]) -> None:
        """Set these aside; of one id the newest stamp counts."""
        for anchor in anchors:
            if not self.has_newer(anchor):
                # On its own: what was read with it shares its memory.
                self.anchors[anchor.anchor_id] = replace(anchor, vector=anchor.vector.copy())

    def has_newer(self, anchor: Anchor) -> bool:
        """Whether another label of the same event is set aside that is newer."""
        known = self.anchors.get(anchor.anchor_id)
        return known is not None and known.stamp > anchor.stamp

    def drop(self, anchor_ids: Iterable[str]) -> None:
        """These are live, or gone."""
        for anchor_id in anchor_ids:
            self.anchors.pop(anchor_id, None)

    def of_removed(self, removed: frozenset[str], class_of: Callable[[str], str]) -> list[str]:
        """Ids of anchors whose class was taken out a while ago: they are to be deleted."""
        if not removed or not self.anchors:
            self._removed_s = {}
            return []
        now_s = self._clock()
        since = {one.anchor_id: now_s for one in self.anchors.values() if class_of(one.label) in removed}
        self._removed_s = {anchor_id: self._removed_s.get(anchor_id, now_s) for anchor_id in since}
        return [anchor_id for anchor_id, s in self._removed_s.items() if now_s - s >= self._kept_s]

    def arrays(self, but: Mapping[str, object], dimension: int) -> Mapping[str, np.ndarray]:
        """For a snapshot, without those ids."""
        kept: Sequence[Anchor] = [one for anchor_id, one in self.anchors.items() if anchor_id not in but]
        vectors = np.array([one.vector for one in kept], np.float32).reshape(-1, dimension)
        return AnchorColumns.of(kept, vectors).arrays("set_aside")

    def restore(self, arrays: Arrays) -> None:
        """Take over what `arrays` gave.

        Raises:
            ValueError: they do not fit each other.
        """
        self.anchors = {one.anchor_id: one for one in AnchorColumns.from_arrays("set_aside", arrays).anchors()}
