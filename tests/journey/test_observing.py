"""Looking on while batches pass, and having anchors deleted."""

from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.journey.observing import DeletionRequest
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Partition
from tests.fakes import D, make_processor, picture
from tests.journey.running import Onlooker, outputs, run, value


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
