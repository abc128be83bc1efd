"""What to label next, of the events that wait for a label."""

from collections.abc import Collection, Sequence

import numpy as np

from stream_adapter.adapter.asking import most_telling
from stream_adapter.config import Config
from stream_adapter.drift.at_risk import ENOUGH, expected_losses
from stream_adapter.errors import TransportError
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.waiting import LABEL_PREFIX, WaitingEvent
from stream_adapter.operations.anchors import read_anchors
from stream_adapter.operations.labels import come_apart, last_waiting, waiting_events
from stream_adapter.transport.opening import transport_of

# The square of it is what choosing takes: 64 MB, and a second or two.
_NEWEST = 4_000


def what_next(config: Config, number: int) -> list[WaitingEvent]:
    """The events to label, best first, among the newest 4,000 that wait.

    First, and at most half, one of each class that has no label and is at risk, those that would lose most first: the
    event that zero-shot is surest of, of those that the published answer gives to another class. If zero-shot is right
    the label ends the risk, and if it is wrong the label says so.

    Raises:
        TransportError: they cannot be read, or nothing waits for labels with this configuration.
    """
    if not come_apart(config):
        raise TransportError(
            "no event waits for a label: set `files.labels_file` on `transport: files`, and "
            "`labels.wait_max_events` above 0"
        )
    last = last_waiting(transport_of(config))
    waiting = [
        event
        for event in waiting_events(last)
        if event.vector.size and LABEL_PREFIX + anchor_id_of(event.source, event.id) not in last
    ]
    if not waiting:
        return []
    newest = sorted(waiting, key=lambda event: event.time_ms)[-_NEWEST:]
    fingerprint = newest[-1].fingerprint
    newest = [event for event in newest if event.fingerprint == fingerprint]
    vectors = np.stack([event.vector for event in newest])
    doubt = np.array([1.0 - event.adapted[1] for event in newest], np.float32)
    anchors = [one for one in read_anchors(config).values() if one.fingerprint == fingerprint]
    labelled = np.array([one.vector for one in anchors], np.float32).reshape(-1, vectors.shape[1])
    first = _of_classes_at_risk(newest, {one.label for one in anchors} | set(config.adapter.canaries))[: number // 2]
    labelled = np.concatenate([labelled, vectors[first]])
    rest = most_telling(vectors, doubt, labelled, number - len(first)).tolist()
    return [newest[row] for row in (*first, *rest)]


def _of_classes_at_risk(events: Sequence[WaitingEvent], settled: Collection[str]) -> list[int]:
    """One event for each class, by row, the class that would lose most first; none of those that are settled."""
    names, top = np.unique([event.zero_shot[0] for event in events], return_inverse=True)
    chance = np.array([event.zero_shot[1] for event in events])
    taken = np.array([event.zero_shot[0] != event.adapted[0] for event in events])
    lost = expected_losses(top, chance, taken, np.array([name not in settled for name in names.tolist()], np.float64))
    classes = [index for index in np.argsort(-lost, kind="stable").tolist() if lost[index] >= ENOUGH]
    return [int(np.where(taken & (top == index), chance, -1.0).argmax()) for index in classes]
