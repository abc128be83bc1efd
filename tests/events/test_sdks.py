"""CloudEvents' own SDKs: what they send is read, and what a worker writes they read.

The package `cloudevents` 2.x holds both interfaces of Python's SDK: 1.x as `cloudevents.v1`, 2.x as `cloudevents.core`.
JavaScript's SDK is asked through Node, where `npm install` was run in `tests/events/javascript`; Go's, with Sarama's
messages, where `go build -o sdk .` was run in `tests/events/go`.
"""

import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings import kafka as kafka2
from cloudevents.core.v1.event import CloudEvent as CloudEvent2
from cloudevents.v1.http import CloudEvent as CloudEvent1
from cloudevents.v1.kafka import KafkaMessage as KafkaMessage1
from cloudevents.v1.kafka import from_binary as from_binary1
from cloudevents.v1.kafka import to_binary as to_binary1
from cloudevents.v1.kafka import to_structured as to_structured1

from stream_adapter.events import parse_image_event, prediction_record
from stream_adapter.transport.base import OutRecord, Partition, Record
from tests.events.test_cloudevents import TRACE, WRITTEN_MS, binary
from tests.events.test_drift import EVENT as DRIFT
from tests.events.test_prediction import DOCUMENT

ROOT = Path(__file__).parents[2]
JAVASCRIPT = ROOT / "tests/events/javascript"
GO = ROOT / "tests/events/go/sdk"
PICTURE = b"\xff\xd8\xff\xe0picture"
TIME = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
ATTRIBUTES = {
    "id": "42",
    "source": "/camera/1",
    "type": "stream_adapter.image",
    "datacontenttype": "image/jpeg",
    "label": "dog",
    "traceparent": TRACE,
    "partitionkey": "k",
}
PREDICTED = prediction_record(parse_image_event(binary(ce_traceparent=TRACE)), DOCUMENT)


def record(headers: dict[str, bytes], value: bytes) -> Record:
    return Record(Partition("images", 0), 7, WRITTEN_MS, b"k", value, tuple(headers.items()))


def as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def sent_by_1(convert: Any) -> Record:
    event = CloudEvent1({**ATTRIBUTES, "specversion": "1.0", "time": TIME.isoformat()}, PICTURE)
    message = convert(event, data_marshaller=lambda data: data)
    return record(message.headers, as_bytes(message.value))


def sent_by_2(convert: Any) -> Record:
    message = convert(CloudEvent2({**ATTRIBUTES, "specversion": "1.0", "time": TIME}, PICTURE))
    return record(message.headers, as_bytes(message.value))


def check_read(read: Record) -> None:
    event = parse_image_event(read)
    assert (event.id, event.source, event.label) == ("42", "/camera/1", "dog")
    assert (event.content_type, event.data, event.traceparent) == ("image/jpeg", PICTURE, TRACE)
    assert event.time_ms == round(TIME.timestamp() * 1e3)


@pytest.mark.parametrize(
    "read",
    [
        sent_by_1(to_binary1),
        sent_by_1(to_structured1),
        sent_by_2(kafka2.to_binary_event),
        sent_by_2(kafka2.to_structured_event),
    ],
    ids=["1.x binary", "1.x structured", "2.x binary", "2.x structured"],
)
def test_what_python_s_sdk_sends_is_read(read: Record) -> None:
    check_read(read)


def check_attributes(found: dict[str, Any], written: OutRecord) -> None:
    headers = {name: value.decode() for name, value in written.headers if name.startswith("ce_")}
    expected = {name.removeprefix("ce_"): value for name, value in headers.items()}
    assert {name: str(found[name]) for name in expected if name != "time"} == {
        name: value for name, value in expected.items() if name != "time"
    }
    assert found["datacontenttype"] == "application/json"


WRITTEN = pytest.mark.parametrize("written", [PREDICTED, DRIFT.to_record()], ids=["prediction", "drift"])


@WRITTEN
def test_what_a_worker_writes_python_s_sdk_1_reads(written: OutRecord) -> None:
    assert written.key and written.value
    event = from_binary1(KafkaMessage1(dict(written.headers), written.key, written.value))
    check_attributes(dict(event.get_attributes()), written)
    assert event.get_data() == json.loads(written.value)


@WRITTEN
def test_what_a_worker_writes_python_s_sdk_2_reads(written: OutRecord) -> None:
    assert written.key and written.value
    event = kafka2.from_binary_event(kafka2.KafkaMessage(dict(written.headers), written.key, written.value))
    check_attributes(event.get_attributes(), written)
    assert event.get_data() == json.loads(written.value)


def javascript(task: str, given: dict[str, Any]) -> Any:
    """Ask JavaScript's SDK."""
    node = shutil.which("node")
    if node is None or not (JAVASCRIPT / "node_modules" / "cloudevents").is_dir():
        pytest.skip(f"no JavaScript SDK here: run `npm install` in {JAVASCRIPT.relative_to(ROOT)}")
    done = subprocess.run(
        [node, "sdk.mjs", task], cwd=JAVASCRIPT, input=json.dumps(given), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_what_javascript_s_sdk_sends_is_read(mode: str) -> None:
    given = {**ATTRIBUTES, "time": TIME.isoformat(), "data_base64": base64.b64encode(PICTURE).decode()}
    message = javascript(mode, given)
    headers = {name: value.encode() for name, value in message["headers"].items()}
    check_read(record(headers, base64.b64decode(message["value"])))


@WRITTEN
def test_what_a_worker_writes_javascript_s_sdk_reads(written: OutRecord) -> None:
    assert written.key and written.value
    headers = {name: value.decode() for name, value in written.headers}
    event = javascript("read", {"headers": headers, "key": written.key.decode(), "value": written.value.decode()})
    check_attributes(event, written)
    assert event["data"] == json.loads(written.value)


def go(task: str, given: dict[str, Any]) -> Any:
    """Ask Go's SDK."""
    if not GO.exists():
        pytest.skip(f"no Go SDK here: run `go build -o sdk .` in {GO.parent.relative_to(ROOT)}")
    done = subprocess.run([GO, task], input=json.dumps(given), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_what_go_s_sdk_sends_is_read(mode: str) -> None:
    message = go(mode, {**ATTRIBUTES, "time": TIME.isoformat(), "data_base64": base64.b64encode(PICTURE).decode()})
    headers = {name: value.encode() for name, value in message["headers"].items()}
    check_read(record(headers, base64.b64decode(message["value"])))


@WRITTEN
def test_what_a_worker_writes_go_s_sdk_reads(written: OutRecord) -> None:
    assert written.key and written.value
    headers = {name: value.decode() for name, value in written.headers}
    event = go("read", {"headers": headers, "value": base64.b64encode(written.value).decode()})
    check_attributes(event, written)
    assert event["data"] == json.loads(written.value)
