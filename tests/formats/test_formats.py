"""What earlier versions wrote is read; what later ones write is named and left alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from stream_adapter.errors import NewerFormat, SnapshotError
from stream_adapter.events import AnchorRecord, DriftEvent, PresenceRecord
from stream_adapter.events.class_record import ClassRecord
from stream_adapter.events.label import parse_label_event
from stream_adapter.events.waiting import LabelRecord, WaitingEvent
from stream_adapter.journey.state import JourneyState
from stream_adapter.snapshots import Snapshot, SnapshotFolder, file
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import change_of
from stream_adapter.transport.dead_letters import undo
from stream_adapter.transport.labels import read_positions
from stream_adapter.transport.recorded import from_line
from tests.formats.__main__ import (
    ALARM,
    ANCHOR,
    HERE,
    LABEL,
    LABEL_STATE,
    ORIGINAL,
    PRESENCE,
    WAITING,
    snapshot,
    written,
)

VERSIONS = sorted(path.name for path in HERE.iterdir() if (path / "records.jsonl").exists())


def records(version: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for line in (HERE / version / "records.jsonl").read_bytes().splitlines():
        record = from_line(line)
        found.setdefault(record.partition.topic, []).append(record)
    return found


def test_the_first_release_is_there() -> None:
    assert "0.2.0" in VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_its_records_are_read(version: str) -> None:
    found = records(version)
    anchor, deletion, presence = (change_of(record).content for record in found["anchors"])
    assert isinstance(anchor, AnchorRecord) and isinstance(presence, PresenceRecord) and deletion is None
    np.testing.assert_array_equal(anchor.vector, ANCHOR.vector)
    assert (anchor.label, anchor.stamp, anchor.fingerprint) == (ANCHOR.label, ANCHOR.stamp, ANCHOR.fingerprint)
    assert presence == PRESENCE
    (drift,) = found["drift"]
    assert DriftEvent.from_record(drift.value, drift.headers).alarm == ALARM
    (letter,) = found["dead_letters"]
    assert undo(letter) == ORIGINAL
    (prediction,) = found["predictions"]
    assert json.loads(prediction.value or b"")["event"]["id"] == "42"
    (kind,) = (ClassRecord.from_record(record.key, record.value or b"", record.headers) for record in found["classes"])
    assert (kind.name, kind.canary, kind.vector is not None) == ("dog", True, True)
    assert [parse_label_event(record) for record in found["labels"]] == [LABEL]
    event, state, position = (record.value or b"" for record in found["waiting"])
    assert WaitingEvent.from_value(event).to_value() == WAITING.to_value()
    assert LabelRecord.from_value(state) == LABEL_STATE and read_positions(position) == {2: 9}
    assert json.loads(found["to_label"][0].value or b"")["events"][0]["id"] == "42"


@pytest.mark.parametrize("version", VERSIONS)
def test_its_snapshot_is_read(version: str) -> None:
    found = Snapshot.read(HERE / version / "snapshot.bin")
    assert (found.fingerprint, found.changelog, found.offsets) == ("f00d", "topic-id", {0: 5})
    assert JourneyState.of(found.arrays, found.facts).labels == [(ANCHOR.anchor_id, "dog")]


def test_every_record_says_its_format() -> None:
    for record in written():
        named = {name for name, _ in record.headers}
        assert record.value is None or named & {"format", "stream_adapter.format"}, record.channel


def test_a_later_record_is_named() -> None:
    record = DriftEvent(ALARM, 0, "/w").to_record()
    later = tuple((name, b"2" if name == "format" else value) for name, value in record.headers)
    with pytest.raises(NewerFormat, match="drift event of format 2, this version reads up to 1: upgrade"):
        DriftEvent.from_record(record.value, later)


@pytest.mark.parametrize("one", [one for one in written() if one.channel in ("classes", "labels")])
def test_a_later_class_event_or_label_is_named(one: OutRecord) -> None:
    headers = tuple((name, b"2" if name == "format" else value) for name, value in one.headers)
    with pytest.raises(NewerFormat, match="of format 2, this version reads up to 1: upgrade"):
        if one.channel == "classes":
            ClassRecord.from_record(one.key, one.value or b"", headers)
        else:
            parse_label_event(Record(Partition("labels", 0), 0, 0, one.key, one.value, headers))


def test_a_later_snapshot_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The older one beside it is used, and whoever goes forward again finds the later one."""
    with SnapshotFolder(tmp_path) as folder:
        folder.save(snapshot())
        monkeypatch.setattr(file, "VERSION", "2")
        folder.save(replace(snapshot(), offsets={0: 9}))
        monkeypatch.setattr(file, "VERSION", "1")
        with capture_logs() as said, pytest.raises(SnapshotError, match="if a newer package wrote"):
            Snapshot.read(tmp_path / "snapshot-00000002.bin")
        with capture_logs() as said:
            found = folder.newest(fingerprint="f00d", changelog="topic-id")
        assert found is not None and found.offsets == {0: 5}
        assert [entry["event"] for entry in said] == ["left a snapshot of a newer version alone"]
        assert (tmp_path / "snapshot-00000002.bin").exists()
