"""Which labels are tests, which are learned, and which are remembered."""

import numpy as np

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.events import EMBEDDING, ImageEvent
from stream_adapter.journey.labels import Labels
from stream_adapter.journey.replica import Replica
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import change_of
from tests.fakes import CANARY, CLASSES, TEXT_VECTORS, D, adapter_config, unit
from tests.learners import ClassMeans

CAT, DOG = CLASSES.index("cat"), CLASSES.index("dog")


class Rig:
    def __init__(self, remembered: int = 100) -> None:
        self.metrics = Metrics()
        self.adapter = Adapter(TEXT_VECTORS, CLASSES, 10.0, adapter_config())
        replica = Replica(self.adapter, fingerprint="f", writer="me", metrics=self.metrics)
        self.labels = Labels(replica, CLASSES, fingerprint="f", metrics=self.metrics, remembered=remembered)

    def learn(self, *events: ImageEvent) -> list[OutRecord]:
        vectors = unit(np.random.default_rng(int(events[0].id)).normal(size=(len(events), D)))
        return self.labels.learn(events, vectors, self.labels.read(events).to_learn)

    def outcome(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value("stream_adapter_labels_total", {"outcome": name})


def event(number: int, label: str | None) -> ImageEvent:
    record = Record(Partition("images", 0), number, number, None, None)
    return ImageEvent("/s", str(number), number, EMBEDDING, b"", label, None, record)


def test_first_labels_are_tests_and_lessons_corrections_are_lessons_and_repetitions_nothing() -> None:
    rig = Rig()
    rig.learn(event(1, "cat"), event(2, "dog"))
    read = rig.labels.read(
        [event(1, "cat"), event(2, "cat"), event(3, "dog"), event(3, "dog"), event(4, None), event(5, "zebra")]
    )
    assert read.tests.tolist() == [-1, -1, DOG, -1, -1, -1]
    assert read.to_learn.tolist() == [False, True, True, False, False, False]
    assert rig.outcome("repeated") == 2 and rig.outcome("unknown") == 1


def test_a_label_that_waits_for_its_class_is_counted_as_such() -> None:
    rig = Rig()
    rig.labels.replica.ask_for = lambda _: True
    read = rig.labels.read([event(1, "zebra"), event(2, "cat")])
    assert read.tests.tolist() == [-1, CAT] and read.to_learn.tolist() == [True, True], "of no class yet: no test"
    rig.learn(event(1, "zebra"), event(2, "cat"))
    assert rig.outcome("set_aside") == 1 and rig.outcome("learned") == 1


def test_a_label_that_was_read_and_not_learned_is_still_news() -> None:
    rig = Rig()
    for _ in range(2):
        assert rig.labels.read([event(1, "cat")]).tests.tolist() == [CAT]


def test_canaries_are_tests_and_no_lessons_whatever_else_is_in_the_batch() -> None:
    rig = Rig()
    events = [event(1, CANARY), event(2, "cat")]
    assert rig.labels.read(events).tests.tolist() == [CLASSES.index(CANARY), CAT]
    outputs = rig.learn(*events)
    learner = rig.adapter._learner
    assert isinstance(learner, ClassMeans)
    assert len(outputs) == rig.adapter.n_anchors == learner.labelled == 1, "the learner is not told of a canary's label"
    assert rig.outcome("learned") == 1 and rig.outcome("canary") == 1
    assert rig.learn(event(1, CANARY)) == []
    assert rig.outcome("repeated") == 1


def test_the_oldest_label_is_the_first_to_be_forgotten() -> None:
    rig = Rig(remembered=3)
    for number in range(1, 5):
        rig.learn(event(number, "cat"))
    tests = rig.labels.read([event(number, "cat") for number in range(1, 5)]).tests
    assert tests.tolist() == [CAT, -1, -1, -1]
    smaller = Rig(remembered=2)
    smaller.labels.restore(rig.labels.state())
    assert smaller.labels.state() == rig.labels.state()[1:], "a bound that was lowered since"


def test_what_others_learned_is_remembered_and_what_was_taken_back_is_not() -> None:
    one, other = Rig(), Rig()
    outputs = one.learn(event(1, "cat"))
    records = [Record(Partition("anchors", 0), 0, 0, one.key, one.value, one.headers) for one in outputs]
    other.labels.follow(change_of(record, "other") for record in records)
    assert not other.labels.read([event(1, "cat")]).to_learn.any()
    one.labels.undo(outputs)
    assert one.labels.read([event(1, "cat")]).to_learn.all()
    assert one.labels.state() == [] and len(other.labels.state()) == 1
