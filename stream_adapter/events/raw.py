"""Image events as bare pictures: the value is the picture, and nothing else is said about it."""

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.cloudevents import media_type
from stream_adapter.events.headers import checked_traceparent, header_of
from stream_adapter.events.image import ImageEvent
from stream_adapter.events.payloads import looks_like_json
from stream_adapter.events.place import place_of, source_of
from stream_adapter.events.times import EventTimes
from stream_adapter.transport.base import Record


def parse_raw(record: Record, times: EventTimes) -> ImageEvent:
    """Take the value as the picture; the event is known by topic, partition and offset."""
    if record.value is None:
        raise MalformedEvent("the record has no value; it must be the picture's bytes")
    if looks_like_json(record.value):
        raise MalformedEvent(
            "the value is JSON and no picture; set `events.format: json` and name its fields in `events.fields`"
        )
    content_type = media_type(header_of(record.headers, "content-type") or "")
    return ImageEvent(
        source=source_of(record),
        id=place_of(record),
        time_ms=times.of(record, None),
        # Of a producer that says nothing else about the picture only a picture's type is believed.
        content_type=content_type if content_type.startswith("image/") else "",
        data=record.value,
        label=None,
        fingerprint=None,
        record=record,
        traceparent=checked_traceparent(header_of(record.headers, "traceparent")),
    )
