"""What to label next, of the events that wait for a label: chosen, and written for whoever shows it to people."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.asking import are_copies, doubt_of, most_telling
from stream_adapter.drift.at_risk import ENOUGH, expected_losses
from stream_adapter.events.headers import cloud_event, format_time
from stream_adapter.events.waiting import WaitingEvent
from stream_adapter.transport.base import OutRecord, Partition

EVENT_TYPE = "stream_adapter.to_label"
TO_LABEL_FORMAT = 1
NEWEST = 512
"""Events among which a worker chooses beside its stream."""


def choose(
    events: Sequence[WaitingEvent], labelled: NDArray[np.float32], settled: Collection[str], number: int
) -> list[WaitingEvent]:
    """The events to label, best first.

    First, and at most half, one of each class that has no label and is at risk, those that would lose most first: the
    event that zero-shot is surest of, of those that the published answer gives to another class. If zero-shot is right
    the label ends the risk, and if it is wrong the label says so.

    Args:
        events: all of one encoder.
        labelled: float32 (m, d), unit: what labels are there for.
        settled: class names that have labels, or are canaries.
        number: how many.
    """
    if not events:
        return []
    vectors = np.stack([event.vector for event in events])
    doubt = doubt_of(np.array([event.adapted[1] for event in events], np.float32))
    labelled = labelled.reshape(-1, vectors.shape[1])
    first = _of_classes_at_risk(events, settled, are_copies(vectors, labelled))[: number // 2]
    known = np.concatenate([labelled, vectors[first]])
    rest = most_telling(vectors, doubt, known, number - len(first)).tolist()
    return [events[row] for row in (*first, *rest)]


def _of_classes_at_risk(
    events: Sequence[WaitingEvent], settled: Collection[str], answered: NDArray[np.bool_]
) -> list[int]:
    """One event for each class, by row, the class that would lose most first; none of those that are settled.

    What was `answered`, bool (n,), is no loss: a label says of a copy what it is.
    """
    names, top = np.unique([event.zero_shot[0] for event in events], return_inverse=True)
    chance = np.array([event.zero_shot[1] for event in events])
    taken = np.array([event.zero_shot[0] != event.adapted[0] for event in events]) & ~answered
    lost = expected_losses(top, chance, taken, np.array([name not in settled for name in names.tolist()], np.float64))
    classes = [index for index in np.argsort(-lost, kind="stable").tolist() if lost[index] >= ENOUGH]
    return [int(np.where(taken & (top == index), chance, -1.0).argmax()) for index in classes]


@dataclass(eq=False, slots=True)
class Suggesting:
    """Belongs to the thread that owns the adapter.

    Attributes:
        adapter: says what labels are there for.
        waiting: the newest events without a label that this worker owns, at most so many.
        number: events on a list.
        every_s: seconds between two lists.
        source: CloudEvents source of the lists: which worker makes them.
        slot: the worker's name that lasts: the key, so that its newest list counts.
        canaries: names of the classes that are never learned, now.
        now_ms: milliseconds since the epoch.
    """

    adapter: Adapter
    waiting: Callable[[int], Iterable[WaitingEvent]]
    number: int
    every_s: float
    source: str
    slot: str
    canaries: Callable[[], Collection[str]]
    now_ms: Callable[[], int]
    _due_ms: int = field(default=0, init=False)
    _said: list[tuple[str, str]] | None = field(default=None, init=False)

    def poll(self, place: Partition) -> list[OutRecord]:
        """The list where one is due and has changed; mostly nothing.

        Args:
            place: an input partition of this worker: the list is not written once it has moved to another.
        """
        now_ms = self.now_ms()
        if not self.number or now_ms < self._due_ms:
            return []
        self._due_ms = now_ms + int(self.every_s * 1e3)
        chosen = self.best_of(self.waiting(NEWEST), self.number)
        said = [(event.source, event.id) for event in chosen]
        if said == self._said or not (said or self._said):
            return []
        self._said = said
        return [to_label_record(chosen, self.source, self.slot, now_ms, place)]

    def best_of(self, waiting: Iterable[WaitingEvent], number: int) -> list[WaitingEvent]:
        """The events to label among these, best first, at most so many; see `choose`."""
        d = self.adapter.dimension
        events = [event for event in waiting if event.vector.shape == (d,)]
        names, anchored = self.adapter.classes.names, self.adapter.has_anchor
        settled = {names[index] for index in np.flatnonzero(anchored).tolist()} | set(self.canaries())
        vectors = np.array([event.vector for event in events], np.float32).reshape(-1, d)
        anchors = self.adapter.anchors
        nearest = np.unique(anchors.nearest(vectors, 1).rows[:, 0])
        return choose(events, anchors.vectors[anchors.slots_of(nearest[nearest >= 0])], settled, number)


def to_label_record(chosen: Sequence[WaitingEvent], source: str, slot: str, now_ms: int, place: Partition) -> OutRecord:
    """The record that names these events, best first, of the worker in this slot, for the owner of this partition."""
    events = [
        {
            "source": event.source,
            "id": event.id,
            "time": format_time(event.time_ms),
            "adapted_label": event.adapted[0],
            "probability": event.adapted[1],
            "zero_shot_label": event.zero_shot[0],
        }
        | ({"reference": event.reference} if event.reference else {})
        for event in chosen
    ]
    value = json.dumps({"time": format_time(now_ms), "events": events}, ensure_ascii=False, allow_nan=False).encode()
    id = hashlib.blake2b(source.encode() + b"\0" + value, digest_size=16).hexdigest()
    headers = cloud_event(EVENT_TYPE, source, id, now_ms, slot, TO_LABEL_FORMAT)
    return OutRecord("to_label", slot.encode(), value, headers, source=place)
