"""The prediction: what the worker says about one event, with the anchors that moved it, as CloudEvents 1.0.

Binary mode: attributes in `ce_*` headers, the prediction as a JSON value.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stream_adapter.events.headers import FORMAT, format_time
from stream_adapter.events.image import ImageEvent
from stream_adapter.events.raw import place_of, source_of
from stream_adapter.transport.base import OutRecord

EVENT_TYPE = "stream_adapter.prediction"
PREDICTION_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A class with its probability under both models.

    Attributes:
        adapted: probability under the adapted model, 0..1.
        zero_shot: probability under the untouched CLIP, 0..1.
        kind: what the class is taken for: `labelled`, `present` or `dormant`.
        presence: how far it is held to be in the traffic, 0..1; 1 for labelled and present classes.
    """

    label: str
    adapted: float
    zero_shot: float
    kind: str
    presence: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An anchor near the picture, one of those that moved the prediction; `cosine` is between image vectors."""

    id: str
    label: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Versions:
    """What a prediction was made with.

    Attributes:
        encoder: the encoder's fingerprint.
        vocabulary: the hash of class names and class vectors.
        adapter: the adapter's version: another one whenever anything changes that answers depend on.
    """

    encoder: str
    vocabulary: str
    adapter: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the worker says about one event; `docs/prediction.schema.json` is the JSON schema of its wire form.

    Attributes:
        event_source: CloudEvents source of the image event.
        event_id: CloudEvents id of the image event.
        event_time_ms: the event's time, milliseconds since the epoch.
        top: the k most probable classes under the adapted model, best first.
        zero_shot_label: the most probable class under the untouched CLIP.
        label: the label that came with the event, or None. The prediction was made before it was learned.
        gate: nearness to the nearest anchor, 0 (far from every anchor) .. 1 (at one).
        anchors: the nearest anchors, nearest first.
        top_has_anchors: whether the top class has anchors.
        novelty: 0 (the vocabulary or an anchor explains the picture) .. 1 (neither does).
        versions: encoder, vocabulary and adapter.
        timings_ms: milliseconds by stage for the batch that the event was in.
    """

    event_source: str
    event_id: str
    event_time_ms: int
    top: tuple[ClassScore, ...]
    zero_shot_label: str
    label: str | None
    gate: float
    anchors: tuple[Neighbour, ...]
    top_has_anchors: bool
    novelty: float
    versions: Versions
    timings_ms: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """The wire form, as written to the predictions topic."""
        return {
            "event": {
                "source": self.event_source,
                "id": self.event_id,
                "time": format_time(self.event_time_ms),
            },
            "top": [
                {
                    "label": score.label,
                    "adapted": _round(score.adapted),
                    "zero_shot": _round(score.zero_shot),
                    "kind": score.kind,
                    "presence": _round(score.presence),
                }
                for score in self.top
            ],
            "zero_shot_label": self.zero_shot_label,
            "label": self.label,
            "gate": _round(self.gate),
            "anchors": [
                {"id": anchor.id, "label": anchor.label, "cosine": _round(anchor.cosine)} for anchor in self.anchors
            ],
            "top_has_anchors": self.top_has_anchors,
            "novelty": _round(self.novelty),
            "versions": {
                "encoder": self.versions.encoder,
                "vocabulary": self.versions.vocabulary,
                "adapter": self.versions.adapter,
            },
            "timings_ms": {stage: round(milliseconds, 3) for stage, milliseconds in self.timings_ms.items()},
        }

    def to_record(self, event: ImageEvent) -> OutRecord:
        """The record for the predictions topic, under the key of the image event's own record.

        Source and id name that record, so that a prediction that is written again has the same ones.
        """
        record = event.record
        value = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False).encode()
        headers = {
            "ce_specversion": "1.0",
            "ce_type": EVENT_TYPE,
            "ce_source": f"stream_adapter/{source_of(record)}",
            "ce_id": place_of(record),
            "ce_time": format_time(self.event_time_ms),
            "ce_subject": self.event_id,
            "content-type": "application/json",
            FORMAT: str(PREDICTION_FORMAT),
        }
        if event.traceparent is not None:
            # As CloudEvents' extension, and where OpenTelemetry's instrumentations of Kafka clients look.
            headers |= {"ce_traceparent": event.traceparent, "traceparent": event.traceparent}
        pairs = tuple((name, text.encode()) for name, text in headers.items())
        return OutRecord("predictions", record.key, value, pairs, source=record.partition)


def _round(number: float) -> float:
    """Six decimals: enough for a probability, and half the bytes of a double."""
    return round(float(number), 6)
