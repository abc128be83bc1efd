"""What to label next, of the events that wait for a label."""

import numpy as np

from stream_adapter.config import Config
from stream_adapter.errors import TransportError
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.waiting import LABEL_PREFIX, WaitingEvent
from stream_adapter.journey.suggesting import choose
from stream_adapter.operations.anchors import read_anchors
from stream_adapter.operations.labels import come_apart, last_waiting, waiting_events
from stream_adapter.transport.opening import transport_of

# The square of it is what choosing takes: 64 MB, and a second or two.
_NEWEST = 4_000


def what_next(config: Config, number: int) -> list[WaitingEvent]:
    """The events to label, best first, among the newest 4,000 that wait; see `suggesting.choose`."""
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
    anchors = [one for one in read_anchors(config).values() if one.fingerprint == fingerprint]
    labelled = np.array([one.vector for one in anchors], np.float32).reshape(-1, len(newest[0].vector))
    return choose(newest, labelled, {one.label for one in anchors} | set(config.adapter.canaries), number)
