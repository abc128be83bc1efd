import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from stream_adapter.errors import TransportError
from stream_adapter.events import AnchorRecord
from stream_adapter.journey.batching import Batcher
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.worker import DrainBudgetExceeded, Worker
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.labels import SingleLabelFeed
from stream_adapter.transport.memory import MemoryChangelog, MemorySink, MemorySource, MemoryTransport
from tests.fakes import FakeEncoder, make_processor, picture

ZERO, ONE = Partition("images", 0), Partition("images", 1)


class Rig:
    """A worker on in-memory transports, with the real loop and compute thread."""

    def __init__(
        self, source: MemorySource, encoder: Any = None, *, restored: Any = (), max_wait_s: float = 0.01, **worker: Any
    ) -> None:
        self.source = source
        self.sink = MemorySink()
        self.changelog = MemoryChangelog(restored, self.sink, writer="test")
        self.metrics = Metrics()
        self.health = Health(60.0, time.monotonic)
        waiting = {"waiting_partitions": 1, "now_ms": lambda: 0} if "labels" in worker else {}
        self.processor = make_processor(metrics=self.metrics, encoder=encoder, clock=time.monotonic, **waiting)
        self.worker = Worker(
            source=source,
            sink=self.sink,
            changelog=self.changelog,
            classes=MemoryTransport(source, self.sink).open_log("classes"),
            processor=self.processor,
            batcher=Batcher(4, max_wait_s, time.monotonic),
            metrics=self.metrics,
            health=self.health,
            drain_s=worker.pop("drain_s", 5.0),
            **worker,
        )

    def run_in_thread(self) -> threading.Thread:
        thread = threading.Thread(target=self.worker.run)
        thread.start()
        return thread


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


class SlowEncoder(FakeEncoder):
    """Waits for `go` before it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.entered = threading.Event()

    def encode(self, prepared: Any) -> Any:
        self.entered.set()
        assert self.go.wait(20)
        return super().encode(prepared)


def test_it_works_through_a_source_and_ends_with_it() -> None:
    source = MemorySource()
    for number in range(11):
        source.add(**picture("cat", number, "cat" if number % 2 else None))
    rig = Rig(source)
    rig.worker.run()
    assert len(rig.sink.records["predictions"]) == 11
    assert len(rig.sink.records["anchors"]) == 5
    assert rig.sink.positions == {ZERO: 11}
    assert rig.metrics.registry.get_sample_value("stream_adapter_predictions_total") == 11


def test_batches_are_committed_in_order() -> None:
    source = MemorySource()
    for number in range(40):
        source.add(**picture("cat", number))
    rig = Rig(source)
    rig.worker.run()
    ends = [commit.positions[ZERO] for commit in rig.sink.commits]
    assert ends == sorted(ends)
    assert ends[-1] == 40


class Patient(MemorySource):
    """Waits as long as it may for more, as a broker's client does."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        if not (records := super().poll(max_records, timeout_s)):
            time.sleep(min(timeout_s, 5.0))
        return records


def test_a_batch_that_waits_to_be_full_keeps_nothing_else_waiting() -> None:
    """An anchor of another worker is in force while a batch of four has one event and ten seconds."""
    source = Patient(endless=True)
    source.add(**picture("cat", 1))
    rig = Rig(source, max_wait_s=10.0)
    thread = rig.run_in_thread()
    try:
        wait_for(lambda: len(rig.worker._batcher) == 1)
        time.sleep(0.2)  # it waits for the second
        rig.changelog.write(learned_elsewhere(picture("dog", 7, "dog")))
        wait_for(lambda: rig.processor.adapter.n_anchors == 1, seconds=2.0)
    finally:
        rig.worker.stop()
        thread.join(10)


def test_stop_drains_what_is_under_way_and_commits_it() -> None:
    encoder = SlowEncoder()
    source = MemorySource(endless=True)
    for number in range(3):
        source.add(**picture("cat", number))
    rig = Rig(source, encoder)
    thread = rig.run_in_thread()
    assert encoder.entered.wait(10)
    rig.worker.stop()
    encoder.go.set()
    thread.join(10)
    assert not thread.is_alive()
    assert rig.sink.positions == {ZERO: 3}


def test_a_drain_that_takes_too_long_is_an_error_and_commits_nothing() -> None:
    encoder = SlowEncoder()
    source = MemorySource(endless=True)
    source.add(**picture("cat", 1))
    rig = Rig(source, encoder, drain_s=0.1)
    threading.Timer(0.3, rig.worker.stop).start()
    with pytest.raises(DrainBudgetExceeded, match=r"service\.drain_s"):
        rig.worker.run()
    encoder.go.set()
    assert rig.sink.commits == []


def test_the_source_is_polled_and_paused_while_enough_is_under_way() -> None:
    encoder = SlowEncoder()
    source = MemorySource(endless=True)
    for number in range(100):
        source.add(**picture("cat", number))
    rig = Rig(source, encoder)
    thread = rig.run_in_thread()
    assert encoder.entered.wait(10)
    wait_for(lambda: source.paused)
    polls, lag = source.polls, source.lag()[ZERO]
    wait_for(lambda: source.polls > polls + 10)
    assert source.lag()[ZERO] == lag, "nothing more is read meanwhile"
    encoder.go.set()
    wait_for(lambda: rig.sink.positions.get(ZERO) == 100)
    rig.worker.stop()
    thread.join(10)


def test_records_of_a_partition_that_moves_away_are_left_to_its_new_owner() -> None:
    source = MemorySource([ZERO, ONE], endless=True)
    source.add(**picture("cat", 1), partition=ONE)
    rig = Rig(source, max_wait_s=30.0)
    thread = rig.run_in_thread()
    wait_for(lambda: source.lag()[ONE] == 0)
    source.revoke(ONE)
    for number in range(2, 6):
        source.add(**picture("cat", number), partition=ZERO)
    wait_for(lambda: rig.sink.commits)
    rig.worker.stop()
    thread.join(10)
    assert rig.sink.positions == {ZERO: 4}
    assert [record.key for record in rig.sink.records["predictions"]] == [b"2", b"3", b"4", b"5"]
    assert rig.metrics.registry.get_sample_value("stream_adapter_rebalances_total") == 2  # what came, and what went


def test_a_partition_that_goes_and_comes_back_teaches_what_was_under_way_meanwhile() -> None:
    """Its batch is left and read again: what it taught must be taken back before, or its labels would be known."""
    encoder = SlowEncoder()
    source = MemorySource([ONE], endless=True)
    source.add(**picture("cat", 1, "cat"), partition=ONE)
    rig = Rig(source, encoder)
    thread = rig.run_in_thread()
    assert encoder.entered.wait(10)

    def rebalances() -> float | None:
        return rig.metrics.registry.get_sample_value("stream_adapter_rebalances_total")

    source.revoke(ONE)
    wait_for(lambda: rebalances() == 2)
    source.assign(ONE)
    wait_for(lambda: rebalances() == 3)
    source.add(**picture("cat", 1, "cat"), partition=ONE)
    wait_for(lambda: source.lag()[ONE] == 0)
    time.sleep(0.1)  # time to hand it over, where nothing held it back
    encoder.go.set()
    wait_for(lambda: rig.sink.records["predictions"])
    rig.worker.stop()
    thread.join(10)
    assert rig.processor.adapter.n_anchors == 1
    assert [record.value is not None for record in rig.sink.records["anchors"]] == [True]


class Feed(SingleLabelFeed):
    """Nothing comes; remembers what it was assigned."""

    def __init__(self) -> None:
        super().__init__(lambda _: (), lambda _: ())
        self.assigned: list[frozenset[int]] = []

    def assign(self, numbers: frozenset[int]) -> None:
        if self.assigned[-1:] != [numbers]:
            self.assigned.append(numbers)


def test_labels_of_a_partition_that_goes_and_comes_back_begin_anew() -> None:
    """What was under way for it was left out: whoever owns it next, be it this worker, applies these labels."""
    encoder, feed = SlowEncoder(), Feed()
    source = MemorySource([ZERO], endless=True)
    source.add(**picture("cat", 1), partition=ZERO)
    rig = Rig(source, encoder, labels=feed)
    thread = rig.run_in_thread()
    assert encoder.entered.wait(10)
    source.revoke(ZERO)
    wait_for(lambda: rig.metrics.registry.get_sample_value("stream_adapter_rebalances_total") == 2)
    source.assign(ZERO, 1)
    wait_for(lambda: rig.metrics.registry.get_sample_value("stream_adapter_rebalances_total") == 3)
    already = len(feed.assigned)
    encoder.go.set()
    wait_for(lambda: feed.assigned[already:][-1:] == [frozenset({0})])
    rig.worker.stop()
    thread.join(10)
    assert frozenset() in feed.assigned[already:]


def test_an_error_of_the_compute_thread_ends_the_worker() -> None:
    class Broken(FakeEncoder):
        def encode(self, prepared: Any) -> Any:
            raise RuntimeError("the device is gone")

    source = MemorySource(endless=True)
    source.add(**picture("cat", 1))
    with pytest.raises(RuntimeError, match="the device is gone"):
        Rig(source, Broken()).worker.run()


def test_a_failed_commit_ends_the_worker_and_no_position_is_recorded() -> None:
    source = MemorySource()
    source.add(**picture("cat", 1))
    rig = Rig(source)
    rig.sink.error = TransportError("the broker is away")
    with pytest.raises(TransportError, match="the broker is away"):
        rig.worker.run()
    assert rig.sink.positions == {}


def test_a_dead_dependency_ends_the_worker() -> None:
    def supervise() -> None:
        raise RuntimeError("a thread has ended")

    with pytest.raises(RuntimeError, match="a thread has ended"):
        Rig(MemorySource(endless=True), supervise=supervise).worker.run()


def test_it_restores_before_it_is_ready_and_follows_what_others_write() -> None:
    other = Rig(MemorySource())
    other.source.add(**picture("dog", 1, "dog"))
    other.source.add(**picture("cat", 2, "cat"))
    other.worker.run()
    written = [
        Change((record.key or b"").decode(), AnchorRecord.from_record(record.key, record.value or b"", record.headers))
        for record in other.sink.records["anchors"]
    ]
    source = MemorySource(endless=True)
    rig = Rig(source, restored=[written[0]])
    assert rig.health.missing
    thread = rig.run_in_thread()
    wait_for(lambda: not rig.health.missing)
    assert rig.processor.adapter.n_anchors == 1
    assert rig.metrics.registry.get_sample_value("stream_adapter_restored_anchors") == 1
    rig.changelog.write(written[1])
    wait_for(lambda: rig.processor.adapter.n_anchors == 2)
    rig.changelog.write(Change(written[0].key, None))
    wait_for(lambda: rig.processor.adapter.n_anchors == 1)
    rig.worker.stop()
    thread.join(10)


def test_liveness_is_progress_not_polling() -> None:
    encoder = SlowEncoder()
    source = MemorySource(endless=True)
    rig = Rig(source, encoder)
    thread = rig.run_in_thread()
    wait_for(lambda: not rig.health.missing)
    wait_for(lambda: rig.health.seconds_without_progress < 0.15)  # idle is progress
    source.add(**picture("cat", 1))
    assert encoder.entered.wait(10)
    wait_for(lambda: rig.health.seconds_without_progress > 0.3)  # a batch that hangs is none
    encoder.go.set()
    wait_for(lambda: rig.health.seconds_without_progress < 0.15)
    rig.worker.stop()
    thread.join(10)


def test_after_an_assignment_it_knows_what_the_former_owner_learned_before_it_reads_on() -> None:
    """What the former owner wrote just before it lost the partition is in the changelog, but `poll` may not have it."""

    class Late(MemoryChangelog):
        """It hands out nothing that was written since unless it is read to its end."""

        def read_to_end(self) -> Iterator[Sequence[Change]]:
            yield super().poll()

        def poll(self) -> Sequence[Change]:
            return []

    source = MemorySource([ZERO, ONE], endless=True)
    rig = Rig(source)
    rig.changelog = rig.worker._changelog = Late((), rig.sink, writer="test")
    source.revoke(ONE)
    thread = rig.run_in_thread()
    wait_for(lambda: not rig.health.missing)
    rig.changelog.write(learned_elsewhere(picture("dog", 1, "dog")))
    assert rig.processor.adapter.n_anchors == 0
    source.assign(ONE)
    source.add(**picture("dog", 2), partition=ONE)
    wait_for(lambda: rig.sink.records["predictions"])
    rig.worker.stop()
    thread.join(10)
    (prediction,) = [json.loads(record.value or b"") for record in rig.sink.records["predictions"]]
    assert [anchor["label"] for anchor in prediction["anchors"]] == ["dog"]


def learned_elsewhere(*pictures: dict[str, Any]) -> Change:
    """The record of an anchor that another worker made of a picture."""
    other = Rig(MemorySource())
    for one in pictures:
        other.source.add(**one)
    other.worker.run()
    (record,) = other.sink.records["anchors"]
    content = AnchorRecord.from_record(record.key, record.value or b"", record.headers)
    return Change(content.anchor_id, content)
