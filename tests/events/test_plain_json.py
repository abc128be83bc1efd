import base64
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.config import EventsConfig, FieldsConfig
from stream_adapter.errors import EventError, MalformedEvent
from stream_adapter.events import EMBEDDING, EventTimes, ImageEvent
from stream_adapter.events.headers import format_time
from stream_adapter.events.wire_format import event_format
from stream_adapter.transport.base import UNREADABLE, Headers, Partition, Record
from tests.events.test_cloudevents import TRACE, anything, binary, structured

PICTURE = base64.b64encode(b"picture").decode()
PLAIN = {"id": 7, "image": PICTURE, "label": "cat"}
WRITTEN_MS = 1_767_323_046_000
ALL = {"id": "id", "source": "camera.name", "time": "at", "label": "labels.0", "picture": "image"}


def record(value: Any, headers: Headers = ()) -> Record:
    body = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return Record(Partition("images", 3), 17, WRITTEN_MS, b"key", body, headers)


def read(document: Any, time_unit: Any = "ms", **fields: str) -> ImageEvent:
    config = EventsConfig(format="json", fields=FieldsConfig(**fields), time_unit=time_unit)
    return event_format(config, EventTimes())(record(document))


def test_fields_are_found_by_their_paths() -> None:
    document = {**PLAIN, "camera": {"name": "/gate"}, "at": "2026-01-02T03:04:05Z", "labels": ["cafe\u0301 "]}
    event = read(document, **ALL)
    assert (event.id, event.source, event.label) == ("7", "/gate", "café")
    assert (event.data, event.content_type, event.time_ms) == (b"picture", "", 1_767_323_045_000)


def test_what_has_no_path_is_taken_from_the_record() -> None:
    event = read(PLAIN, picture="image")
    assert (event.id, event.source, event.label, event.time_ms) == ("images-3@17", "images", None, WRITTEN_MS)


@pytest.mark.parametrize("label", [None, "", "  "])
def test_an_empty_label_is_none(label: str | None) -> None:
    assert read({**PLAIN, "label": label}, picture="image", label="label").label is None
    assert read({"image": PICTURE}, picture="image", label="label").label is None


def test_a_json_pointer_reaches_names_with_dots_and_slashes() -> None:
    assert read({"a.b": {"c/d~e": [0, PICTURE]}}, picture="/a.b/c~1d~0e/1").data == b"picture"


def test_a_data_url_says_its_type() -> None:
    event = read({"image": f"data:image/PNG;base64,{PICTURE}"}, picture="image")
    assert (event.data, event.content_type) == (b"picture", "image/png")


@pytest.mark.parametrize(
    ("unit", "at"), [("ms", 1_767_323_045_678), ("s", 1_767_323_045.678), ("s", "2026-01-02t03:04:05.678z")]
)
def test_a_time_is_a_text_or_a_number(unit: str, at: object) -> None:
    assert read({**PLAIN, "at": at}, unit, picture="image", time="at").time_ms == 1_767_323_045_678


def test_a_vector_is_a_list_of_numbers() -> None:
    event = read({"v": [1, 0.5, -0.25], "model": "f00d"}, vector="v", fingerprint="model")
    assert (event.content_type, event.fingerprint) == (EMBEDDING, "f00d")
    assert np.frombuffer(event.data, "<f4").tolist() == [1.0, 0.5, -0.25]
    huge = read({"v": [1e300], "model": "f00d"}, vector="v", fingerprint="model")
    assert math.isinf(np.frombuffer(huge.data, "<f4")[0])  # refused by the encoder, as not finite


def test_the_trace_is_kept() -> None:
    form = event_format(EventsConfig(format="json", fields=FieldsConfig(picture="image")), EventTimes())
    assert form(record(PLAIN, (("traceparent", TRACE.encode()),))).traceparent == TRACE


def test_cloud_events_are_read_as_such() -> None:
    form = event_format(EventsConfig(format="json", fields=FieldsConfig(picture="image")), EventTimes())
    assert form(binary()).label == "dog"
    assert form(structured()).label == "dog"
    with pytest.raises(MalformedEvent, match="torn"):
        form(record(None, ((UNREADABLE, b"torn"),)))


@pytest.mark.parametrize(
    ("document", "fields", "reason"),
    [
        (None, {}, "found no value"),
        (b"\xff\xd8", {}, "set `events.format: raw`"),
        (b"[]", {}, "asks for a JSON object"),
        (b"{", {}, "not JSON"),
        (b'{"image": ' * 50_000, {}, "not JSON"),
        ({"id": 7, "img": ""}, {}, "`image` (`events.fields.picture`) is missing; the JSON object has `id`, `img`"),
        ({}, {}, "has no member"),
        ({"image": 5}, {}, "`image` (`events.fields.picture`) is not base64: must be a string, found 5"),
        ({"image": "@@"}, {}, "not base64"),
        ({"image": "s3://bucket/cat.jpg"}, {}, "is a reference"),
        ({"image": "data:image/svg+xml,<svg>"}, {}, "data: URL without base64"),
        (PLAIN, {"id": "nr"}, "`nr` (`events.fields.id`) is missing"),
        ({**PLAIN, "id": ""}, {"id": "id"}, "`id` (`events.fields.id`) is empty"),
        ({**PLAIN, "id": True}, {"id": "id"}, "must be a string, found True"),
        ({**PLAIN, "id": 1.5}, {"id": "id"}, "must be a string, found 1.5"),
        ({**PLAIN, "id": "\ud800"}, {"id": "id"}, "half of a surrogate pair"),
        ({**PLAIN, "label": 3}, {"label": "label"}, "`label` (`events.fields.label`) must be a string, found 3"),
        ({**PLAIN, "at": "noon"}, {"time": "at"}, "`at` (`events.fields.time`) 'noon' is not an RFC 3339 time"),
        ({**PLAIN, "at": []}, {"time": "at"}, "must be an RFC 3339 time or a number"),
        ({**PLAIN, "at": 1_767_323_045}, {"time": "at"}, "then set `events.time_unit: s`"),
        ({**PLAIN, "at": 1e300}, {"time": "at"}, "no time"),
        ({**PLAIN, "at": math.nan}, {"time": "at"}, "no time"),
    ],
)
def test_what_cannot_be_read_names_the_key_that_would_mend_it(document: Any, fields: Any, reason: str) -> None:
    with pytest.raises(MalformedEvent) as caught:
        read(document, picture="image", **fields)
    assert reason in str(caught.value)


@pytest.mark.parametrize("vector", ["1 2", [[1]], [True], ["1"], [None], [10**400], [1] * 65_537])
def test_what_is_no_vector_is_refused(vector: object) -> None:
    with pytest.raises(MalformedEvent, match=r"`v` \(`events.fields.vector`\)"):
        read({"v": vector, "model": "f00d"}, vector="v", fingerprint="model")


members = dict.fromkeys(("id", "camera", "at", "labels", "image", "v", "model"), anything)
documents = st.fixed_dictionaries(
    {},
    optional={
        **members,
        "image": st.just(PICTURE) | anything,
        "camera": st.fixed_dictionaries({}, optional={"name": anything}),
        "labels": st.lists(anything, max_size=2),
        "v": st.lists(st.integers() | st.floats(), max_size=3) | anything,
    },
)


@settings(max_examples=500)
@given(
    value=documents.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=100) | st.none(),
    vector=st.booleans(),
    unit=st.sampled_from(["ms", "s"]),
)
def test_whatever_comes_is_an_event_that_can_be_answered_or_a_clear_refusal(
    value: bytes | None, vector: bool, unit: Any
) -> None:
    fields = {**ALL, "vector": "v", "fingerprint": "model"} if vector else ALL
    if vector:
        del fields["picture"]
    try:
        event = read(value, unit, **fields)
    except EventError as error:
        assert str(error).encode()
        return
    assert event.id
    assert event.source.encode()
    assert format_time(event.time_ms)
    assert isinstance(event.data, bytes)
