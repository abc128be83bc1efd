import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.drift.confidence_sequence import Interval
from stream_adapter.errors import MalformedEvent
from stream_adapter.events.drift import DriftEvent

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs" / "drift.schema.json").read_text()),
    format_checker=jsonschema.FormatChecker(),
)
HARM = DriftAlarm(
    "harm",
    "house",
    "HarmDetector",
    observed=812,
    labels=300,
    since=300,
    e_value=151.0,
    interval=Interval(-0.12, -0.02, 0.99),
    evidence={"difference": -0.07, "losses": 24.0, "wins": 3.0},
    event_ids=("a", "b"),
)
EVENT = DriftEvent(HARM, 1_700_000_000_123, "worker-0")

counts = st.integers(0, 10**9)
numbers = st.floats(allow_nan=False, allow_infinity=False)
alarms = st.builds(
    DriftAlarm,
    kind=st.sampled_from(
        ["harm", "accuracy", "confidence", "embedding", "label_mix", "new_class", "novelty", "guard", "status"]
    ),
    group=st.text(max_size=20),
    detector=st.text(max_size=10),
    observed=counts,
    labels=counts,
    enough=st.booleans(),
    since=counts,
    e_value=st.none() | st.floats(0.0, 1e300),
    interval=st.none() | st.builds(Interval, numbers, numbers, st.floats(0.0, 1.0)),
    evidence=st.dictionaries(st.text(max_size=10), numbers, max_size=4),
    event_ids=st.lists(st.text(max_size=10), max_size=20).map(tuple),
    action=st.sampled_from(["none", "lowered", "raised"]),
)


@pytest.mark.parametrize("wrong", ["9" * 400, "1e400", "NaN", "-Infinity"])
@pytest.mark.parametrize("place", ['"e_value": 151.0', '"difference": -0.07', '"low": -0.12'])
def test_a_number_that_is_none_is_refused(place: str, wrong: str) -> None:
    record = EVENT.to_record()
    value = (record.value or b"").decode()
    assert place in value
    with pytest.raises(MalformedEvent, match="must be a number, found"):
        DriftEvent.from_record(value.replace(place, f"{place.partition(':')[0]}: {wrong}").encode(), record.headers)


@settings(deadline=None)
@given(alarms, st.integers(0, 4_000_000_000_000), st.text(max_size=10))
def test_comes_back_as_it_went(alarm: DriftAlarm, time_ms: int, source: str) -> None:
    event = DriftEvent(alarm, time_ms, source)
    record = event.to_record()
    SCHEMA.validate(json.loads(record.value or b""))
    assert DriftEvent.from_record(record.value, record.headers) == event


def test_is_a_cloud_event_on_the_drift_channel() -> None:
    record = EVENT.to_record()
    headers = {name: value.decode() for name, value in record.headers}
    assert (record.channel, record.key) == ("drift", b"house")
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_type"] == "stream_adapter.drift"
    assert headers["ce_source"] == "worker-0"
    assert headers["ce_time"] == "2023-11-14T22:13:20.123Z"
    assert headers["ce_subject"] == "house"
    assert len(headers["ce_id"]) == 32


def test_the_same_event_has_the_same_id_and_another_worker_s_has_another() -> None:
    ids = [dict(event.to_record().headers)["ce_id"] for event in (EVENT, EVENT, DriftEvent(HARM, EVENT.time_ms, "w1"))]
    assert ids[0] == ids[1] != ids[2]


def test_overwhelming_evidence_is_still_json() -> None:
    alarm = DriftAlarm("embedding", "overall", "EmbeddingShift", observed=1, e_value=math.inf)
    assert json.loads(DriftEvent(alarm, 0, "w").to_record().value or b"")["e_value"] == 1e300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "weather"}, "`kind` must be one of harm"),
        ({"action": None}, "`action` must be one of none"),
        ({"observed": True}, "`observed` must be int, found True"),
        ({"labels": "3"}, "`labels` must be int, found '3'"),
        ({"interval": [1, 2]}, "`interval` must be an object or null"),
        ({"interval": {"low": 0}}, "`high` must be a number, found None"),
        ({"evidence": {"x": "much"}}, "`x` must be a number"),
        ({"time": "yesterday"}, "not an RFC 3339 time"),
    ],
)
def test_what_is_no_drift_event_is_refused(change: dict[str, Any], message: str) -> None:
    record = EVENT.to_record()
    value = json.dumps({**EVENT.to_json(), **change}).encode()
    with pytest.raises(MalformedEvent, match=message):
        DriftEvent.from_record(value, record.headers)


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(value: bytes | None) -> None:
    with pytest.raises(MalformedEvent):
        DriftEvent.from_record(value, EVENT.to_record().headers)


def test_another_event_type_is_refused() -> None:
    with pytest.raises(MalformedEvent, match=r"stream_adapter\.image"):
        DriftEvent.from_record(EVENT.to_record().value, (("ce_type", b"stream_adapter.image"),))
