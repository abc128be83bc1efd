import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from stream_adapter.events import ImageEvent, parse_image_event, prediction_record
from tests.events.test_cloudevents import TRACE, binary

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "prediction.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
EVENT = parse_image_event(binary())
DOCUMENT: dict[str, Any] = {"event": {"source": "/s", "id": EVENT.id, "time": "2026-01-02T03:04:05.678Z"}, "gate": 0.5}


def headers_of(event: ImageEvent) -> dict[str, str]:
    return {name: value.decode() for name, value in prediction_record(event, DOCUMENT).headers}


def test_it_is_a_cloud_event_about_the_image_event() -> None:
    assert headers_of(EVENT) == {
        "ce_specversion": "1.0",
        "ce_type": "stream_adapter.prediction",
        "ce_source": "stream_adapter/images",
        "ce_id": "images-0@7",
        "ce_time": "2026-01-02T03:04:05.678Z",
        "ce_subject": EVENT.id,
        "content-type": "application/json",
        "format": "1",
    }


def test_the_value_is_the_document_under_the_key_of_the_image_event() -> None:
    record = prediction_record(EVENT, DOCUMENT)
    assert (record.channel, record.key, record.source) == ("predictions", EVENT.record.key, EVENT.record.partition)
    assert record.value is not None and json.loads(record.value) == DOCUMENT


def test_the_trace_of_the_image_event_goes_on() -> None:
    headers = headers_of(parse_image_event(binary(ce_traceparent=TRACE)))
    assert headers["ce_traceparent"] == headers["traceparent"] == TRACE


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError):
        prediction_record(EVENT, DOCUMENT | {"label": "\ud800"})
