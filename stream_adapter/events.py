"""What travels: image events in, predictions and anchors out, and their wire forms.

Image events are CloudEvents 1.0 in binary mode (attributes in `ce_*` headers, the picture as the value) or in
structured JSON mode (`application/cloudevents+json`, the picture in `data_base64`), as the CloudEvents Kafka protocol
binding defines them. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from stream_adapter.errors import MalformedEvent
from stream_adapter.transport.base import Headers, OutRecord, Record

EVENT_TYPE = "stream_adapter.image"
STRUCTURED = "application/cloudevents+json"
EMBEDDING = "application/x-embedding"
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """One image, or its vector, with its label where there is one.

    Attributes:
        source: CloudEvents `source`; with `id` it identifies the event.
        id: CloudEvents `id`.
        time_ms: CloudEvents `time` in milliseconds since the epoch; the record's own time where it is absent.
        content_type: one of `IMAGE_TYPES`, or `EMBEDDING`.
        data: the picture's bytes, or the vector's.
        label: the class name that somebody gave it, or None.
        fingerprint: for `EMBEDDING` events, the encoder that made the vector.
        record: the record it was read from.
    """

    source: str
    id: str
    time_ms: int
    content_type: str
    data: bytes = field(repr=False)
    label: str | None
    fingerprint: str | None
    record: Record = field(repr=False)

    @property
    def anchor_id(self) -> str:
        """The id of the anchor that this event becomes: 32 hex digits, a hash of its identity.

        Being derived and not drawn, it is the same when an event is delivered again, so a repeated write to the
        anchors topic is harmless.
        """
        identity = json.dumps([self.source, self.id], ensure_ascii=False).encode()
        return hashlib.blake2b(identity, digest_size=16).hexdigest()


def parse_image_event(record: Record) -> ImageEvent:
    """Read an image event in either CloudEvents mode.

    Raises:
        MalformedEvent: a required attribute is missing or empty, the content type is not one we read, the payload is
            missing, or the structured JSON is broken.
    """
    headers = _decode_headers(record.headers)
    content_type = _media_type(headers.get("content-type", ""))
    if content_type == STRUCTURED:
        attributes, data = _read_structured(record.value)
        content_type = _media_type(attributes.get("datacontenttype", ""))
    else:
        attributes = {name.removeprefix("ce_"): value for name, value in headers.items() if name.startswith("ce_")}
        data = record.value

    for name in ("id", "source", "type", "specversion"):
        if not attributes.get(name):
            raise MalformedEvent(f"CloudEvents attribute `{name}` is missing or empty; send it as the header `ce_{name}`")
    if attributes["specversion"] != "1.0":
        raise MalformedEvent(f"CloudEvents specversion {attributes['specversion']!r} is not supported; send '1.0'")
    if attributes["type"] != EVENT_TYPE:
        raise MalformedEvent(f"event type {attributes['type']!r} is not {EVENT_TYPE!r}")
    if content_type != EMBEDDING and content_type not in IMAGE_TYPES:
        known = ", ".join(sorted({*IMAGE_TYPES, EMBEDDING}))
        raise MalformedEvent(f"content type {content_type!r} is not one of {known}")
    if data is None:
        raise MalformedEvent("the event has no payload; the value must be the picture's bytes")
    label = attributes.get("label")
    if label is not None and not label.strip():
        raise MalformedEvent("`ce_label` is empty; leave the header out where there is no label")
    fingerprint = attributes.get("fingerprint")
    if content_type == EMBEDDING and not fingerprint:
        raise MalformedEvent("an embedding event needs `ce_fingerprint`, the encoder that its vector came from")
    return ImageEvent(
        source=attributes["source"],
        id=attributes["id"],
        time_ms=_parse_time(attributes.get("time"), default_ms=record.timestamp_ms),
        content_type=content_type,
        data=data,
        label=label,
        fingerprint=fingerprint,
        record=record,
    )


def image_event_headers(
    *, source: str, id: str, content_type: str, time_ms: int | None = None, label: str | None = None
) -> Headers:
    """The headers of an image event in binary mode; what a producer sends beside the picture's bytes."""
    pairs = {"ce_specversion": "1.0", "ce_type": EVENT_TYPE, "ce_source": source, "ce_id": id}
    if time_ms is not None:
        pairs["ce_time"] = format_time(time_ms)
    if label is not None:
        pairs["ce_label"] = label
    pairs["content-type"] = content_type
    return tuple((name, value.encode()) for name, value in pairs.items())


def format_time(time_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, as CloudEvents asks for."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A class with its probability under both models.

    Attributes:
        label: the class name.
        adapted: probability under the adapted model, 0..1.
        zero_shot: probability under the untouched CLIP, 0..1.
    """

    label: str
    adapted: float
    zero_shot: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An anchor near the picture, one of those that moved the prediction.

    Attributes:
        id: the anchor's id.
        label: the anchor's class name.
        cosine: cosine similarity of the two image vectors, −1..1.
    """

    id: str
    label: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Versions:
    """What a prediction was made with.

    Attributes:
        encoder: the encoder's fingerprint.
        vocabulary: the hash of class names and class vectors.
        adapter: the adapter's version, a function of the anchors that it was fitted to.
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
        gate: how much of the update applied here, 0 (far from every anchor) .. 1.
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
            "event": {"source": self.event_source, "id": self.event_id, "time": format_time(self.event_time_ms)},
            "top": [
                {"label": score.label, "adapted": _round(score.adapted), "zero_shot": _round(score.zero_shot)}
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

    def to_record(self, key: bytes | None) -> OutRecord:
        """The record for the predictions topic, under the image event's own key."""
        value = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False).encode()
        return OutRecord("predictions", key, value, (("content-type", b"application/json"),))


@dataclass(frozen=True, slots=True, eq=False)
class AnchorRecord:
    """A labelled vector: what the adapter learns from, and the state that is kept.

    Attributes:
        anchor_id: 32 hex digits, see `ImageEvent.anchor_id`.
        vector: unit image vector, float32 (d,), already rounded through float16.
        label: class name.
        event_time_ms: the labelled event's time, milliseconds since the epoch.
        event_source: CloudEvents source of the labelled event.
        event_id: CloudEvents id of the labelled event.
        topic: topic of the labelled event.
        partition: partition of the labelled event.
        offset: offset of the labelled event.
        fingerprint: the encoder that made the vector.
    """

    anchor_id: str
    vector: np.ndarray = field(repr=False)
    label: str
    event_time_ms: int
    event_source: str
    event_id: str
    topic: str
    partition: int
    offset: int
    fingerprint: str

    def to_record(self, writer: str) -> OutRecord:
        """The record for the compacted anchors topic.

        Args:
            writer: names the process that writes, so that it can skip its own records when it reads the topic.
        """
        headers = {
            "label": self.label,
            "event_time": format_time(self.event_time_ms),
            "event_source": self.event_source,
            "event_id": self.event_id,
            "source_topic": self.topic,
            "source_partition": str(self.partition),
            "source_offset": str(self.offset),
            "fingerprint": self.fingerprint,
            "writer": writer,
        }
        return OutRecord(
            "anchors",
            self.anchor_id.encode(),
            self.vector.astype("<f2").tobytes(),
            tuple((name, value.encode()) for name, value in headers.items()),
        )

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes, headers: Headers) -> "AnchorRecord":
        """Read an anchor back.

        Raises:
            MalformedEvent: a header is missing or broken, or the value is not a float16 vector.
        """
        fields = _decode_headers(headers)
        try:
            halves = np.frombuffer(value, dtype="<f2").astype(np.float32)  # (d,)
            norm = float(np.linalg.norm(halves))
            if key is None or not np.isfinite(norm) or abs(norm - 1.0) > 1e-2:
                raise ValueError(f"key {key!r} with a vector of norm {norm}")
            return cls(
                anchor_id=key.decode(),
                vector=halves / np.float32(norm),
                label=fields["label"],
                event_time_ms=_parse_time(fields["event_time"], default_ms=0),
                event_source=fields["event_source"],
                event_id=fields["event_id"],
                topic=fields["source_topic"],
                partition=int(fields["source_partition"]),
                offset=int(fields["source_offset"]),
                fingerprint=fields["fingerprint"],
            )
        except (KeyError, ValueError) as error:
            raise MalformedEvent(f"not an anchor record ({error!r}); was something else written to this topic?") from error


def round_through_float16(vectors: np.ndarray) -> np.ndarray:
    """Round unit vectors to what the anchors topic keeps, and make them unit again.

    A worker that was restored from the topic then has bit for bit the vectors of the one that wrote them.

    Args:
        vectors: unit vectors, float32 (..., d).
    """
    halves = vectors.astype(np.float16).astype(np.float32)
    return np.asarray(halves / np.linalg.norm(halves, axis=-1, keepdims=True).astype(np.float32))


def anchor_tombstone(anchor_id: str, writer: str) -> OutRecord:
    """The record that deletes an anchor from the compacted topic."""
    return OutRecord("anchors", anchor_id.encode(), None, (("writer", writer.encode()),))


def _decode_headers(headers: Headers) -> dict[str, str]:
    """Headers as text, names in lower case; the last one of a name wins.

    Raises:
        MalformedEvent: a value is not UTF-8.
    """
    decoded = {}
    for name, value in headers:
        try:
            decoded[name.lower()] = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedEvent(f"header {name!r} is not UTF-8: {value[:40]!r}") from error
    return decoded


def _read_structured(value: bytes | None) -> tuple[dict[str, str], bytes | None]:
    """Attributes and payload of a structured-mode event; `data` (JSON) is not a picture and is refused."""
    try:
        document = json.loads(value or b"")
    except ValueError as error:
        raise MalformedEvent(f"structured CloudEvent is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedEvent(f"structured CloudEvent must be a JSON object, found {type(document).__name__}")
    encoded = document.pop("data_base64", None)
    attributes = {name.lower(): text for name, text in document.items() if isinstance(text, str)}
    if encoded is None:
        return attributes, None
    try:
        return attributes, base64.b64decode(encoded, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise MalformedEvent(f"`data_base64` is not base64: {error}") from error


def _media_type(content_type: str) -> str:
    """`image/jpeg` of `Image/JPEG; charset=binary`."""
    return content_type.partition(";")[0].strip().lower()


def _parse_time(text: str | None, default_ms: int) -> int:
    if text is None:
        return default_ms
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedEvent(f"`ce_time` {text!r} is not an RFC 3339 time") from error
    if moment.tzinfo is None:
        raise MalformedEvent(f"`ce_time` {text!r} has no time zone; RFC 3339 asks for one, such as 'Z'")
    # Integer arithmetic: a float of seconds loses the last millisecond now and then.
    return (moment - _EPOCH) // timedelta_ms


def _round(number: float) -> float:
    """Six decimals: enough for a probability, and half the bytes of a double."""
    return round(float(number), 6)
