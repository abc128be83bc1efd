"""The first label of an event is a test of what was predicted then."""

from stream_adapter.events.image import anchor_id_of
from tests.fakes import CANARY, CLASSES, picture, vectors_of
from tests.journey.late_journey import Journey, said
from tests.journey.running import value


def test_a_late_label_is_scored_against_the_prediction_that_was_made_and_learned() -> None:
    journey = Journey()
    journey.send(picture("cat", 1, time_ms=20_000))
    journey.send(*(picture("cat", number, "dog") for number in range(10, 20)))  # from here on it says dog
    assert journey.processor.adapter.predict(vectors_of(("cat", 1))).adapted.argmax() == CLASSES.index("dog")
    before = value(journey.metrics, "correct_total", group="unlabelled", model="adapted")
    journey.say(said(1, "cat", annotator="ann"))
    assert journey.anchors["1"] == ("cat", 50_000, "ann")
    assert value(journey.metrics, "correct_total", group="unlabelled", model="adapted") == before + 1
    label = journey.label_of(1)
    assert label is not None and (label.state, label.worker, label.tested) == ("learned", "test", True)
    assert value(journey.metrics, "label_delay_seconds_sum") == 30.0
    origin = journey.processor.adapter.anchors.get(anchor_id_of("/test", "1")).origin  # type: ignore[union-attr]
    assert (origin.topic, origin.partition, origin.offset) == ("images", 0, 0)


def test_a_label_that_comes_twice_counts_once() -> None:
    journey = Journey()
    journey.send(picture("cat", 1))
    journey.say(said(1, "cat"), said(1, "cat"))
    journey.say(said(1, "cat"))
    assert value(journey.metrics, "scored_total", group="unlabelled") == 1
    assert value(journey.metrics, "labels_total", outcome="repeated") == 2
    assert (
        sum(output.key == anchor_id_of("/test", "1").encode() for output in journey.transport.sink.records["anchors"])
        == 1
    )


def test_it_counts_with_the_classes_that_had_anchors_when_it_was_predicted() -> None:
    journey = Journey()
    journey.send(picture("cat", 1), picture("cat", 2))
    journey.say(said(1, "cat"))
    journey.say(said(2, "cat"))
    assert value(journey.metrics, "scored_total", group="unlabelled") == 2
    journey.send(picture("cat", 3))
    journey.say(said(3, "cat"))
    assert value(journey.metrics, "scored_total", group="labelled") == 1


def test_of_the_labels_of_an_event_that_has_no_anchor_the_first_alone_is_a_test() -> None:
    journey = Journey()
    journey.send(picture("house", 1), picture("cat", 2))
    journey.say(said(1, CANARY), said(1, CANARY, 60_000, annotator="bob"), said(2, None))
    assert value(journey.metrics, "scored_total", group="canary") == 1
    journey.say(said(1, "cat", 70_000))
    assert journey.anchors.keys() == {"1"}
    groups = ("unlabelled", "labelled", "canary")
    assert [value(journey.metrics, "scored_total", group=group) for group in groups] == [0, 0, 1]
