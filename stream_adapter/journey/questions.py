"""What anybody may ask between the steps of a stream, from any thread: nothing is learned or counted by it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_adapter.events import PredictionDocument
from stream_adapter.events.waiting import WaitingEvent
from stream_adapter.journey.explaining import Explaining
from stream_adapter.journey.late_labels import LateLabels
from stream_adapter.journey.parts import Parts
from stream_adapter.journey.suggesting import NEWEST, Suggesting
from stream_adapter.journey.turns import Turns

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Questions:
    """Each waits for one step of the stream: while a batch is predicted, or a part of it is learned.

    Attributes:
        check_label: raises an `UnknownLabel` for a label that would be refused.
    """

    parts: Parts
    explaining: Explaining
    turns: Turns
    check_label: Callable[[str], None]
    late: LateLabels | None
    suggesting: Suggesting | None

    def answer(self, vectors: NDArray[np.float32]) -> list[PredictionDocument]:
        """What would be said about events with these vectors now, float32 (B, d), unit.

        Raises:
            AnchorError: a vector is not finite, not unit or of the wrong length.
        """
        with self.turns.turn():
            return self.explaining.describe(self.parts.adapter.predict(vectors))

    def to_label(self, among: Collection[str], number: int) -> list[tuple[WaitingEvent, PredictionDocument]]:
        """What to label next, best first, and what would be said of it now; see `Suggesting.best_of`.

        Args:
            among: anchor ids of the events to choose from; where none of them waits for a label, the newest that do.
            number: events at most.

        Returns:
            Nothing where labels come with their events.
        """
        if self.late is None or self.suggesting is None:
            return []
        with self.turns.turn():
            waiting = self.late.unlabelled(NEWEST, among) or self.late.unlabelled(NEWEST)
            chosen = self.suggesting.best_of(waiting, number)
            if not chosen:
                return []
            prediction = self.parts.adapter.predict(np.stack([event.vector for event in chosen]))
            return list(zip(chosen, self.explaining.describe(prediction), strict=True))

    def look(self, at: Callable[[Parts], T]) -> T:
        """Look at the parts while they rest; `at` is to return at once."""
        with self.turns.turn():
            return at(self.parts)
