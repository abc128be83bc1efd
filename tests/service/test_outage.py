"""A transport that does not answer for a while: what is said, and that the worker is still there afterwards."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from stream_adapter.errors import Unreachable
from stream_adapter.events import AnchorRecord
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.outage import Outage
from stream_adapter.transport.base import Commit
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.memory import MemorySink, MemorySource
from tests.fakes import FakeClock, picture, vectors_of
from tests.service.rig import ZERO, Rig, wait_for


def test_it_is_said_at_once_then_once_a_minute_and_when_it_is_over() -> None:
    clock = FakeClock()
    health = Health(60.0, clock)
    outage = Outage(health, Metrics(), clock)
    with structlog.testing.capture_logs() as said:
        for _ in range(130):
            clock.now_s += 1.0
            outage.report("no broker")
            assert "transport_answers" in health.missing
        outage.report(None)
        outage.report(None)
    assert "transport_answers" not in health.missing
    assert [(entry["log_level"], entry.get("for_s", entry.get("after_s"))) for entry in said] == [
        ("warning", 0),
        ("warning", 60),
        ("warning", 120),
        ("info", 129),
    ]


def anchor(number: int) -> AnchorRecord:
    (vector,) = vectors_of(("cat", number))
    return AnchorRecord(f"{number:032x}", vector, "cat", 0, "/s", str(number), "images", 0, number, "fake-encoder")


class Away(MemorySink):
    """A sink that answers nothing until it is told to; remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.away = True
        self.asked: list[Commit] = []

    def commit(self, commit: Commit) -> None:
        self.asked.append(commit)
        if self.away:
            raise Unreachable("nobody is there")
        super().commit(commit)


def rig_without_answers(number: int) -> tuple[Rig, Away]:
    source = MemorySource(endless=True)
    for n in range(number):
        source.add(**picture("cat", n, "cat"))
    rig = Rig(source)
    sink = Away()
    rig.sink = rig.changelog._sink = rig.worker._pipeline._sink = sink
    return rig, sink


def test_the_worker_asks_for_the_same_commit_until_there_is_an_answer() -> None:
    rig, sink = rig_without_answers(30)
    thread = rig.run_in_thread()
    wait_for(lambda: len(sink.asked) > 3)
    assert rig.health.missing == ["transport_answers"] and rig.health.state == "no_answer"
    assert rig.metrics.registry.get_sample_value("stream_adapter_ready") == 0
    assert {str(commit.positions) for commit in sink.asked} == {str(sink.asked[0].positions)}
    sink.away = False
    wait_for(lambda: sink.positions == {ZERO: 30})
    wait_for(lambda: not rig.health.missing)
    rig.worker.stop()
    thread.join(10)
    assert sorted(int(record.key or b"") for record in sink.records["predictions"]) == list(range(30))
    assert rig.processor.adapter.n_anchors == 30


def test_a_worker_whose_commit_had_no_answer_is_not_ready_for_a_moment_in_between() -> None:
    rig, sink = rig_without_answers(4)
    ask, overdue = sink.commit, threading.Event()

    def late(commit: Commit) -> None:
        with rig.health._lock:  # it has been asked for ten seconds
            if rig.health._asked_at is not None:  # while it drains it is none
                rig.health._asked_at -= 10.0
        overdue.set()
        time.sleep(0.02)
        ask(commit)

    sink.commit = late  # type: ignore[method-assign]
    thread = rig.run_in_thread()
    assert overdue.wait(10)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        assert rig.health.missing == ["transport_answers"]
    sink.away = False
    rig.worker.stop()
    thread.join(10)


def test_a_worker_without_answers_is_alive_as_long_as_it_asks() -> None:
    rig, sink = rig_without_answers(4)
    rig.health._stuck_after_s = 0.5
    thread = rig.run_in_thread()
    wait_for(lambda: len(sink.asked) > 15)  # a tenth of a second each
    assert rig.health.alive
    sink.away = False
    rig.worker.stop()
    thread.join(10)
    assert sink.positions == {ZERO: 4}, "drained"


def test_a_source_in_trouble_makes_the_worker_unready_and_nothing_else() -> None:
    source = MemorySource(endless=True)
    rig = Rig(source)
    thread = rig.run_in_thread()
    wait_for(lambda: not rig.health.missing)
    source.trouble = "no broker has answered for 7 s"
    wait_for(lambda: rig.health.missing == ["transport_answers"])
    source.trouble = None
    source.add(**picture("cat", 0))
    wait_for(lambda: rig.sink.positions == {ZERO: 1} and not rig.health.missing)
    rig.worker.stop()
    thread.join(10)


def test_what_others_learned_is_read_before_the_events_of_a_new_partition(monkeypatch: Any) -> None:
    """Also where the changelog has no answer at first: the events wait for it."""
    source = MemorySource(endless=True)
    for n in range(3):
        source.add(**picture("cat", n))
    rig = Rig(source)
    read_to_end, failures = rig.changelog.read_to_end, [Unreachable("not now")] * 3

    def unsure() -> Any:
        if rig.worker.restored and failures:
            assert not rig.sink.commits
            raise failures.pop()
        return read_to_end()

    monkeypatch.setattr(rig.changelog, "read_to_end", unsure)
    thread = rig.run_in_thread()
    wait_for(lambda: rig.sink.positions == {ZERO: 3})
    rig.worker.stop()
    thread.join(10)
    assert not failures


def test_a_start_without_an_answer_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alive, not ready, in the metrics, with pauses that grow; and nothing is read twice or left out."""
    changes = [Change(f"{n:032x}", anchor(n)) for n in range(6)]
    rig = Rig(MemorySource(endless=True))
    portions: list[Any] = [changes[:2], Unreachable("no broker"), Unreachable("no broker"), changes[2:5], changes[5:]]
    pauses: list[float] = []

    def read_to_end() -> Iterator[Any]:
        while portions:
            if isinstance(portion := portions.pop(0), Unreachable):
                raise portion
            yield portion

    def pause(seconds: float) -> None:
        if "restored" in rig.health.missing:
            assert "transport_answers" in rig.health.missing and rig.health.alive
            pauses.append(seconds)

    monkeypatch.setattr(rig.changelog, "read_to_end", read_to_end)
    monkeypatch.setattr("stream_adapter.service.outage.time.sleep", pause)
    rig.worker.restore()
    assert len(pauses) == 2 and pauses[1] > pauses[0]
    assert rig.processor.adapter.n_anchors == 6
    assert rig.metrics.registry.get_sample_value("stream_adapter_transport_silent_seconds") == 0
    assert rig.health.missing == ["partitions_assigned"]
