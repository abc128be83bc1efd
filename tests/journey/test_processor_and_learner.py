"""What the processor does with a learner: hold it back, try another one in its shadow, hand on what it says."""

from stream_adapter.events import PresenceRecord
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.transport.changelog import Change
from tests.fakes import CLASSES, adapter_config, make_processor, picture, vectors_of
from tests.journey.running import outputs, predictions, run, value
from tests.learners import NEWS


def harmful() -> Processor:
    """It learned that everything is a dog, and its guard has found out about cats."""
    processor = make_processor()
    run(processor, *(picture("cat", number, "dog") for number in range(5)))
    guard = processor.parts.watching.guard
    guard.lower([CLASSES.index("cat")], labels=40, difference=-0.5, row=0)
    return processor


def test_what_the_guard_holds_back_is_not_published() -> None:
    processor = harmful()
    (held,) = predictions(run(processor, picture("cat", 77)))
    assert all(one["adapted"] == one["zero_shot"] for one in held["top"])
    assert held["gate"] > 0.1, "the anchors are as near as before"
    processor.parts.watching.guard.forget([CLASSES.index("cat")])
    (free,) = predictions(run(processor, picture("cat", 77)))
    assert any(one["adapted"] != one["zero_shot"] for one in free["top"])
    assert free["versions"] != held["versions"]


def test_what_is_published_is_what_is_scored() -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics)
    run(processor, *(picture("cat", number, "dog") for number in range(10)))
    before = value(metrics, "correct_total", group="unlabelled", model="adapted")
    assert processor.adapter.predict(vectors_of(("cat", 77))).adapted.argmax() == CLASSES.index("dog")
    processor.parts.watching.guard.lower([CLASSES.index("cat")], labels=40, difference=-0.5, row=0)
    run(processor, picture("cat", 77, "cat"))
    assert value(metrics, "correct_total", group="unlabelled", model="adapted") == before + 1


def test_a_method_in_the_shadow_is_scored_and_never_acted_on() -> None:
    metrics = Metrics()
    alone = make_processor()
    beside = make_processor(metrics=metrics, adapter=adapter_config(shadow="class-means"))
    for number in range(4):
        sent = [picture("dog", 10 * number + one, "dog") for one in range(5)]
        assert [one["top"] for one in predictions(run(beside, *sent))] == [
            one["top"] for one in predictions(run(alone, *sent))
        ]
    assert value(metrics, "shadow_scored_total", group="labelled") == 15
    assert value(metrics, "shadow_correct_total", group="labelled") == value(
        metrics, "correct_total", group="labelled", model="adapted"
    )
    assert value(metrics, "shadow_accuracy_ratio", group="labelled") > 0


def test_without_a_shadow_it_has_no_accuracy() -> None:
    metrics = Metrics()
    run(make_processor(metrics=metrics), picture("dog", 1, "dog"))
    assert metrics.registry.get_sample_value("stream_adapter_shadow_accuracy_ratio", {"group": "unlabelled"}) is None


def test_what_the_learner_says_to_others_is_written_beside_the_anchors() -> None:
    processor, other = make_processor(), make_processor(slot="other")
    outcome = run(processor, *(picture("dog", number, "dog") for number in range(NEWS)))
    (record,) = (one for one in outputs(outcome, "anchors") if one.key == b"presence/evidence/test")
    content = PresenceRecord.from_record(record.key.decode(), record.value, record.headers)
    other.apply([Change(record.key.decode(), content)])
    assert other.parts.sharing.state() == processor.parts.sharing.state() == {"evidence/test": record.value}


def test_the_shadow_is_scored_by_what_it_says_itself() -> None:
    metrics = Metrics()
    processor = make_processor(metrics=metrics, adapter=adapter_config(shadow="class-means"))
    run(processor, *(picture("cat", number, "dog") for number in range(10)))
    processor.parts.watching.guard.lower([CLASSES.index("cat")], labels=40, difference=-0.5, row=0)
    run(processor, picture("cat", 77, "cat"))  # the guard is around the learner, and not around the shadow
    assert value(metrics, "correct_total", group="unlabelled", model="adapted") == 1
    assert value(metrics, "shadow_scored_total", group="unlabelled") == 11
    assert value(metrics, "shadow_correct_total", group="unlabelled") == 0
    shown = metrics.registry.get_sample_value
    assert shown("stream_adapter_shadow_accuracy_ratio", {"group": "unlabelled"}) == 0.0, "zero-shot was right once"
