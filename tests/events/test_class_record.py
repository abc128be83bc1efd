"""Class events: what is written is read back, and what is no class event is refused with the reason."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.class_record import ClassRecord
from stream_adapter.transport.base import OutRecord

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "class.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40).filter(str.strip)


def read(value: Any, key: bytes | None = b"zebra", **headers: str) -> ClassRecord:
    pairs = tuple((name, text.encode()) for name, text in headers.items())
    return ClassRecord.from_record(key, value if isinstance(value, bytes) else json.dumps(value).encode(), pairs)


def again(record: OutRecord) -> ClassRecord:
    return ClassRecord.from_record(record.key, record.value or b"", record.headers)


@given(
    NAMES,
    st.sampled_from(["vector", "prompts", "text_of", "alias_of", "removed", "nothing"]),
    NAMES,
    st.sampled_from([None, True, False]),
    st.integers(0, 99),
)
def test_what_is_written_is_read_back_and_fits_the_schema(
    name: str, what: str, other: str, canary: bool | None, seed: int
) -> None:
    vector = np.random.default_rng(seed).normal(size=8)
    vector /= np.linalg.norm(vector)
    given_: dict[str, Any] = {
        "vector": {"vector": vector.astype(np.float32)},
        "prompts": {"prompts": (other, "a {}")},
        "removed": {"removed": True},
        "nothing": {},
    }.get(what, {what: other})
    record = ClassRecord(name, canary=canary, source="/who", **given_)
    written = record.to_record()
    VALIDATOR.validate(json.loads(written.value or b""))
    found = again(written)
    once, twice = found.to_json(), again(found.to_record()).to_json()
    # It is renormalised each time, which may move its last digit.
    np.testing.assert_allclose(twice.pop("vector", ()), once.pop("vector", ()), atol=1e-6)
    assert twice == once, "and stays what it is"
    assert found.source == "/who" and found.canary == canary
    assert found.is_class == (what not in ("alias_of", "removed"))
    if what == "vector":
        assert found.vector is not None and abs(np.linalg.norm(found.vector) - 1.0) < 1e-6
        np.testing.assert_allclose(found.vector, vector, atol=1e-6)


@given(st.binary(max_size=60) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(repr))
def test_whatever_comes_is_read_or_refused(value: bytes | str) -> None:
    try:
        read(value if isinstance(value, bytes) else value.encode(errors="replace"))
    except MalformedEvent:
        return
    raise AssertionError("such a value says no name")


@pytest.mark.parametrize(
    ("value", "key", "why"),
    [
        ({"name": "zebra", "vector": [1.0], "prompts": ["a"]}, b"zebra", "says one thing, found `vector`, `prompts`"),
        ({"name": "zebra", "alias_of": "cat", "removed": True}, b"zebra", "`alias_of`, `removed`"),
        ({"name": "zebra", "removed": True, "vector": [1.0]}, b"zebra", "`vector`, `removed`"),
        ({"name": "zebra", "vector": [3.0, 4.0]}, b"zebra", "its length 5"),
        ({"name": "zebra", "vector": [True]}, b"zebra", "a list of numbers"),
        ({"name": "zebra", "vector": [float("nan")]}, b"zebra", "its length nan"),
        ({"name": "zebra", "vector": [[1.0]]}, b"zebra", "a list of numbers"),
        ({"name": "zebra", "vector": [10**400]}, b"zebra", "no list of numbers"),
        ({"name": "zebra", "prompts": []}, b"zebra", "`prompts` must be a list"),
        ({"name": "zebra", "prompts": [" "]}, b"zebra", "a prompt is empty"),
        ({"name": "zebra", "canary": "yes"}, b"zebra", "true or false"),
        ({"name": "zebra"}, b"horse", "it must be the name"),
        ({"name": "zebra"}, None, "it must be the name"),
        ({"name": " "}, b" ", "1 to 200 characters"),
        ({"name": "x" * 201}, b"x" * 201, "1 to 200 characters"),
        ({"name": "a\nb"}, b"a\nb", "control characters"),
        ({"name": "zebra", "alias_of": ""}, b"zebra", "`alias_of` must have"),
        ([], b"zebra", "must be a JSON object"),
        ({"specversion": "1.0", "data": []}, b"zebra", "`data` of a class event"),
    ],
)
def test_what_is_no_class_event_is_refused_with_the_reason(value: Any, key: bytes | None, why: str) -> None:
    with pytest.raises(MalformedEvent, match=why):
        read(value, key)


def test_both_modes_are_read_and_another_type_is_not() -> None:
    structured = {"specversion": "1.0", "type": "stream_adapter.class", "source": "/tool", "data": {"name": "zebra"}}
    assert read(structured).source == "/tool"
    assert read({"name": "zebra"}, ce_type="stream_adapter.class", ce_source="/tool").source == "/tool"
    for value, headers in (({"name": "zebra"}, {"ce_type": "other"}), ({**structured, "type": "other"}, {})):
        with pytest.raises(MalformedEvent, match="event type 'other'"):
            read(value, **headers)


def test_names_are_compared_in_one_form() -> None:
    assert read({"name": "cafe\u0301 "}, "café".encode()).name == "café"
