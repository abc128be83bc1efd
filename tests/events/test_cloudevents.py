import base64
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.errors import EventError, MalformedEvent
from stream_adapter.events import STRUCTURED, ImageEvent, canonical_name, image_event_headers, parse_image_event
from stream_adapter.events.headers import format_time
from stream_adapter.transport.base import UNREADABLE, Headers, Partition, Record

HEADERS = {
    "ce_specversion": "1.0",
    "ce_type": "stream_adapter.image",
    "ce_source": "/camera/1",
    "ce_id": "42",
    "ce_time": "2026-01-02T03:04:05.678Z",
    "ce_label": "dog",
    "content-type": "image/jpeg",
}


WRITTEN_MS = 1_767_323_046_000  # a second after the event
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def record(headers: Headers = (), value: bytes | None = b"picture") -> Record:
    return Record(Partition("images", 0), 7, WRITTEN_MS, b"key", value, headers)


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
    assert parse_image_event(binary(ce_time=None)).time_ms == WRITTEN_MS


def test_no_label_is_an_unlabelled_event() -> None:
    assert parse_image_event(binary(ce_label=None)).label is None


@pytest.mark.parametrize(
    "time", ["2026-01-02t03:04:05.678z", "2026-01-02T04:04:05.678+01:00", " 2026-01-02 03:04:05.678Z"]
)
def test_a_time_may_be_written_in_any_way_of_rfc_3339(time: str) -> None:
    assert parse_image_event(binary(ce_time=time)).time_ms == 1_767_323_045_678


def test_a_leap_second_is_the_one_before_it() -> None:
    read = [parse_image_event(binary(ce_time=f"2016-12-31T23:59:{second}Z")).time_ms for second in (59, 60)]
    assert read[0] == read[1]


@pytest.mark.parametrize("make", [binary, structured])
@pytest.mark.parametrize("label", ["café", "cafe\u0301", " café", "cafe\u0301\t"])
def test_a_label_is_read_in_its_canonical_form(make: Callable[..., Record], label: str) -> None:
    name = "ce_label" if make is binary else "label"
    assert parse_image_event(make(**{name: label})).label == "café"


def test_a_json_object_with_specversion_is_structured_whatever_the_header_says() -> None:
    whole = structured().value
    assert whole is not None
    without_type = json.loads(whole)
    del without_type["datacontenttype"]
    for value in (whole, b"\xef\xbb\xbf " + whole):
        for headers in ((), (("content-type", b"image/png"),), (("content-type", b"application/json"),)):
            assert parse_image_event(record(headers, value)).content_type == "image/jpeg"
    # The Python SDK of 1.x takes the picture's type out of the object, into the header.
    read = parse_image_event(record((("content-type", b"image/png"),), json.dumps(without_type).encode()))
    assert (read.content_type, read.data) == ("image/png", b"picture")


def test_binary_mode_finds_the_type_of_javascript_s_sdk() -> None:
    read = parse_image_event(binary(content_type=None, ce_datacontenttype="image/png"))
    assert read.content_type == "image/png"


@pytest.mark.parametrize(
    "read",
    [
        binary(ce_traceparent=TRACE),
        binary(traceparent=TRACE),
        binary(ce_traceparent=TRACE, traceparent=TRACE.replace("b7", "c8")),
        structured(traceparent=TRACE),
    ],
)
def test_the_trace_is_kept(read: Record) -> None:
    assert parse_image_event(read).traceparent == TRACE


@pytest.mark.parametrize("read", [binary(), binary(traceparent="no trace"), structured(traceparent=5)])
def test_what_is_no_trace_is_none(read: Record) -> None:
    assert parse_image_event(read).traceparent is None


def test_headers_of_other_tools_need_not_be_text() -> None:
    read = binary()
    assert parse_image_event(replace(read, headers=(*read.headers, ("__timestamp", b"\xff\xfe")))).id == "42"


def test_base64_may_be_url_safe_and_broken_into_lines() -> None:
    data = bytes(range(256))
    for encoded in (base64.encodebytes(data), base64.urlsafe_b64encode(data), base64.b64encode(data).rstrip(b"=")):
        assert parse_image_event(structured(data_base64=encoded.decode())).data == data


def content_typed(content_type: str, value: bytes | None) -> Record:
    return record((("content-type", content_type.encode()),), value)


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (binary(ce_id=None), "`id` is missing or empty; send it as the header `ce_id`"),
        (binary(ce_id=""), "`id`"),
        (binary(ce_source=None), "`source`"),
        (binary(ce_type="other"), "'other'"),
        (binary(ce_specversion="0.3"), "'0.3'"),
        (binary(content_type="text/html"), "'text/html'"),
        (binary(content_type=None), "content type ''"),
        (binary(ce_label=" "), "`ce_label` is empty"),
        (binary(ce_time="yesterday"), "'yesterday'"),
        (binary(ce_time="2026-01-02T03:04:05"), "time zone"),
        (binary(content_type="application/x-embedding"), "ce_fingerprint"),
        (record(tuple((name, value.encode()) for name, value in HEADERS.items()), None), "no payload"),
        (record((("ce_id", b"\xff"),)), "not UTF-8"),
        (record(((UNREADABLE, b"torn"), *binary().headers)), "torn"),
        (record(()), "set `events.format: raw`"),
        (record((), b""), "set `events.format: raw`"),
        (
            record((), b'{"id": 7, "image": "aGk="}'),
            "members `id`, `image`, and no CloudEvent; set `events.format: json`",
        ),
        (content_typed("application/json", b"{}"), "members none"),
        (record((), b"{no"), "begins with '{' is not JSON"),
        (structured(data_base64="@@"), "not base64"),
        (structured(data_base64=5), "not base64"),
        (structured(data_base64=None), "no payload"),
        (structured(data_base64=None, data="aGk="), "one in `data`"),
        (structured(id=None), "`id` is missing or empty; send it as the member `id`"),
        (structured(id=7), "`id` must be a string, found 7"),
        (structured(label=["dog"]), "`label` must be a string"),
        (structured(time=1), "`time` must be a string"),
        (structured(id="\ud800"), "half of a surrogate pair"),
        (content_typed(STRUCTURED, b"{"), "not JSON"),
        (content_typed(STRUCTURED, b"[" * 100_000), "not JSON"),
        (content_typed(STRUCTURED, b'{"a":' * 100_000), "not JSON"),
        (content_typed(STRUCTURED, b"[]"), "found list"),
        (content_typed(STRUCTURED, None), "not JSON"),
        (content_typed("application/cloudevents-batch+json", b"[]"), "batched mode"),
        (content_typed("application/cloudevents+avro", b"x"), "send CloudEvents as application/cloudevents+json"),
    ],
)
def test_malformed_events_are_refused_with_the_reason(read: Record, reason: str) -> None:
    with pytest.raises(MalformedEvent) as caught:
        parse_image_event(read)
    assert reason in str(caught.value)


text = st.text(min_size=1).filter(lambda value: value.strip() != "" and "\x00" not in value)


@given(source=text, id=text, label=st.none() | text, time_ms=st.integers(0, WRITTEN_MS))
def test_what_a_producer_sends_is_what_is_read(source: str, id: str, label: str | None, time_ms: int) -> None:
    try:
        headers = image_event_headers(source=source, id=id, content_type="image/png", time_ms=time_ms, label=label)
    except UnicodeEncodeError:  # lone surrogates are no text
        return
    event = parse_image_event(record(headers))
    assert (event.source, event.id, event.time_ms) == (source, id, time_ms)
    assert event.label == (None if label is None else canonical_name(label))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
nearly_an_event = st.fixed_dictionaries(
    {}, optional={name: st.just(value) | anything for name, value in json.loads(structured().value or b"").items()}
)
values = st.none() | st.binary(max_size=200) | nearly_an_event.map(lambda document: json.dumps(document).encode())
some_headers = st.lists(
    st.sampled_from([(name, value.encode()) for name, value in HEADERS.items()])
    | st.tuples(st.sampled_from([*HEADERS, "x", "traceparent", "CE_Time"]), st.binary(max_size=20)),
    max_size=12,
)


@settings(max_examples=500)
@given(value=values, headers=some_headers, timestamp_ms=st.integers(-1, 2**63 - 1))
def test_whatever_comes_is_an_event_that_can_be_answered_or_a_clear_refusal(
    value: bytes | None, headers: list[tuple[str, bytes]], timestamp_ms: int
) -> None:
    try:
        event = parse_image_event(Record(Partition("images", 0), 7, timestamp_ms, b"key", value, tuple(headers)))
    except EventError as error:
        assert str(error)
        return
    assert isinstance(event, ImageEvent)
    assert format_time(event.time_ms)
    assert event.id.encode()
    assert event.source.encode()
