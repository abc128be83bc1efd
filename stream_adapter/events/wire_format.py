"""Which form the records of the images topic have, and the one place where it is chosen."""

from collections.abc import Callable
from functools import partial

from stream_adapter.config import EventsConfig
from stream_adapter.events.cloudevents import is_cloud_event, parse_image_event
from stream_adapter.events.image import ImageEvent
from stream_adapter.events.plain_json import JsonFormat
from stream_adapter.events.raw import parse_raw
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
