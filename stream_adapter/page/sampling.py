"""From every batch a few events: what the page takes from the thread that owns the adapter, at a bounded rate."""

import contextlib
import queue
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

from stream_adapter.encode.base import Prepared
from stream_adapter.events import ImageEvent, PredictionDocument

Picked = Literal["random", "labelled", "moved"]

# Pictures that wait for their thumbnail, 150 kB each at 224 × 224 pixels. More are dropped.
_ROOM = 16
_AT_ONCE = 4
_UNWATCHED_PER_S = 1.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One event of a batch.

    Attributes:
        anchor_id: the id of the anchor that it became, if it did.
        picture: what the encoder got: uint8 (3, H, W), or a vector.
        prediction: what was said about it.
        picked: as one at random, one with a label, or one whose answer the labels moved.
    """

    anchor_id: str
    picture: Prepared
    prediction: PredictionDocument
    picked: Picked


class Sampler:
    """Hands a few events over; `on_batch` belongs to the adapter's thread, `take` to the page's.

    Where no event is due, a batch costs one look at the clock, however large it is.

    Args:
        per_s: events a second at most, while somebody looks at the page; at most one a second otherwise.
        clock: monotonic seconds.
    """

    def __init__(self, per_s: float, watched: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._watched_every_s = 1.0 / per_s
        self._unwatched_every_s = 1.0 / min(per_s, _UNWATCHED_PER_S)
        self._watched = watched
        self._clock = clock
        self._due_s = clock()
        self._queue: queue.Queue[Seen | None] = queue.Queue(_ROOM)
        self._random = random.Random()  # noqa: S311 - which pictures are shown is no secret
        self._kinds: cycle[Picked] = cycle(("random", "labelled", "moved", "labelled"))

    def on_batch(
        self, events: Sequence[ImageEvent], pictures: Sequence[Prepared], predictions: Sequence[PredictionDocument]
    ) -> None:
        """Take what is due of a batch."""
        now = self._clock()
        if now < self._due_s or not events:
            return
        every_s = self._watched_every_s if self._watched() else self._unwatched_every_s
        number = min(_AT_ONCE, 1 + int((now - self._due_s) / every_s), len(events))
        self._due_s += number * every_s
        if self._due_s <= now:  # a pause is not made up for
            self._due_s = now + every_s
        taken: set[int] = set()
        for _ in range(number):
            row, picked = self._pick(predictions)
            if row not in taken:
                taken.add(row)
                self._offer(Seen(events[row].anchor_id, pictures[row], predictions[row], picked))

    def take(self, timeout_s: float) -> Seen | None:
        """The next event; None where none comes in time."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def wake(self) -> None:
        """Let whoever waits in `take` go on."""
        self._offer(None)

    def _offer(self, one: Seen | None) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(one)

    def _pick(self, predictions: Sequence[PredictionDocument]) -> tuple[int, Picked]:
        """A row of the wanted kind, or, where the batch has none, any."""
        wanted = next(self._kinds)
        start = self._random.randrange(len(predictions))
        if wanted != "random":
            for step in range(len(predictions)):
                row = (start + step) % len(predictions)
                one = predictions[row]
                moved = one["top"][0]["label"] != one["zero_shot_label"]
                if one["label"] is not None if wanted == "labelled" else moved:
                    return row, wanted
        return start, "random"
