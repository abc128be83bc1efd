import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.events import ClassScore, ImageEvent, Neighbour, Prediction, Versions, parse_image_event
from tests.events.test_cloudevents import TRACE, binary

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "prediction.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())

name = st.text(min_size=1, alphabet=st.characters(codec="utf-8"))
share = st.floats(0, 1)
EVENT = parse_image_event(binary())
predictions = st.builds(
    Prediction,
    event_source=name,
    event_id=name,
    event_time_ms=st.integers(0, 4_102_444_800_000),
    top=st.lists(
        st.builds(
            ClassScore,
            label=name,
            adapted=share,
            zero_shot=share,
            kind=st.sampled_from(["labelled", "present", "dormant"]),
            presence=share,
        ),
        min_size=1,
        max_size=5,
    ).map(tuple),
    zero_shot_label=name,
    label=st.none() | name,
    gate=share,
    anchors=st.lists(
        st.builds(Neighbour, id=st.from_regex(r"[0-9a-f]{32}", fullmatch=True), label=name, cosine=st.floats(-1, 1)),
        max_size=3,
    ).map(tuple),
    top_has_anchors=st.booleans(),
    novelty=share,
    versions=st.builds(Versions, encoder=name, vocabulary=name, adapter=name),
    timings_ms=st.dictionaries(st.sampled_from(["encode", "predict"]), st.floats(0, 1e6)),
)


@given(predictions)
def test_the_wire_form_fits_the_schema(prediction: Prediction) -> None:
    record = prediction.to_record(EVENT)
    assert (record.channel, record.key) == ("predictions", b"key")
    assert record.value is not None
    VALIDATOR.validate(json.loads(record.value))


@given(predictions)
def test_the_wire_form_keeps_what_people_act_on(prediction: Prediction) -> None:
    document = prediction.to_json()
    assert document["event"]["id"] == prediction.event_id
    assert [score["label"] for score in document["top"]] == [score.label for score in prediction.top]
    assert [anchor["id"] for anchor in document["anchors"]] == [anchor.id for anchor in prediction.anchors]
    assert document["top"][0]["adapted"] == pytest.approx(prediction.top[0].adapted, abs=1e-6)


def test_a_number_that_is_none_is_refused_and_not_written_as_nan() -> None:
    prediction = Prediction(
        "s",
        "i",
        0,
        (ClassScore("a", float("nan"), 0.5, "labelled", 1.0),),
        "a",
        None,
        0.0,
        (),
        False,
        0.0,
        Versions("e", "v", "a"),
        {},
    )
    with pytest.raises(ValueError, match="not JSON compliant"):
        prediction.to_record(EVENT)


PREDICTION = Prediction(
    event_source="/camera/1",
    event_id="42",
    event_time_ms=1_767_323_045_678,
    top=(ClassScore("dog", 0.75, 0.5, "labelled", 1.0),),
    zero_shot_label="dog",
    label="dog",
    gate=0.5,
    anchors=(),
    top_has_anchors=True,
    novelty=0.0,
    versions=Versions("e", "v", "a"),
    timings_ms={},
)


def headers_of(event: ImageEvent) -> dict[str, str]:
    return {name: value.decode() for name, value in PREDICTION.to_record(event).headers}


def test_it_is_a_cloud_event_about_the_image_event() -> None:
    assert headers_of(EVENT) == {
        "ce_specversion": "1.0",
        "ce_type": "stream_adapter.prediction",
        "ce_source": "stream_adapter/images",
        "ce_id": "images-0@7",
        "ce_time": "2026-01-02T03:04:05.678Z",
        "ce_subject": "42",
        "content-type": "application/json",
        "format": "1",
    }


def test_the_trace_of_the_image_event_goes_on() -> None:
    headers = headers_of(parse_image_event(binary(ce_traceparent=TRACE)))
    assert headers["ce_traceparent"] == headers["traceparent"] == TRACE
