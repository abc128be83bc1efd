"""Anchors in the changelog's form, and back."""

from dataclasses import replace

from stream_adapter.events import AnchorRecord
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent
from stream_adapter.journey.anchor_records import anchor_of, record_of_anchor, record_of_label, same_anchor
from tests.fakes import vectors_of

RECORD = AnchorRecord(
    anchor_id=anchor_id_of("/test", "1"),
    vector=vectors_of(("cat", 1))[0],
    label="cat",
    event_time_ms=20_000,
    event_source="/test",
    event_id="1",
    topic="images",
    partition=3,
    offset=7,
    fingerprint="f",
    annotator="ann",
    reference="s3://bucket/cat.jpg",
)


def test_what_was_read_is_written_again() -> None:
    anchor = anchor_of(RECORD, "cat")
    assert record_of_anchor(anchor, "f").to_record("me") == RECORD.to_record("me")
    assert same_anchor(anchor, anchor_of(RECORD, "cat"))
    assert not same_anchor(anchor, anchor_of(RECORD, "kitten"))


def test_a_correction_keeps_where_the_picture_is() -> None:
    label = LabelEvent.new("/test", "1", "dog", time_ms=30_000, annotator="bob")
    corrected = record_of_label(label, RECORD)
    expected = replace(RECORD, label="dog", event_time_ms=30_000, annotator="bob")
    assert corrected.to_record("me") == expected.to_record("me")
