"""Which form the records of the images topic have, the one place where it is chosen, and bare pictures as one."""

from collections.abc import Callable
from functools import partial

from stream_adapter.config import EventsConfig
from stream_adapter.errors import MalformedEvent
from stream_adapter.events.cloudevents import is_cloud_event, parse_image_event
from stream_adapter.events.headers import checked_traceparent, header_of
from stream_adapter.events.image import ImageEvent
from stream_adapter.events.payloads import looks_like_json, media_type
from stream_adapter.events.place import place_of, source_of
from stream_adapter.events.plain_json import JsonFormat
from stream_adapter.events.times import EventTimes
from stream_adapter.transport.base import Record

Parse = Callable[[Record], ImageEvent]
"""Makes an event of a record; raises an `EventError` that says what is wrong, and which key or header would mend it."""


def event_format(config: EventsConfig, times: EventTimes) -> Parse:
    """The configured format; CloudEvents are read in every one, so that producers can change one after another."""
    cloud_event = partial(parse_image_event, times=times)
    if config.format == "cloudevents":
        return cloud_event
    other = JsonFormat(config, times).parse if config.format == "json" else partial(parse_raw, times=times)
    return lambda record: (cloud_event if is_cloud_event(record) else other)(record)


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
