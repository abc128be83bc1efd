"""Looking on while batches pass: the seam between the journey and whoever shows it to people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stream_adapter.encode.base import Prepared
from stream_adapter.events import ImageEvent, PredictionDocument


@dataclass(frozen=True, slots=True)
class DeletionRequest:
    """A request to delete anchors, everywhere.

    Attributes:
        anchor_ids: which; those that are not there are passed over.
        durable: called with the ids that were there, once their deletion is written.
    """

    anchor_ids: Sequence[str]
    durable: Callable[[Sequence[str]], None]


class Observer(Protocol):
    """Called by the thread that owns the adapter, for every batch: it must return at once and never raise."""

    def on_batch(
        self, events: Sequence[ImageEvent], pictures: Sequence[Prepared], predictions: Sequence[PredictionDocument]
    ) -> None:
        """A batch was predicted and taught: B events, as the encoder got them, with what was said about each."""

    def on_forgotten(self, anchor_ids: Sequence[str]) -> None:
        """Nothing that is kept of these may stay."""

    def poll(self) -> Sequence[DeletionRequest]:
        """Between batches, also while nothing arrives: the moment to look at the adapter; and what is to be deleted."""


class NullObserver:
    """Looks at nothing."""

    def on_batch(
        self, events: Sequence[ImageEvent], pictures: Sequence[Prepared], predictions: Sequence[PredictionDocument]
    ) -> None:
        """Pass over the batch."""

    def on_forgotten(self, anchor_ids: Sequence[str]) -> None:
        """Nothing is kept."""

    def poll(self) -> Sequence[DeletionRequest]:
        """Want nothing."""
        return ()
