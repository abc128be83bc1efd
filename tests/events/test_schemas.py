"""The schemas in docs/ against records as they are written; those of predictions and drift have tests of their own."""

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.errors import STAGES, EventError, MalformedEvent, UnexpectedFailure
from stream_adapter.events import anchor_tombstone, parse_image_event
from stream_adapter.events.cloudevents import STRUCTURED
from stream_adapter.events.image import EMBEDDING
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.dead_letters import dead_letter, without_value
from tests.events.test_anchor import anchor

DOCS = Path(__file__).parents[2] / "docs"
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((DOCS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


ANCHOR, LETTER, IMAGE = map(validator, ("anchor", "dead-letter", "image-event"))


def as_json(record: OutRecord) -> dict[str, Any]:
    assert record.key is not None
    value = None if record.value is None else base64.b64encode(record.value).decode()
    return {"key": record.key.decode(), "headers": {n: v.decode() for n, v in record.headers}, "value": value}


@given(label=texts, source=st.text(st.characters(codec="utf-8"), max_size=20), time=st.integers(0, 2**41))
def test_an_anchor_fits(label: str, source: str, time: int) -> None:
    ANCHOR.validate(as_json(anchor(label=label, event_source=source, event_time_ms=time).to_record("w")))


def test_a_deletion_fits() -> None:
    ANCHOR.validate(as_json(anchor_tombstone("0123456789abcdef" * 2, "w")))


@pytest.mark.parametrize("header", [name for name, _ in anchor().to_record("w").headers])
def test_an_anchor_needs_every_header(header: str) -> None:
    document = as_json(anchor().to_record("w"))
    del document["headers"][header]
    assert not ANCHOR.is_valid(document)
    document = as_json(anchor().to_record("w"))
    assert not ANCHOR.is_valid({**document, "headers": {**document["headers"], "another": "x"}})


ERRORS = [kind for kind in EventError.__subclasses__() if kind is not UnexpectedFailure]


@given(st.sampled_from(ERRORS), texts, st.integers(0, 100), st.integers(0, 2**60))
def test_a_dead_letter_fits(kind: type[Any], reason: str, partition: int, offset: int) -> None:
    record = Record(Partition("images", partition), offset, 0, b"key", bytes(1_000), (("ce_id", b"1"),))
    letter = dead_letter(record, kind(reason))
    for stage in STAGES:
        LETTER.validate(as_json(dead_letter(record, UnexpectedFailure(stage, OverflowError(reason))))["headers"])
    LETTER.validate(as_json(letter)["headers"])
    shortened = as_json(without_value(letter, 900))["headers"]
    assert "stream_adapter.value.omitted" in shortened
    LETTER.validate(shortened)
    for name in LETTER.schema["required"]:
        assert not LETTER.is_valid({header: text for header, text in shortened.items() if header != name})


events = st.fixed_dictionaries(
    {
        "specversion": st.sampled_from(["1.0", "1.0", "1.0", "0.3"]),
        "type": st.sampled_from(["stream_adapter.image", "stream_adapter.image", "other"]),
        "source": st.text(max_size=3),
        "id": st.text(max_size=3),
        "datacontenttype": st.sampled_from(
            ["image/jpeg", "image/x-png", "image/*", "binary/octet-stream", EMBEDDING, "text/html", "image", ""]
        ),
        "data_base64": st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode()),
    },
    optional={
        "time": st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+01:00", "yesterday"]),
        "label": st.sampled_from(["dog", "", " ", "a b"]),
        "fingerprint": st.sampled_from(["f00d", ""]),
    },
)


@given(events)
def test_what_fits_is_read_and_what_does_not_is_refused(document: dict[str, str]) -> None:
    headers = (("content-type", STRUCTURED.encode()),)
    record = Record(Partition("images", 0), 0, 0, None, json.dumps(document).encode(), headers)
    try:
        parse_image_event(record)
    except MalformedEvent:
        assert not IMAGE.is_valid(document)
    else:
        # An empty fingerprint of a picture is nothing to a worker.
        assert IMAGE.is_valid(document) or document.get("fingerprint") == ""


def test_a_vector_needs_its_encoder() -> None:
    data = base64.b64encode(np.ones(4, "<f4").tobytes()).decode()
    event = {"specversion": "1.0", "type": "stream_adapter.image", "source": "s", "id": "1", "data_base64": data}
    assert not IMAGE.is_valid({**event, "datacontenttype": EMBEDDING})
    assert IMAGE.is_valid({**event, "datacontenttype": EMBEDDING, "fingerprint": "f00d"})
