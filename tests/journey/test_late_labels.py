"""Labels that come apart from their events: which of them count, and what becomes of them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.config import LabelsConfig
from stream_adapter.errors import LabelWithoutEvent
from stream_adapter.events import BY_HAND, anchor_tombstone
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import LABEL_PREFIX
from stream_adapter.journey.observing import DeletionRequest
from stream_adapter.journey.waiting import partition_of
from stream_adapter.transport.base import Commit, OutRecord, Partition
from stream_adapter.transport.dead_letters import reason, undo
from stream_adapter.transport.labels import Arrivals
from tests.fakes import CANARY, CLASSES, make_processor, picture, vectors_of
from tests.journey.late_journey import IMAGES, Journey, said
from tests.journey.running import value


def test_a_label_before_its_picture_waits_for_it() -> None:
    journey = Journey()
    journey.say(said(1, "cat"))
    assert journey.label_of(1).state == "waiting"  # type: ignore[union-attr]
    assert value(journey.metrics, "waiting_labels") == 1
    journey.send(picture("cat", 1))
    assert journey.anchors["1"][0] == "cat"
    assert value(journey.metrics, "waiting_labels") == 0
    assert value(journey.metrics, "waiting_events") == 1


def test_a_label_whose_event_never_comes_is_a_dead_letter_that_can_be_sent_again() -> None:
    journey = Journey(early_max_age=60.0)
    label = said(1, "cat", annotator="ann")
    journey.say(label)
    journey.now_ms += 59_000
    journey.settle()
    assert not journey.letters()
    journey.now_ms += 2_000
    journey.settle()
    (letter,) = journey.letters()
    assert "no event '1' of source '/test' is known" in reason(letter)
    original = undo(letter)
    assert (original.value, original.headers) == (label.to_record().value, label.to_record().headers)
    assert (original.partition, original.offset) == (Partition("labels", 0), 0)
    assert value(journey.metrics, "waiting_labels") == 0
    journey.send(picture("cat", 1))
    assert not journey.anchors
    journey.say(label)
    assert journey.anchors["1"][0] == "cat"


def test_labels_without_events_are_bounded_in_number() -> None:
    journey = Journey(wait_max_events=3)
    journey.say(*(said(number, "cat") for number in range(5)))
    assert len(journey.letters()) == 2
    assert value(journey.metrics, "waiting_labels") == 3


def test_waiting_events_are_bounded_in_number_and_age() -> None:
    journey = Journey(wait_max_events=3, wait_max_age=100.0, early_max_age=1.0)
    journey.send(*(picture("cat", number) for number in range(5)))
    assert value(journey.metrics, "waiting_events") == 3
    deleted = [output.key for output in journey.transport.sink.records["waiting"] if output.value is None]
    assert deleted == [anchor_id_of("/test", str(number)).encode() for number in (0, 1)]
    journey.now_ms += 101_000
    journey.settle()
    assert value(journey.metrics, "waiting_events") == 0
    journey.say(said(4, "cat"))
    journey.now_ms += 2_000
    journey.settle()
    assert len(journey.letters()) == 1 and not journey.anchors


def test_a_canary_is_scored_and_never_learned() -> None:
    journey = Journey()
    journey.send(picture("house", 1), picture("cat", 2))
    journey.say(said(1, CANARY), said(2, "cat"))
    journey.say(said(2, CANARY, 60_000))
    assert not journey.anchors, "what was learned of a canary's picture by mistake is gone"
    assert journey.label_of(1).state == "scored"  # type: ignore[union-attr]
    assert value(journey.metrics, "scored_total", group="canary") == 1
    late = journey.processor.late
    assert late is not None
    key = said(1, CANARY).anchor_id
    assert late.said_of([key, "of nobody"]) == {key: CANARY}


def test_a_withdrawn_label_is_gone_and_may_be_given_anew() -> None:
    journey = Journey()
    journey.send(picture("cat", 1))
    journey.say(said(1, "dog"), said(1, None, 60_000), said(1, "horse", 55_000))
    assert not journey.anchors
    assert journey.label_of(1).state == "withdrawn"  # type: ignore[union-attr]
    journey.say(said(1, "cat", 70_000))
    assert journey.anchors["1"] == ("cat", 70_000, "")


def test_the_same_label_by_somebody_else_is_theirs_from_then_on() -> None:
    journey = Journey()
    journey.send(picture("cat", 1))
    journey.say(said(1, "cat", annotator="ann"))
    journey.say(said(1, "cat", 60_000, annotator="bob"))
    assert journey.anchors["1"] == ("cat", 60_000, "bob")
    assert value(journey.metrics, "scored_total", group="unlabelled") == 1


def test_of_two_labels_of_the_same_millisecond_the_same_one_counts_whichever_came_first() -> None:
    labels = said(1, "dog"), said(1, "horse")
    newest = max(labels, key=lambda one: one.stamp)
    for order in (labels, labels[::-1]):
        journey = Journey()
        journey.send(picture("cat", 1))
        for label in order:
            journey.say(label)
        assert journey.anchors["1"][0] == newest.label


def test_an_event_that_came_with_a_label_is_corrected_and_withdrawn_by_its_ids() -> None:
    journey = Journey()
    journey.send(picture("cat", 1, "dog", time_ms=40_000), picture("cat", 2, "dog", time_ms=40_000))
    journey.say(said(1, "cat", 39_000), said(2, None))
    assert journey.anchors == {"1": ("dog", 40_000, "")}
    assert journey.label_of(1).state == "outdated"  # type: ignore[union-attr]
    journey.say(said(1, "cat", 41_000))
    assert journey.anchors == {"1": ("cat", 41_000, "")}
    assert value(journey.metrics, "scored_total", group="unlabelled") == 2, "the labels that they came with"


def test_a_label_that_asks_for_it_leaves_no_vector_behind() -> None:
    journey = Journey()
    journey.send(picture("cat", 1))
    journey.say(said(1, "cat", annotator="zoe"))
    journey.say(said(1, None, 60_000, forget=True))
    assert not journey.anchors
    last = {output.key: output.value for output in journey.transport.sink.records["waiting"]}
    assert last[anchor_id_of("/test", "1").encode()] is None
    assert b"zoe" not in (last[(LABEL_PREFIX + anchor_id_of("/test", "1")).encode()] or b"")
    assert value(journey.metrics, "waiting_events") == 0


def test_what_another_encoder_made_of_an_event_is_forgotten_as_well() -> None:
    journey = Journey()
    journey.send(picture("cat", 1, time_ms=1_000))
    late: Any = journey.processor.late
    late.fingerprint = "another encoder's"
    journey.say(said(1, "cat"))
    assert len(journey.letters()) == 1, "its vector cannot be learned"
    journey.say(said(1, None, 60_000, forget=True))
    assert len(journey.letters()) == 1
    key = anchor_id_of("/test", "1").encode()
    kept = [output.value for output in journey.transport.sink.records["waiting"] if output.key == key]
    assert kept[-1] is None


def test_what_is_deleted_on_the_page_is_forgotten_by_whoever_owns_the_event() -> None:
    journey = Journey()
    journey.send(picture("cat", 1), picture("dog", 2))
    journey.say(said(1, "cat"), said(2, "dog"))
    key = anchor_id_of("/test", "1")
    journey.requests.append(DeletionRequest([key, "0" * 32], journey.deleted.extend))
    journey.settle()
    journey.settle()
    assert journey.anchors.keys() == {"2"} and journey.deleted == [key]
    last = {output.key: output.value for output in journey.transport.sink.records["waiting"]}
    assert last[key.encode()] is None
    assert journey.label_of(1).state == "withdrawn"  # type: ignore[union-attr]
    assert [change.key for change in journey.forgotten] == [key]


def test_what_is_deleted_on_the_page_is_forgotten_also_where_its_label_has_a_time_to_come() -> None:
    journey = Journey()
    journey.send(picture("cat", 1))
    tomorrow = journey.now_ms + 86_400_000
    journey.say(LabelEvent.new("/test", "1", "cat", time_ms=tomorrow, sender="zoe's clock is wrong"))
    assert journey.anchors.keys() == {"1"}
    journey.requests.append(DeletionRequest([anchor_id_of("/test", "1")], journey.deleted.extend))
    journey.settle()
    journey.settle()
    assert not journey.anchors
    assert journey.label_of(1).state == "withdrawn"  # type: ignore[union-attr]


def test_who_deletes_anchors_by_command_is_in_the_log() -> None:
    journey = Journey()
    journey.send(picture("cat", 1, "cat"), picture("dog", 2, "dog"))
    with capture_logs() as logs:
        for number, writer in ((1, f"{BY_HAND}olga"), (2, "a worker that prunes")):
            journey.transport.write([anchor_tombstone(anchor_id_of("/test", str(number)), writer)])
        journey.settle()
    assert not journey.anchors
    assert [(one["number"], one["by"]) for one in logs] == [(1, "stream_adapter/anchors/olga")]


def test_whoever_takes_over_goes_on_where_the_other_was() -> None:
    first = Journey()
    first.send(*(picture(CLASSES[number % 3], number) for number in range(6)))
    first.say(said(0, "cat"), said(1, None), said(9, "dog"))
    first.transport.write([said(2, "horse").to_output()])  # read by nobody yet
    second = Journey(first.transport)
    assert {id: one[0] for id, one in second.anchors.items()} == {"0": "cat", "2": "horse"}
    assert value(second.metrics, "scored_total", group="unlabelled") == 1, "of the first label it knows"
    second.send(picture("dog", 9))
    assert second.anchors["9"][0] == "dog"


LABELS = st.lists(
    st.builds(
        said,
        number=st.integers(0, 3),
        label=st.none() | st.sampled_from(CLASSES[:3]),
        time_ms=st.integers(50_000, 50_004),
        annotator=st.none() | st.sampled_from(["ann", "bob"]),
    ),
    max_size=8,
)


def newest(labels: Iterable[LabelEvent]) -> dict[str, tuple[str, int, str]]:
    last: dict[str, LabelEvent] = {}
    for label in sorted(labels, key=lambda one: one.stamp):
        last[label.event_id] = label
    return {
        id: (label.label, label.time_ms, label.annotator or "") for id, label in last.items() if label.label is not None
    }


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, data=st.data())
def test_any_order_of_labels_and_pictures_comes_to_the_same(labels: Sequence[LabelEvent], data: st.DataObject) -> None:
    journey = Journey()
    steps: list[Any] = [*labels, *(picture(CLASSES[number % 3], number) for number in range(4))]
    order = data.draw(st.permutations(steps))
    for step in order:
        if isinstance(step, LabelEvent):
            journey.say(step)
        else:
            journey.send(step)
        if data.draw(st.integers(0, 5)) == 0:
            journey = Journey(journey.transport)  # somebody takes over
    assert journey.anchors == newest(labels)
    probe = vectors_of(("cat", 70), ("dog", 71), ("horse", 72))
    alone = Journey()
    alone.send(*(picture(CLASSES[number % 3], number) for number in range(4)))
    alone.say(*sorted(labels, key=lambda one: one.stamp))
    np.testing.assert_allclose(
        journey.processor.adapter.predict(probe).adapted, alone.processor.adapter.predict(probe).adapted, atol=1e-6
    )


def test_partitions_share_the_bound() -> None:
    """Of ten that may wait, four in each of three partitions: nobody knows how full those of others are."""
    late = make_processor(waiting_partitions=3, labels=LabelsConfig(wait_max_events=10)).late
    assert late is not None
    events = [said(number, "cat") for number in range(60)]
    ours = [event.to_record() for event in events if partition_of(event.anchor_id, 3) == 1][:6]
    one = frozenset({1})
    records, refused = late.take(Arrivals(one, (), one, ours), {1: IMAGES})
    assert len(refused) == 2 == sum(record.channel == "dead_letters" for record in records)


def test_labels_of_others_events_among_ours_are_passed_over() -> None:
    late = make_processor(waiting_partitions=3).late
    assert late is not None
    events = [said(number, "cat") for number in range(12)]
    ours = [event.anchor_id for event in events if partition_of(event.anchor_id, 3) == 1]
    assert 2 <= len(ours) < 12 and ours[-1] != events[0].anchor_id
    one = frozenset({1})
    records, _ = late.take(Arrivals(one, (), one, [event.to_record() for event in events]), {1: IMAGES})
    waiting = {(record.key or b"").decode() for record in records if record.channel == "waiting"}
    assert {LABEL_PREFIX + key for key in ours} == {key for key in waiting if key.startswith(LABEL_PREFIX)}


def test_what_nobody_owns_is_passed_over() -> None:
    journey = Journey()
    journey.transport.write([said(1, "cat").to_output()])
    outcome = journey.processor.apply_labels(journey.feed.poll(), {}, EVERYTHING)
    assert outcome.commit == Commit([]) and not outcome.refused


def test_labels_as_a_tool_writes_them_are_read_by_their_paths() -> None:
    journey = Journey(fields={"id": "task.event", "label": "task.choice"}, source="/test")
    journey.send(picture("dog", 1, time_ms=1_000))
    journey.transport.write([OutRecord("labels", None, b'{"task": {"event": 1, "choice": "cat"}}')])
    journey.settle()
    assert journey.anchors["1"][0] == "cat"


def test_it_is_refused_at_the_stage_of_labels() -> None:
    journey = Journey(early_max_age=1.0)
    journey.transport.write([said(1, "cat").to_output()])
    arrivals = journey.feed.poll()
    journey.processor.apply_labels(arrivals, {0: IMAGES}, EVERYTHING)
    journey.now_ms += 2_000
    outcome = journey.processor.apply_labels(journey.feed.poll(), {0: IMAGES}, EVERYTHING)
    assert outcome.refused == ((IMAGES, LabelWithoutEvent.stage),)
    (letter,) = (output for output in outcome.commit.outputs if output.channel == "dead_letters")
    assert json.loads(letter.value or b"")["label"] == "cat"


@settings(max_examples=25, deadline=None)
@given(
    labels=st.lists(st.sampled_from(CLASSES[:3]), min_size=12, max_size=12),
    forgotten=st.sets(st.integers(0, 11), min_size=1, max_size=11),
    method=st.sampled_from(["mixture", "class-means"]),
)
def test_what_is_forgotten_is_as_if_it_had_never_been_labelled(
    labels: Sequence[str], forgotten: set[int], method: str
) -> None:
    pictures = [picture(CLASSES[number % 3], number, time_ms=20_000 + number) for number in range(12)]
    probe = vectors_of(*((name, 70 + seed) for name in CLASSES for seed in range(4)))

    def answers(taught: Iterable[int], forget: Iterable[int]) -> Any:
        journey = Journey(method=method)
        journey.send(*pictures)
        journey.say(*(said(number, labels[number]) for number in taught))
        journey.say(*(said(number, None, 60_000, forget=True) for number in forget))
        journey.clock.now_s += 60.0  # the window is read anew once in a while
        journey.settle()
        return journey.processor.adapter.predict(probe).adapted

    never = answers([number for number in range(12) if number not in forgotten], [])
    np.testing.assert_allclose(answers(range(12), forgotten), never, atol=1e-6)
