import contextlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.config import EventsConfig, LabelsConfig
from stream_adapter.config.sections import LabelFieldsConfig
from stream_adapter.errors import EventError, MalformedEvent
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent, PlainLabels, parse_label_event
from stream_adapter.events.waiting import LabelRecord, WaitingEvent
from stream_adapter.transport.base import Partition, Record
from tests.events.test_schemas import texts, validator
from tests.fakes import unit
from tests.transport.strategies import RECORDS

LABEL = validator("label-event")
NAMES = texts.filter(lambda text: text.strip() != "" and text == text.strip())
EVENTS = st.builds(
    LabelEvent.new,
    source=texts,
    id=texts,
    label=st.none() | st.sampled_from(["cat", "Café"]),
    time_ms=st.integers(0, 10**12),
    annotator=st.none() | texts,
    reference=st.sampled_from([None, "s3://shelves/1.jpg"]),
)


def structured(event: LabelEvent, **changes: Any) -> Record:
    record = event.to_record()
    document = {name.removeprefix("ce_"): value.decode() for name, value in record.headers if name.startswith("ce_")}
    document["data"] = json.loads(record.value or b"")
    return replace(record, headers=(), value=json.dumps(document | changes).encode())


@given(event=EVENTS)
def test_it_is_read_back_in_both_modes_and_fits_the_schema(event: LabelEvent) -> None:
    record = event.to_record()
    LABEL.validate(json.loads(record.value or b""))
    for read in (parse_label_event(record), parse_label_event(structured(event))):
        assert read == event
        assert read.anchor_id == anchor_id_of(event.event_source, event.event_id)


@given(record=RECORDS)
def test_whatever_comes_is_a_label_or_refused(record: Record) -> None:
    try:
        parse_label_event(record)
    except EventError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": ""}, "`source` of the image event"),
        ({"id": 7}, "`id` must be a string"),
        ({"label": " "}, "null withdraws"),
        ({"time": "yesterday"}, "not an RFC 3339"),
        ({"annotator": ["me"]}, "`annotator` must be"),
        ({"reference": "file:///../etc/passwd"}, "reference"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], says: str) -> None:
    record = LabelEvent.new("/camera", "1", "cat", time_ms=5).to_record()
    value = json.dumps(json.loads(record.value or b"") | change).encode()
    with pytest.raises(MalformedEvent, match=says):
        parse_label_event(replace(record, value=value))


PLAIN = {"review": {"class": "cat", "by": "ann"}, "picture": {"nr": 7}, "at": 1_767_323_045_678}
PATHS = {"id": "picture.nr", "label": "/review/class", "annotator": "review.by", "time": "at", "source": "camera"}
CONFIG = LabelsConfig(fields=LabelFieldsConfig(**PATHS), source="/gate")


def plain(document: Any) -> Record:
    return Record(Partition("reviews", 2), 5, 1_767_323_050_000, None, json.dumps(document).encode())


def test_plain_json_is_read_by_its_paths() -> None:
    event = parse_label_event(plain(PLAIN), plain=PlainLabels(CONFIG))
    assert (event.event_source, event.event_id, event.label, event.annotator) == ("/gate", "7", "cat", "ann")
    assert (event.time_ms, event.source, event.id) == (1_767_323_045_678, "reviews", "reviews-2@5")
    event = parse_label_event(
        plain(PLAIN | {"camera": "/7", "at": 12.5}), plain=PlainLabels(CONFIG, EventsConfig(time_unit="s"))
    )
    assert (event.event_source, event.time_ms) == ("/7", 12_500)
    withdrawn = parse_label_event(plain(PLAIN | {"review": {"class": None}, "at": None}), plain=PlainLabels(CONFIG))
    assert (withdrawn.label, withdrawn.annotator, withdrawn.time_ms) == (None, None, 1_767_323_050_000)
    usual = parse_label_event(plain({"source": "/gate", "id": "7", "label": "cat", "forget": True}))
    assert (usual.event_source, usual.label, usual.forget) == ("/gate", "cat", False)
    by_its_own = LabelEvent.new("/gate", "7", "dog", time_ms=5)
    for record in (by_its_own.to_record(), structured(by_its_own)):
        assert parse_label_event(record, plain=PlainLabels(CONFIG)) == by_its_own, "CloudEvents are read as such"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"review": {}}, "`label` is missing"),  # which does not withdraw one
        ({"review": {"class": ["cat"]}}, "`label` must be a string"),
        ({"picture": {"nr": True}}, r"`picture.nr` \(`labels.fields.id`\) must be a string"),
        ({"picture": {}}, "`id` of the image event is missing"),
        ({"at": "noon"}, "not an RFC 3339"),
        ({"at": 5}, "set `events.time_unit: s`"),
    ],
)
def test_what_is_wrong_with_plain_json_is_said(change: dict[str, Any], says: str) -> None:
    with pytest.raises(MalformedEvent, match=says):
        parse_label_event(plain(PLAIN | change), plain=PlainLabels(CONFIG))


@given(
    document=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda of: (
            st.lists(of)
            | st.dictionaries(st.sampled_from([*"0a", "picture", "nr", "review", "class", "at", "camera"]), of)
        ),
    )
)
def test_whatever_plain_json_says_is_a_label_or_refused(document: Any) -> None:
    with contextlib.suppress(MalformedEvent):
        assert parse_label_event(plain(document), plain=PlainLabels(CONFIG)).event_id


def test_a_label_that_is_missing_does_not_withdraw_one() -> None:
    record = LabelEvent.new("/camera", "1", None, time_ms=5).to_record()
    data = json.loads(record.value or b"")
    assert parse_label_event(record).label is None
    del data["label"]
    with pytest.raises(MalformedEvent, match="null withdraws"):
        parse_label_event(replace(record, value=json.dumps(data).encode()))


def test_of_two_times_the_datas_own_counts() -> None:
    event = LabelEvent.new("/camera", "1", "cat", time_ms=5_000)
    record = replace(event.to_record(), timestamp_ms=9_000_000)
    assert parse_label_event(record).time_ms == 5_000
    data = {name: value for name, value in json.loads(record.value or b"").items() if name != "time"}
    headers = tuple((n, b"1970-01-01T00:00:07Z" if n == "ce_time" else v) for n, v in record.headers)
    record = replace(record, value=json.dumps(data).encode(), headers=headers)
    assert parse_label_event(record).time_ms == 7_000
    record = replace(record, headers=tuple((n, v) for n, v in headers if n != "ce_time"))
    assert parse_label_event(record).time_ms == 9_000_000


@given(event=EVENTS, tested=st.booleans())
def test_what_became_of_it_is_read_back(event: LabelEvent, tested: bool) -> None:
    label = LabelRecord(event, ("labels", 2, 7), "scored", "canary", tested, "worker-1", 99)
    assert LabelRecord.from_value(label.to_value()) == label


def waiting_event(**changes: Any) -> WaitingEvent:
    vector = unit(np.random.default_rng(3).normal(size=16)).astype(np.float16).astype(np.float32)
    given = {
        "source": "/camera",
        "id": "zwölf",
        "time_ms": 12,
        "topic": "images",
        "partition": 3,
        "offset": 40,
        "fingerprint": "f",
        "vocabulary": "v",
        "adapted": ("cat", 0.75),
        "zero_shot": ("dog", 0.5),
        "undamped": "cat",
        "reference": "s3://shelves/1.jpg",
        "anchored": b"\n\x00\xff",
        "vector": unit(vector),
    }
    return WaitingEvent(**{**given, **changes})


def test_a_waiting_event_is_read_back() -> None:
    event = waiting_event()
    read = WaitingEvent.from_value(event.to_value())
    assert read.to_value() == event.to_value()
    assert (read.adapted, read.anchored, read.id, read.offset) == (("cat", 0.75), b"\n\x00\xff", "zwölf", 40)


def test_it_is_as_large_as_the_documentation_says() -> None:
    vector = unit(np.ones(512)).astype(np.float16).astype(np.float32)
    event = waiting_event(vector=vector, source="/camera/" + "7" * 20, id="0" * 36, anchored=bytes(125))
    assert len(event.to_value()) < 1_600, "at d = 512 and with 1,000 classes"


@given(value=st.binary(max_size=80) | st.binary(max_size=40).map(lambda end: waiting_event().to_value()[:-5] + end))
def test_whatever_is_in_its_place_is_refused(value: bytes) -> None:
    for kind in (WaitingEvent, LabelRecord):
        try:
            kind.from_value(value)
        except MalformedEvent as error:
            assert str(error)


@pytest.mark.parametrize("name", ["time_ms", "partition", "offset", "source", "adapted", "reference"])
@pytest.mark.parametrize("wrong", ["Infinity", "9" * 20, "9" * 400, "[1]", '"\\ud800"', "null"])
def test_a_waiting_event_holds_what_can_be_written_again(name: str, wrong: str) -> None:
    line, _, vector = waiting_event().to_value().partition(b"\n")
    given = json.loads(line) | {name: "?"}
    with pytest.raises(MalformedEvent, match="not a waiting event"):
        WaitingEvent.from_value(json.dumps(given).replace('"?"', wrong).encode() + b"\n" + vector)


@pytest.mark.parametrize("wrong", ["1e400", "9" * 20, "[1]", '"\\ud800"', "null"])
@pytest.mark.parametrize("path", ["at_ms", "place", "state", "event", "event.time_ms", "event.event_source", "worker"])
def test_a_label_s_state_holds_what_can_be_written_again(path: str, wrong: str) -> None:
    given = json.loads(
        LabelRecord(LabelEvent.new("/s", "1", "cat"), ("t", 0, 1), "waiting", "", False, "w", 9).to_value()
    )
    inner = given["event"] if path.startswith("event.") else given
    inner[path.rpartition(".")[2]] = "?"
    with pytest.raises(MalformedEvent, match="not a label's state"):
        LabelRecord.from_value(json.dumps(given).replace('"?"', wrong).encode())


def test_a_place_is_a_partition() -> None:
    assert LabelEvent.new("/camera", "1", "cat", time_ms=5).to_record("mine").partition == Partition("mine", 0)


@pytest.mark.parametrize("part", ["source", "id", "label", "annotator", "sender", "reference"])
@pytest.mark.parametrize(("text", "said"), [("\udcff", "is no text"), ("x" * 8_193, "has 8193 bytes, more than 8192")])
def test_what_no_reader_would_take_is_not_sent(part: str, text: str, said: str) -> None:
    parts: dict[str, Any] = {"source": "/camera", "id": "1", "label": "cat", part: text}
    with pytest.raises(MalformedEvent, match=f"`{part}` {said}"):
        LabelEvent.new(**parts)


def test_a_label_of_several_lines_is_not_sent() -> None:
    with pytest.raises(MalformedEvent, match="`label` holds control characters"):
        LabelEvent.new("/camera", "1", "cat\n2,dog")


def test_whoever_forgets_may_name_a_longer_id() -> None:
    assert LabelEvent.new("/camera", "x" * 8_193, None, forget=True).forget
