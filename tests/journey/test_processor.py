import json
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.config import DeadLetterLimit
from stream_adapter.errors import DeadLetterLimitExceeded
from stream_adapter.events import AnchorRecord
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.dead_letters import undo
from stream_adapter.transport.memory import IMAGES
from tests.events.test_prediction import VALIDATOR
from tests.fakes import D, headers, make_processor, picture, unit, vectors_of
from tests.journey.running import outputs, predictions, run, value


def test_every_event_gets_a_prediction_that_fits_the_schema() -> None:
    outcome = run(make_processor(), picture("cat", 1), picture("dog", 2, "dog"), picture("house", 3))
    shown = predictions(outcome)
    for prediction in shown:
        VALIDATOR.validate(prediction)
    assert [prediction["event"]["id"] for prediction in shown] == ["1", "2", "3"]
    assert [record.key for record in outputs(outcome, "predictions")] == [b"1", b"2", b"3"]
    assert [prediction["top"][0]["label"] for prediction in shown] == ["cat", "dog", "house"]
    assert [prediction["label"] for prediction in shown] == [None, "dog", None]


def test_a_prediction_says_how_many_milliseconds_each_stage_took() -> None:
    looks = iter(range(10**6))
    processor = make_processor(clock=lambda: float(next(looks)))  # a second goes by between two looks
    encoded = processor.encode(processor.prepare([Record(IMAGES, 0, 0, **picture("cat", 1))]))
    assert encoded.timings_ms == {"decode_wait": 1_000.0, "encode": 1_000.0}
    (said,) = (json.loads(one.value or b"") for one in processor.finish(encoded).commit.outputs)
    assert set(said["timings_ms"]) == {"decode_wait", "encode", "predict"}
    assert said["timings_ms"]["predict"] >= 1_000.0 and said["timings_ms"]["predict"] % 1_000.0 == 0.0


def test_it_predicts_first_and_learns_second() -> None:
    processor = make_processor()
    first = run(processor, picture("cat", 1, "dog"), picture("horse", 2, "horse"))
    for prediction in predictions(first):
        assert prediction["gate"] == 0.0
        assert prediction["anchors"] == []
        assert prediction["top"][0]["adapted"] == prediction["top"][0]["zero_shot"]
    again = run(processor, picture("cat", 1))
    (prediction,) = predictions(again)
    assert prediction["gate"] == pytest.approx(1.0, abs=1e-3)  # at an anchor
    assert prediction["anchors"][0]["label"] == "dog"
    assert prediction["top"][0]["adapted"] != prediction["top"][0]["zero_shot"]


def test_positions_cover_the_whole_batch_also_what_was_refused() -> None:
    outcome = run(make_processor(), picture("cat", 1), {"value": b"?", "headers": headers("2"), "key": b"2"})
    assert outcome.commit.positions == {Partition("images", 0): 2}


def test_a_label_becomes_an_anchor_record_that_can_be_read_back() -> None:
    (anchor,) = outputs(run(make_processor(), picture("dog", 1, "dog", time_ms=5_000)), "anchors")
    read = AnchorRecord.from_record(anchor.key, anchor.value, anchor.headers)
    assert (read.label, read.event_source, read.event_id, read.event_time_ms) == ("dog", "/test", "1", 5_000)
    assert (read.topic, read.partition, read.offset, read.fingerprint) == ("images", 0, 0, "fake-encoder")


def test_seen_twice_teaches_and_scores_once() -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics)
    once = run(processor, picture("dog", 1, "dog"), picture("dog", 1, "dog"))
    again = run(processor, picture("dog", 1, "dog"))
    assert len(outputs(once, "anchors")) == 1
    assert outputs(again, "anchors") == []
    assert len(predictions(again)) == 1
    assert processor.adapter.n_anchors == 1
    assert value(metrics, "scored_total", group="unlabelled") == 1
    assert value(metrics, "labels_total", outcome="repeated") == 2


def test_a_forgotten_anchor_does_not_come_back_with_a_repeated_event() -> None:
    processor = make_processor()
    (anchor,) = outputs(run(processor, picture("dog", 1, "dog")), "anchors")
    key = anchor.key.decode()
    echo = Change(key, AnchorRecord.from_record(anchor.key, anchor.value, anchor.headers), own=True)
    processor.apply([echo, Change(key, None)])
    assert processor.adapter.n_anchors == 0
    assert outputs(run(processor, picture("dog", 1, "dog")), "anchors") == []
    assert processor.adapter.n_anchors == 0


def test_a_correction_replaces_the_anchor_and_is_no_test() -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics)
    run(processor, picture("dog", 1, "cat", time_ms=1_000))
    outcome = run(processor, picture("dog", 1, "dog", time_ms=2_000))
    (anchor,) = outputs(outcome, "anchors")
    assert AnchorRecord.from_record(anchor.key, anchor.value, anchor.headers).label == "dog"
    assert processor.adapter.n_anchors == 1
    assert value(metrics, "labels_total", outcome="corrected") == 1
    assert sum(value(metrics, "scored_total", group=group) for group in ("labelled", "unlabelled", "canary")) == 1


def test_a_label_that_comes_later_teaches() -> None:
    processor = make_processor()
    assert outputs(run(processor, picture("dog", 1)), "anchors") == []
    assert len(outputs(run(processor, picture("dog", 1, "dog")), "anchors")) == 1


def test_canary_labels_are_scored_and_never_learned() -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics)
    outcome = run(processor, picture("house", 1, "house"), picture("house", 2, "house"))
    assert outputs(outcome, "anchors") == []
    assert processor.adapter.n_anchors == 0
    assert value(metrics, "scored_total", group="canary") == 2
    assert value(metrics, "correct_total", group="canary", model="adapted") == 2
    assert value(metrics, "accuracy_ratio", group="canary", model="zero_shot") == 1.0


def test_groups_follow_the_anchors_at_the_time_of_the_prediction() -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics)
    run(processor, picture("dog", 1, "dog"))  # had none yet
    run(processor, picture("dog", 2, "dog"))
    assert value(metrics, "scored_total", group="unlabelled") == 1
    assert value(metrics, "scored_total", group="labelled") == 1


@pytest.mark.parametrize(
    ("bad", "stage"),
    [
        ({"value": b"not a picture", "headers": headers("9"), "key": b"k"}, "decode"),
        ({"value": b"cat 1", "headers": headers("9", "zebra"), "key": b"k"}, "label"),
        ({"value": b"cat 1", "headers": (), "key": None}, "parse"),
        (
            {
                "value": b"\0" * 4 * D,
                "headers": (*headers("9")[:-1], ("content-type", b"application/x-embedding"), ("ce_fingerprint", b"x")),
                "key": b"k",
            },
            "encode",
        ),
    ],
)
def test_bad_events_become_dead_letters_and_good_ones_go_on(bad: dict[str, Any], stage: str) -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics)
    outcome = run(processor, picture("cat", 1), bad, picture("dog", 2))
    (letter,) = outputs(outcome, "dead_letters")
    original = undo(Record(Partition("dead-letters", 0), 0, 0, letter.key, letter.value, letter.headers))
    assert (original.key, original.value, original.headers) == (bad["key"], bad["value"], bad["headers"])
    assert (original.partition, original.offset) == (Partition("images", 0), 1)
    assert len(predictions(outcome)) == 2
    assert outcome.refused == ((Partition("images", 0), stage),)
    assert value(metrics, "dead_letters_total", stage=stage) == 0  # not before it is durable
    outcome.report(metrics)
    assert value(metrics, "dead_letters_total", stage=stage) == 1
    assert value(metrics, "predictions_total") == 2


def test_unknown_labels_are_predicted_but_not_learned_where_the_policy_is_ignore() -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics, unknown_labels="ignore")
    outcome = run(processor, picture("cat", 1, "zebra"))
    assert len(predictions(outcome)) == 1
    assert outputs(outcome, "dead_letters") == outputs(outcome, "anchors") == []
    assert value(metrics, "labels_total", outcome="unknown") == 1


def test_vectors_travel_beside_pictures() -> None:
    vector = unit(np.arange(1, D + 1).astype(np.float32))
    sent = (*headers("2")[:-1], ("content-type", b"application/x-embedding"), ("ce_fingerprint", b"fake-encoder"))
    outcome = run(
        make_processor(), picture("cat", 1), {"value": vector.astype("<f4").tobytes(), "headers": sent, "key": b"2"}
    )
    assert [prediction["event"]["id"] for prediction in predictions(outcome)] == ["1", "2"]
    assert outputs(outcome, "dead_letters") == []


def test_nothing_but_bad_events_stop_the_worker() -> None:
    limit = DeadLetterLimit(max_share=0.5, window=10, min_events=4)
    processor = make_processor(limit=limit)
    bad = {"value": b"?", "headers": headers("9"), "key": b"k"}
    with pytest.raises(DeadLetterLimitExceeded, match="all of the first 4 events are bad"):
        run(processor, bad, bad, bad, bad)


def test_a_flood_of_bad_events_among_good_ones_stops_nobody() -> None:
    processor = make_processor(limit=DeadLetterLimit(max_share=0.5, window=10, min_events=4))
    bad = {"value": b"?", "headers": headers("9"), "key": b"k"}
    assert len(predictions(run(processor, picture("cat", 1), *[bad] * 30))) == 1


def test_a_flood_of_tombstones_leaves_nothing_but_their_offsets() -> None:
    processor = make_processor(limit=DeadLetterLimit(max_share=0.5, window=10, min_events=4))
    outcome = run(processor, *[{"value": None, "headers": (), "key": b"k"}] * 30)
    assert outcome.commit.outputs == []
    assert outcome.commit.positions == {Partition("images", 0): 30}


def test_an_event_at_the_end_of_the_calendar_is_answered() -> None:
    late = (*headers("9"), ("ce_time", b"9999-12-31T23:59:59-14:00"))
    (prediction,) = predictions(run(make_processor(), {"value": b"cat 1", "headers": late, "key": b"k"}))
    assert prediction["event"]["time"] < "9999"


def test_what_one_worker_learned_another_one_knows() -> None:
    teacher, pupil = make_processor(), make_processor()
    written = outputs(run(teacher, *(picture("dog", n, "dog") for n in range(5))), "anchors")
    pupil.apply(
        [
            Change(record.key.decode(), AnchorRecord.from_record(record.key, record.value, record.headers))
            for record in written
        ]
    )
    pupil.apply([])  # everything is read: now it fits
    assert pupil.adapter.anchors_digest == teacher.adapter.anchors_digest
    probe = picture("cat", 77)
    assert predictions(run(pupil, probe))[0]["top"] == predictions(run(teacher, probe))[0]["top"]


def test_changes_are_applied_in_their_order() -> None:
    processor = make_processor()
    (first,) = outputs(run(make_processor(), picture("dog", 1, "dog")), "anchors")
    anchor = AnchorRecord.from_record(first.key, first.value, first.headers)
    processor.apply([Change(anchor.anchor_id, anchor), Change(anchor.anchor_id, None)])
    assert processor.adapter.n_anchors == 0
    processor.apply([Change(anchor.anchor_id, None), Change(anchor.anchor_id, anchor)])
    assert processor.adapter.n_anchors == 1


@settings(max_examples=30, deadline=None)
@given(
    events=st.lists(st.tuples(st.sampled_from(["cat", "dog", "?"]), st.integers(0, 9), st.booleans()), max_size=30),
    cuts=st.lists(st.integers(1, 5), min_size=1, max_size=5),
)
def test_every_event_leaves_exactly_one_trace_however_batches_are_cut(
    events: list[tuple[str, int, bool]], cuts: list[int]
) -> None:
    processor = make_processor(limit=DeadLetterLimit(max_share=1.0))
    pictures = [picture(name, number, name if labelled else None) for name, number, labelled in events]
    pictures = [one if b"?" not in one["value"] else {**one, "headers": headers("9")} for one in pictures]
    traces = 0
    while pictures:
        size = cuts[traces % len(cuts)]
        outcome = run(processor, *pictures[:size])
        assert len(outputs(outcome, "predictions")) + len(outputs(outcome, "dead_letters")) == len(pictures[:size])
        traces += 1
        pictures = pictures[size:]
    taught = {number for name, number, labelled in events if labelled and name != "?"}
    assert processor.adapter.n_anchors <= len(taught)


def test_schema_validator_is_not_a_rubber_stamp() -> None:
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate({"event": {}})


def test_whoever_looks_or_asks_waits_for_the_batch_that_is_learned() -> None:
    processor = make_processor()
    run(processor, picture("cat", 1, "cat"))
    with ThreadPoolExecutor(2) as pool:
        with processor._turns.turn():
            looking = pool.submit(processor.questions.look, lambda parts: parts.adapter.n_anchors)
            asking = pool.submit(processor.questions.answer, vectors_of(("cat", 1)))
            assert not wait([looking, asking], timeout=0.3).done
        assert looking.result(10) == 1 and len(asking.result(10)) == 1
