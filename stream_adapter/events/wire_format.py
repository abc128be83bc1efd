"""Which form the records of the images topic have, and the one place where it is chosen."""

from typing import Protocol

from stream_adapter.config import EventsConfig
from stream_adapter.events.cloudevents import CloudEventsFormat, is_cloud_event
from stream_adapter.events.image import ImageEvent
from stream_adapter.events.plain_json import JsonFormat
from stream_adapter.events.raw import RawFormat
from stream_adapter.events.times import EventTimes
from stream_adapter.transport.base import Record


class EventFormat(Protocol):
    """How a record becomes an event."""

    def parse(self, record: Record) -> ImageEvent:
        """Read an image event.

        Raises:
            EventError: it cannot be read; the message says what is wrong, and which key or header would mend it.
        """


def event_format(config: EventsConfig, times: EventTimes) -> EventFormat:
    """The configured format; CloudEvents are read in every one, so that producers can change one after another."""
    cloud_events = CloudEventsFormat(times)
    if config.format == "json":
        return _CloudEventsAmong(cloud_events, JsonFormat(config, times))
    if config.format == "raw":
        return _CloudEventsAmong(cloud_events, RawFormat(times))
    return cloud_events


class _CloudEventsAmong:
    """Records that say they are CloudEvents as such, all others in another format."""

    def __init__(self, cloud_events: EventFormat, others: EventFormat) -> None:
        self._cloud_events = cloud_events
        self._others = others

    def parse(self, record: Record) -> ImageEvent:
        return (self._cloud_events if is_cloud_event(record) else self._others).parse(record)
