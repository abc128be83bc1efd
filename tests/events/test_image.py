import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.errors import MalformedEvent
from stream_adapter.events import STRUCTURED, ImageEvent, image_event_headers, parse_image_event
from stream_adapter.transport.base import Headers, Partition, Record

HEADERS = {
    "ce_specversion": "1.0",
    "ce_type": "stream_adapter.image",
    "ce_source": "/camera/1",
    "ce_id": "42",
    "ce_time": "2026-01-02T03:04:05.678Z",
    "ce_label": "dog",
    "content-type": "image/jpeg",
}


def record(headers: Headers = (), value: bytes | None = b"picture") -> Record:
    return Record(Partition("images", 0), 7, 1_000, b"key", value, headers)


def binary(**changes: str | None) -> Record:
    merged = {**HEADERS, **{name.replace("content_type", "content-type"): value for name, value in changes.items()}}
    return record(tuple((name, value.encode()) for name, value in merged.items() if value is not None))


def structured(**changes: object) -> Record:
    document = {
        "specversion": "1.0",
        "type": "stream_adapter.image",
        "source": "/camera/1",
        "id": "42",
        "time": "2026-01-02T03:04:05.678Z",
        "label": "dog",
        "datacontenttype": "image/jpeg",
        "data_base64": base64.b64encode(b"picture").decode(),
        **changes,
    }
    body = json.dumps({name: value for name, value in document.items() if value is not None}).encode()
    return record((("content-type", STRUCTURED.encode()),), body)


@pytest.mark.parametrize("read", [binary(), structured()], ids=["binary", "structured"])
def test_both_modes_say_the_same(read: Record) -> None:
    event = parse_image_event(read)
    assert (event.source, event.id, event.label) == ("/camera/1", "42", "dog")
    assert (event.content_type, event.data) == ("image/jpeg", b"picture")
    assert event.time_ms == 1_767_323_045_678


def test_no_time_takes_the_records_own() -> None:
    assert parse_image_event(binary(ce_time=None)).time_ms == 1_000


def test_no_label_is_an_unlabelled_event() -> None:
    assert parse_image_event(binary(ce_label=None)).label is None


@pytest.mark.parametrize(
    "content_type",
    ["image/*", "Image/X-PNG; q=1", "image/gif", "image/whatever", "application/octet-stream", "binary/octet-stream"],
)
def test_whatever_may_be_a_picture_is_read_as_one(content_type: str) -> None:
    for event in (binary(content_type=content_type), structured(datacontenttype=content_type)):
        assert parse_image_event(event).data == b"picture"


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (binary(ce_id=None), "`id`"),
        (binary(ce_id=""), "`id`"),
        (binary(ce_source=None), "`source`"),
        (binary(ce_type="other"), "'other'"),
        (binary(ce_specversion="0.3"), "'0.3'"),
        (binary(content_type="text/html"), "'text/html'"),
        (binary(content_type="image"), "'image' is neither a picture's"),
        (binary(content_type=None), "content type ''"),
        (binary(ce_label=" "), "`ce_label` is empty"),
        (binary(ce_time="yesterday"), "'yesterday'"),
        (binary(ce_time="2026-01-02T03:04:05"), "time zone"),
        (binary(content_type="application/x-embedding"), "ce_fingerprint"),
        (record(tuple((name, value.encode()) for name, value in HEADERS.items()), None), "no payload"),
        (record((("ce_id", b"\xff"),)), "not UTF-8"),
        (record(()), "`id`"),
        (structured(data_base64="@@"), "not base64"),
        (structured(data_base64=5), "not base64"),
        (structured(data_base64=None), "no payload"),
        (structured(id=None), "`id`"),
        (record((("content-type", STRUCTURED.encode()),), b"{"), "not JSON"),
        (record((("content-type", STRUCTURED.encode()),), b"[" * 100_000), "not JSON"),
        (record((("content-type", STRUCTURED.encode()),), b'{"a":' * 100_000), "not JSON"),
        (record((("content-type", STRUCTURED.encode()),), b"[]"), "found list"),
        (record((("content-type", STRUCTURED.encode()),), None), "not JSON"),
    ],
)
def test_malformed_events_are_refused_with_the_reason(read: Record, reason: str) -> None:
    with pytest.raises(MalformedEvent) as caught:
        parse_image_event(read)
    assert reason in str(caught.value)


text = st.text(min_size=1).filter(lambda value: value.strip() != "" and "\x00" not in value)


@given(source=text, id=text, label=st.none() | text, time_ms=st.integers(0, 4_102_444_800_000))
def test_what_a_producer_sends_is_what_is_read(source: str, id: str, label: str | None, time_ms: int) -> None:
    try:
        headers = image_event_headers(source=source, id=id, content_type="image/png", time_ms=time_ms, label=label)
    except UnicodeEncodeError:  # lone surrogates are no text
        return
    event = parse_image_event(record(headers))
    assert (event.source, event.id, event.label, event.time_ms) == (source, id, label, time_ms)


@given(
    value=st.binary(max_size=200), headers=st.lists(st.tuples(st.sampled_from([*HEADERS, "x"]), st.binary(max_size=20)))
)
def test_arbitrary_bytes_are_an_event_or_a_clear_refusal(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    try:
        assert isinstance(parse_image_event(record(tuple(headers), value)), ImageEvent)
    except MalformedEvent as error:
        assert str(error)


def test_anchor_id_depends_on_identity_alone() -> None:
    first = parse_image_event(binary())
    assert first.anchor_id == parse_image_event(binary(ce_label="cat")).anchor_id
    assert first.anchor_id != parse_image_event(binary(ce_id="43")).anchor_id
    # ("a", "bc") and ("ab", "c") are different events.
    assert (
        parse_image_event(binary(ce_source="a", ce_id="bc")).anchor_id
        != parse_image_event(binary(ce_source="ab", ce_id="c")).anchor_id
    )
    assert len(first.anchor_id) == 32
