"""The image event: CloudEvents 1.0 in binary mode or in structured JSON mode.

In binary mode the attributes travel in `ce_*` headers and the picture is the value; in structured mode
(`application/cloudevents+json`) the picture is in `data_base64`. Both are defined by the Kafka protocol binding:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.formats import may_be_picture
from stream_adapter.events.headers import decode_headers, format_time, parse_time
from stream_adapter.transport.base import UNREADABLE, Headers, Record

EVENT_TYPE = "stream_adapter.image"
STRUCTURED = "application/cloudevents+json"
EMBEDDING = "application/x-embedding"


@dataclass(frozen=True, slots=True)
class ImageEvent:
    """One image, or its vector, with its label where there is one.

    Attributes:
        source: CloudEvents `source`; with `id` it identifies the event.
        id: CloudEvents `id`.
        time_ms: CloudEvents `time` in milliseconds since the epoch; the record's own time where it is absent.
        content_type: what somebody says that `data` is, lower case, without parameters; for a picture a hint, no more.
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
        return anchor_id_of(self.source, self.id)


def anchor_id_of(source: str, id: str) -> str:
    """The id of the anchor that the event of this CloudEvents source and id becomes, see `ImageEvent.anchor_id`."""
    identity = json.dumps([source, id], ensure_ascii=False).encode()
    return hashlib.blake2b(identity, digest_size=16).hexdigest()


def parse_image_event(record: Record) -> ImageEvent:
    """Read an image event in either CloudEvents mode.

    Raises:
        MalformedEvent: a required attribute is missing or empty, the content type is not one we read, the payload is
            missing, or the structured JSON is broken.
    """
    unreadable = dict(record.headers).get(UNREADABLE)
    if unreadable is not None:
        raise MalformedEvent(unreadable.decode(errors="replace"))
    headers = decode_headers(record.headers)
    content_type = _media_type(headers.get("content-type", ""))
    if content_type == STRUCTURED:
        attributes, data = _read_structured(record.value)
        content_type = _media_type(attributes.get("datacontenttype", ""))
    else:
        attributes = {name.removeprefix("ce_"): value for name, value in headers.items() if name.startswith("ce_")}
        data = record.value

    for name in ("id", "source", "type", "specversion"):
        if not attributes.get(name):
            raise MalformedEvent(
                f"CloudEvents attribute `{name}` is missing or empty; send it as the header `ce_{name}`"
            )
    if attributes["specversion"] != "1.0":
        raise MalformedEvent(f"CloudEvents specversion {attributes['specversion']!r} is not supported; send '1.0'")
    if attributes["type"] != EVENT_TYPE:
        raise MalformedEvent(f"event type {attributes['type']!r} is not {EVENT_TYPE!r}")
    if content_type != EMBEDDING and not may_be_picture(content_type):
        raise MalformedEvent(
            f"content type {content_type!r} is neither a picture's (image/…, application/octet-stream, "
            f"binary/octet-stream) nor {EMBEDDING}"
        )
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
        time_ms=parse_time(attributes.get("time"), default_ms=record.timestamp_ms),
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


def _read_structured(value: bytes | None) -> tuple[dict[str, str], bytes | None]:
    """Attributes and payload of a structured-mode event; `data` (JSON) is not a picture and is refused."""
    try:
        document = json.loads(value or b"")
    except (ValueError, RecursionError) as error:
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
