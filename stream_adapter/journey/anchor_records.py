"""Anchors in the changelog's form: of labelled events, of labels that come later, of the adapter's own, and back."""

from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, Origin
from stream_adapter.events import AnchorRecord, ImageEvent
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import WaitingEvent


def record_of_event(event: ImageEvent, vector: NDArray[np.float32], label: str, fingerprint: str) -> AnchorRecord:
    """The anchor that an event makes, float32 (d,), unit, which came with this label or another name of it."""
    at = event.record.partition
    return AnchorRecord(
        anchor_id=event.anchor_id,
        vector=vector,
        label=label,
        event_time_ms=event.time_ms,
        event_source=event.source,
        event_id=event.id,
        topic=at.topic,
        partition=at.number,
        offset=event.record.offset,
        fingerprint=fingerprint,
        reference="" if event.reference is None else str(event.reference),
    )


def record_of_label(label: LabelEvent, event: WaitingEvent | AnchorRecord) -> AnchorRecord:
    """The anchor that a label makes of what is known of its event."""
    assert label.label is not None
    return AnchorRecord(
        anchor_id=label.anchor_id,
        vector=event.vector,
        label=label.label,
        event_time_ms=label.time_ms,
        event_source=label.event_source,
        event_id=label.event_id,
        topic=event.topic,
        partition=event.partition,
        offset=event.offset,
        fingerprint=event.fingerprint,
        annotator=label.annotator or "",
        reference=event.reference or label.reference,
    )


def record_of_anchor(anchor: Anchor, fingerprint: str) -> AnchorRecord:
    """An anchor as it is written."""
    return AnchorRecord(
        anchor_id=anchor.anchor_id,
        vector=anchor.vector,
        label=anchor.label,
        event_time_ms=anchor.event_time_ms,
        fingerprint=fingerprint,
        **asdict(anchor.origin),
    )


def anchor_of(record: AnchorRecord, label: str) -> Anchor:
    """What a record says, under the name that its class has by now."""
    origin = Origin(
        record.event_source,
        record.event_id,
        record.topic,
        record.partition,
        record.offset,
        record.annotator,
        record.reference,
    )
    return Anchor(record.anchor_id, record.vector, label, record.event_time_ms, origin)


def same_anchor(one: Anchor, other: Anchor | None) -> bool:
    """Whether both are written alike."""
    return (
        other is not None
        and (one.stamp, one.label) == (other.stamp, other.label)
        # What the wire carries: the last bits of the float32 form depend on who normalised it.
        and one.vector.astype(np.float16).tobytes() == other.vector.astype(np.float16).tobytes()
    )
