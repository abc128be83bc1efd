import threading
import time
from typing import Any

import pytest

from stream_adapter.errors import TransportError
from stream_adapter.events import AnchorRecord
from stream_adapter.journey.batching import Batcher
from stream_adapter.service.worker import DrainBudgetExceeded
from stream_adapter.transport.base import Record
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.memory import MemorySource
from tests.fakes import FakeEncoder, picture
from tests.service.rig import ONE, ZERO, Rig, SlowEncoder, learned_elsewhere, wait_for


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


def test_the_batcher_hears_how_many_events_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    monkeypatch.setattr(Batcher, "behind", lambda _, records: heard.append(records))
    source = MemorySource([ZERO, ONE])
    for number in range(20):
        source.add(**picture("cat", number), partition=(ZERO, ONE)[number % 2])
    Rig(source).worker.run()
    assert heard
    assert 10 <= heard[0] <= 20  # of both partitions, but for the first batches


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
