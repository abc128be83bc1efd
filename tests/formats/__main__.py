"""Record what this version writes, once for each release: `python -m tests.formats 0.2.0`."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.errors import UndecodableImage
from stream_adapter.events import (
    AnchorRecord,
    DriftEvent,
    ImageEvent,
    PresenceRecord,
    anchor_tombstone,
    image_event_headers,
    prediction_record,
    round_through_float16,
)
from stream_adapter.events.class_record import ClassRecord
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import LABEL_PREFIX, POSITION_KEY, LabelRecord, WaitingEvent, waiting_record
from stream_adapter.journey.state import JourneyState
from stream_adapter.journey.suggesting import to_label_record
from stream_adapter.journey.vocabulary import ClassesNow
from stream_adapter.snapshots import Snapshot
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.dead_letters import dead_letter
from stream_adapter.transport.labels import write_positions
from stream_adapter.transport.recorded import to_line

HERE = Path(__file__).parent
TIME_MS = 1_767_323_045_678
VECTOR = round_through_float16(np.arange(1.0, 9.0, dtype=np.float32) / np.sqrt(np.float32(204.0)))
ANCHOR = AnchorRecord("0123456789abcdef" * 2, VECTOR, "dog", TIME_MS, "/cameras/1", "42", "images", 3, 7, "f00d")
PRESENCE = PresenceRecord("evidence/worker-0", b"\x01\x02", "f00d", "beef")
ALARM = DriftAlarm(
    kind="harm", group="unseen", action="none", detector="test", observed=90, labels=30, enough=True, since=4,
    e_value=40.0, interval=None, evidence={"mean": -0.1}, event_ids=("41", "42"),
)  # fmt: skip
ORIGINAL = Record(
    Partition("images", 3), 7, 1_767_323_045_000, b"k", b"\xff\xd8",
    image_event_headers(source="/cameras/1", id="42", content_type="image/jpeg", label="dog", time_ms=TIME_MS),
)  # fmt: skip

LABEL = LabelEvent.new("/cameras/1", "42", "dog", time_ms=TIME_MS, annotator="ann", reference="s3://shelves/1.jpg")
LABEL_STATE = LabelRecord(LABEL, ("labels", 2, 8), "scored", "canary", True, "worker-0", TIME_MS)
WAITING = WaitingEvent(
    "/cameras/1", "42", TIME_MS, "images", 3, 7, "f00d", "beef", ("dog", 0.75), ("cat", 0.5), "dog", "s3://shelves/1.jpg",
    b"\x80", VECTOR,
)  # fmt: skip


def written() -> list[OutRecord]:
    """One record of every kind."""
    event = ImageEvent("/cameras/1", "42", TIME_MS, "image/jpeg", b"\xff\xd8", "dog", None, ORIGINAL)
    document: Any = {"event": {"source": "/cameras/1", "id": "42", "time": "2026-01-02T03:04:05.678Z"}, "top": []}
    return [
        ANCHOR.to_record("writer"),
        anchor_tombstone(ANCHOR.anchor_id, "writer"),
        PRESENCE.to_record("writer"),
        prediction_record(event, document),
        DriftEvent(ALARM, TIME_MS, "/worker-0").to_record(),
        dead_letter(ORIGINAL, UndecodableImage("truncated")),
        ClassRecord("dog", vector=VECTOR, canary=True).to_record(),
        LABEL.to_output(),
        waiting_record(ANCHOR.anchor_id, WAITING.to_value(), 0, TIME_MS),
        waiting_record(LABEL_PREFIX + ANCHOR.anchor_id, LABEL_STATE.to_value(), 0, TIME_MS),
        waiting_record(POSITION_KEY, write_positions({2: 9}), 0, TIME_MS),
        to_label_record([WAITING], "/worker-0", "worker-0", TIME_MS, Partition("images", 3)),
    ]


def snapshot() -> Snapshot:
    """A worker's state."""
    classes = ClassesNow(("dog",), VECTOR[None], "beef", frozenset(), {})
    labels, learner = [(ANCHOR.anchor_id, "dog")], {"learner.sums": np.arange(3.0)}
    state = JourneyState(labels, learner, {"directions": b"d"}, {}, {}, classes, {})
    return Snapshot("f00d", "beef", TIME_MS, "topic-id", {0: 5}, state.facts(), state.arrays())


def main() -> None:
    """Write the files of a version; existing ones are never changed."""
    if len(sys.argv) != 2 or re.fullmatch(r"\d+\.\d+\.\d+", sys.argv[1]) is None:
        raise SystemExit(__doc__)
    folder = HERE / sys.argv[1]
    folder.mkdir()
    lines = [
        to_line(Record(Partition(one.channel, 0), number, one.timestamp_ms or 0, one.key, one.value, one.headers))
        for number, one in enumerate(written())
    ]
    (folder / "records.jsonl").write_bytes(b"".join(lines))
    snapshot().write(folder / "snapshot.bin")


if __name__ == "__main__":
    main()
