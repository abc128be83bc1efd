import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.config import DeadLetterLimit
from stream_adapter.errors import DeadLetterLimitExceeded, FingerprintMismatch
from stream_adapter.events import AnchorRecord, PresenceRecord
from stream_adapter.journey.observing import DeletionRequest
from stream_adapter.journey.outcome import Outcome
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change, change_of
from stream_adapter.transport.dead_letters import undo
from tests.events.test_prediction import VALIDATOR
from tests.fakes import D, headers, make_processor, picture, unit


def records(*pictures: dict[str, Any]) -> list[Record]:
    return [
        Record(Partition("images", 0), offset, 1_000 + offset, one["key"], one["value"], one["headers"])
        for offset, one in enumerate(pictures)
    ]


def run(processor: Processor, *pictures: dict[str, Any]) -> Outcome:
    return processor.finish(processor.prepare(records(*pictures)))


def outputs(outcome: Outcome, channel: str) -> list[Any]:
    return [record for record in outcome.commit.outputs if record.channel == channel]


def predictions(outcome: Outcome) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in outputs(outcome, "predictions")]


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"stream_adapter_{name}", labels) or 0.0


def test_every_event_gets_a_prediction_that_fits_the_schema() -> None:
    outcome = run(make_processor(), picture("cat", 1), picture("dog", 2, "dog"), picture("house", 3))
    shown = predictions(outcome)
    for prediction in shown:
        VALIDATOR.validate(prediction)
    assert [prediction["event"]["id"] for prediction in shown] == ["1", "2", "3"]
    assert [record.key for record in outputs(outcome, "predictions")] == [b"1", b"2", b"3"]
    assert [prediction["top"][0]["label"] for prediction in shown] == ["cat", "dog", "house"]
    assert [prediction["label"] for prediction in shown] == [None, "dog", None]


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


def changed(anchor: OutRecord, **headers: str) -> OutRecord:
    texts = {**dict(anchor.headers), **{name: text.encode() for name, text in headers.items()}}
    return replace(anchor, headers=tuple(texts.items()))


def as_changes(*records: OutRecord) -> list[Change]:
    images = Partition("anchors", 0)
    return [change_of(Record(images, n, 0, one.key, one.value, one.headers)) for n, one in enumerate(records)]


def test_records_that_are_not_this_workers_are_set_aside_and_stop_nothing() -> None:
    """Each stands in the compacted topic where an anchor was, which is gone there for whoever starts tomorrow."""
    teacher = make_processor()
    anchors = outputs(run(teacher, *(picture("dog", n, "dog") for n in range(9))), "anchors")
    metrics = Metrics()
    processor = make_processor(metrics=metrics)
    processor.apply(as_changes(*anchors))
    processor.warm_up()
    short = replace(anchors[2], value=np.full(4, 0.5, "<f2").tobytes())
    foreign = [
        changed(anchors[0], fingerprint="other"),
        changed(anchors[1], format="2"),
        short,
        replace(anchors[3], value=b"\x00", headers=()),
        replace(anchors[4], key=None),
        replace(anchors[4], key=b"\xff"),
        OutRecord("anchors", b"somebody else's", b'{"a": 1}', ()),
        PresenceRecord("evidence/other", b"x", "other", "v").to_record("w"),
    ]
    with capture_logs() as said:
        for _ in range(50):
            processor.apply(as_changes(*foreign))
    assert {anchor.anchor_id.encode() for anchor in processor.adapter.anchors()} == {one.key for one in anchors[4:]}
    sample = metrics.registry.get_sample_value
    counted = {
        reason: sample("stream_adapter_records_set_aside_total", {"reason": reason})
        for reason in ("other_encoder", "other_length", "newer_format", "garbage")
    }
    assert counted == {"other_encoder": 100, "other_length": 50, "newer_format": 50, "garbage": 200}
    assert len(said) == 1, "no flood of lines"
    newcomer = make_processor()
    newcomer.apply(as_changes(*anchors[4:], *foreign))
    newcomer.warm_up()
    assert newcomer.adapter.anchors_digest == processor.adapter.anchors_digest


def test_a_start_at_which_most_anchors_are_another_encoders_stops() -> None:
    anchors = outputs(run(make_processor(), *(picture("dog", n, "dog") for n in range(9))), "anchors")
    theirs = [changed(anchor, fingerprint="other") for anchor in anchors]
    tolerant, strict = make_processor(), make_processor()
    tolerant.apply(as_changes(*theirs[:4], *anchors[4:]))
    tolerant.warm_up()
    assert tolerant.adapter.n_anchors == 5
    strict.apply(as_changes(*theirs[:5], *anchors[5:]))
    with pytest.raises(FingerprintMismatch, match=r"5 of 9 .*other.*fake-encoder.*kafka\.topics\.anchors"):
        strict.warm_up()
    garbage = make_processor()
    garbage.apply(as_changes(*[OutRecord("anchors", b"%d" % n, b"{}") for n in range(100)]))
    garbage.warm_up()


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


class Onlooker:
    """Remembers what it saw, and wants what is in `deletions` forgotten."""

    def __init__(self) -> None:
        self.batches: list[tuple[Any, Any, Any]] = []
        self.deletions: list[DeletionRequest] = []
        self.durable: list[Any] = []

    def on_batch(self, events: Any, pictures: Any, predictions: Any) -> None:
        self.batches.append((events, pictures, predictions))

    def poll(self) -> list[DeletionRequest]:
        deletions, self.deletions = self.deletions, []
        return deletions


def test_an_observer_sees_each_batch_with_what_was_said() -> None:
    observer = Onlooker()
    run(make_processor(observer=observer), picture("cat", 1), picture("no picture", 2), picture("dog", 3, "dog"))
    ((events, pictures, shown),) = observer.batches
    assert [event.id for event in events] == [one["event"]["id"] for one in shown] == ["1", "3"]
    assert [one["top"][0]["label"] for one in shown] == ["cat", "dog"]
    assert all(one.shape == (D,) for one in pictures)


def test_what_an_observer_wants_forgotten_is_told_when_it_is_durable() -> None:
    observer, metrics = Onlooker(), Metrics()
    processor = make_processor(observer=observer, metrics=metrics)
    learned = outputs(run(processor, picture("cat", 1, "cat"), picture("dog", 2, "dog")), "anchors")
    observer.deletions = [DeletionRequest((learned[0].key.decode(), "0" * 32), observer.durable.append)]
    outcome = processor.apply((), owned=EVERYTHING)
    (tombstone,) = outputs(outcome, "anchors")
    assert (tombstone.key, tombstone.value) == (learned[0].key, None)
    assert processor.adapter.n_anchors == 1
    assert value(metrics, "anchors_removed_total", reason="forgotten") == 1
    kept, _ = outcome.without({Partition("images", 0)})
    assert observer.durable == []
    kept.report(metrics)
    assert observer.durable == [[learned[0].key.decode()]]


def test_nobody_is_asked_for_wishes_before_the_worker_has_its_place() -> None:
    observer = Onlooker()
    observer.deletions = [DeletionRequest(("a",), observer.durable.append)]
    make_processor(observer=observer).apply(())
    assert observer.deletions
