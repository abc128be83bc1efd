"""What one call of `learn` comes to, when anchors may replace each other and be pruned again within it."""

from stream_adapter.adapter.anchors.anchor import Anchor, Displaced
from stream_adapter.adapter.anchors.offering import Offer
from stream_adapter.adapter.anchors.pruning import Victim
from stream_adapter.adapter.anchors.results import (
    Ignored,
    IgnoredReason,
    LearnResult,
    Removed,
    RemovedReason,
    Replaced,
)


class NetChanges:
    """Collects what happens to single anchors, in order, and cancels what was undone.

    Attributes:
        gone: anchors that were live before and are not any more.
    """

    def __init__(self) -> None:
        self.gone: list[Displaced] = []
        self._new: dict[str, int] = {}
        self._replaced: dict[str, tuple[Replaced, ...]] = {}
        self._folded: list[str] = []
        self._ignored: list[Ignored] = []
        self._removed: dict[str, RemovedReason] = {}

    @property
    def new(self) -> list[int]:
        """Row ids of anchors that are live now and were not before."""
        return list(self._new.values())

    def ignored(self, anchor_id: str, reason: IgnoredReason) -> None:
        """An anchor was not even offered to the store."""
        self._ignored.append(Ignored(anchor_id, reason))

    def offered(self, anchor: Anchor, offer: Offer) -> None:
        """The store has decided on an anchor."""
        for displaced in offer.displaced:
            self._left(displaced, "corrected")
        anchor_id = anchor.anchor_id
        if offer.row is not None:
            self._new[anchor_id] = offer.row
            self._removed.pop(anchor_id, None)
            if offer.displaced:
                self._replaced[anchor_id] = tuple(
                    Replaced(anchor_id, gone.anchor.anchor_id) for gone in offer.displaced
                )
        elif offer.folded:
            self._folded.append(anchor_id)
        elif offer.refused is not None:
            self.ignored(anchor_id, offer.refused)

    def pruned(self, victim: Victim, displaced: Displaced) -> None:
        """An anchor was removed to keep a budget."""
        self._left(displaced, victim.reason)

    def result(self) -> LearnResult:
        """What holds now, compared with before."""
        return LearnResult(
            added=tuple(anchor_id for anchor_id in self._new if anchor_id not in self._replaced),
            replaced=tuple(change for changes in self._replaced.values() for change in changes),
            folded=tuple(self._folded),
            ignored=tuple(self._ignored),
            removed=tuple(Removed(anchor_id, reason) for anchor_id, reason in self._removed.items()),
            before={displaced.anchor.anchor_id: displaced.anchor for displaced in self.gone},
        )

    def _left(self, displaced: Displaced, reason: RemovedReason) -> None:
        anchor_id = displaced.anchor.anchor_id
        if self._new.pop(anchor_id, None) is None:
            self.gone.append(displaced)
        self._replaced.pop(anchor_id, None)
        self._removed[anchor_id] = reason
