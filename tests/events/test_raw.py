import pytest

from stream_adapter.config import EventsConfig
from stream_adapter.errors import EventError, MalformedEvent
from stream_adapter.events import EventTimes
from stream_adapter.events.wire_format import event_format
from stream_adapter.transport.base import UNREADABLE, Headers, Partition, Record
from tests.events.test_cloudevents import TRACE, binary

RAW = event_format(EventsConfig(format="raw"), EventTimes())
JPEG = b"\xff\xd8\xff\xe0picture"


def record(value: bytes | None, headers: Headers = (), topic: str = "camera pictures") -> Record:
    return Record(Partition(topic, 3), 17, 1_700_000_000_000, b"key", value, headers)


def test_a_picture_alone_is_known_by_its_place() -> None:
    event = RAW(record(JPEG))
    assert (event.source, event.id) == ("camera%20pictures", "camera pictures-3@17")
    assert (event.data, event.content_type, event.label) == (JPEG, "", None)
    assert event.time_ms == 1_700_000_000_000


def test_two_pictures_are_two_events() -> None:
    assert RAW(record(JPEG)).anchor_id != RAW(record(JPEG, topic="other")).anchor_id


@pytest.mark.parametrize(
    ("said", "kept"),
    [(b"Image/PNG; x=y", "image/png"), (b"application/json", ""), (b"application/x-embedding", ""), (b"\xff", "")],
)
def test_only_a_picture_s_content_type_is_believed(said: bytes, kept: str) -> None:
    assert RAW(record(JPEG, (("Content-Type", said),))).content_type == kept


def test_the_trace_is_kept() -> None:
    assert RAW(record(JPEG, (("traceparent", TRACE.encode()),))).traceparent == TRACE


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (record(None), "no value"),
        (record(b' {"id": 7}'), "set `events.format: json`"),
        (record(None, ((UNREADABLE, b"torn"),)), "torn"),
    ],
)
def test_what_is_no_picture_is_refused(read: Record, reason: str) -> None:
    with pytest.raises(MalformedEvent, match=reason):
        RAW(read)


def test_a_cloud_event_is_read_as_such() -> None:
    assert RAW(binary()).label == "dog"
    with pytest.raises(EventError, match="`id`"):  # it says that it is one
        RAW(binary(ce_id=None))
