"""When the window is asked anew, and how much of the time that may take."""

import numpy as np
import pytest

from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.adapter.mixture.estimate import Estimate
from tests.adapter.mixture.streams import (
    CENTRES,
    D,
    Stream,
    adapter,
    answers,
    run,
    stream,
    unit,
)


class Slow:
    """A clock at which every look takes so many seconds, so a refresh does."""

    def __init__(self, look_s: float) -> None:
        self.now_s = 0.0
        self._look_s = look_s

    def __call__(self) -> float:
        self.now_s += self._look_s
        return self.now_s


def test_a_label_is_in_force_in_the_very_next_batch_though_the_window_is_asked_later():
    now = [0.0]
    taught = adapter(LearnerContext(clock=lambda: now[0]))
    run(taught, stream(300, 1), np.arange(0, 300, 4))
    before, waiting = answers(taught), taught.pending
    event = Stream(["new"], unit(CENTRES[7] + 0.05)[None], np.array([8]))
    taught.update(["new"], event.vectors, event.anchors(np.array([0])))
    assert taught.pending == waiting + 1
    assert abs(answers(taught) - before).max() > 0.01
    now[0] = 60.0
    taught.update([], np.zeros((0, D), np.float32))
    assert taught.pending == 0


def test_a_refresh_takes_at_most_a_tenth_of_the_time():
    reads = iter(range(10**9))

    def clock() -> float:  # every look at the clock takes half a second, so a refresh does
        return next(reads) / 2

    taught, busy = adapter(LearnerContext(clock=clock), every_s=1.0), stream(3_000, 3)
    run(taught, Stream(busy.ids[:2_200], busy.vectors[:2_200], busy.truth[:2_200]))  # while it is young growth counts
    versions = set()
    for start in range(2_200, 3_000, 10):
        rows = slice(start, start + 10)
        taught.update(busy.ids[rows], busy.vectors[rows])
        versions.add(taught.version)
    # 80 updates of half a second each, a refresh of half a second in at least five, and three with a tenth more
    assert 3 <= len(versions) - 1 <= 12


@pytest.mark.parametrize("publishes", [False, True])
def test_at_its_start_a_fast_stream_is_asked_anew_within_the_second(publishes):
    """Labels are in force at once: so must be what protects the classes that have none."""
    clock = Slow(0.0005)
    taught, busy = adapter(LearnerContext(clock=clock, publishes=publishes), every_s=1.0), stream(640, 3)
    versions = []
    for start in range(0, 640, 16):
        rows = slice(start, start + 16)
        taught.update(busy.ids[rows], busy.vectors[rows], busy.anchors(np.arange(start, start + 4)))
        taught.follow((), taught.records())
        versions.append(taught.version.rpartition("-")[2])
        clock.now_s += 0.02
    assert clock.now_s < 1.0
    assert 8 <= len(set(versions)) <= 30  # each time with a tenth more


def test_while_nothing_arrives_a_refresh_does_not_wait_for_its_tenth_of_the_time():
    clock = Slow(0.5)
    taught, busy = adapter(LearnerContext(clock=clock), every_s=1.0), stream(420, 3)
    taught.follow(busy.anchors(np.arange(400)))
    taught.learn(())  # a refresh, and the next in five seconds
    taught.follow(busy.anchors(np.arange(400, 420)))  # not a tenth more
    taught.learn(())
    assert taught.pending == 20
    started = clock.now_s
    while taught.pending:
        taught.learn(())
    assert clock.now_s - started <= 2.0


@pytest.mark.parametrize("labels", [0, 1])
def test_labels_that_others_write_are_arrivals_and_what_says_nothing_is_none(labels):
    clock = Slow(0.5)
    taught, busy = adapter(LearnerContext(clock=clock), every_s=2.0), stream(420, 3)
    taught.follow(busy.anchors(np.arange(400)))
    taught.learn(())  # a refresh, and the next in five seconds, or in two where nothing arrives
    started = clock.now_s
    taught.follow(busy.anchors(np.arange(400, 401)))
    clock.now_s += 2.0
    for row in range(401, 420):  # not a tenth more
        taught.follow(busy.anchors(np.arange(row, row + labels)))
        taught.learn(())
        if taught.pending <= labels:
            break
    assert (clock.now_s - started >= 5.0) if labels else (clock.now_s - started <= 4.0)


def test_a_batch_that_shows_new_directions_is_asked_in_the_same_update():
    taught, events = adapter(), stream(32, 1)
    taught.update(events.ids, events.vectors)
    assert taught._learner._window.seen == 32  # type: ignore[attr-defined]
    assert taught._learner._labelled.evidence.events == 32  # type: ignore[attr-defined]


def test_directions_of_another_worker_make_the_window_be_asked_anew():
    """They decide what is a copy of what, and so by how much each event counts."""
    other, events = adapter(LearnerContext(publishes=True)), stream(300, 1)
    run(other, stream(300, 2), batch=300)
    directions = {"directions": other.records()["directions"]}
    before, after = adapter(), adapter()
    before.follow((), directions)
    for one in (before, after):
        one.update(events.ids, events.vectors)
    alone = answers(after)
    after.follow((), directions)
    np.testing.assert_allclose(answers(after), answers(before), atol=1e-6)
    assert abs(answers(after) - alone).max() > 1e-4, "or it would not matter"


def test_a_pause_that_is_nearly_over_does_not_make_a_refresh_take_more_than_its_tenth(monkeypatch):
    monkeypatch.setattr("stream_adapter.adapter.mixture.shared_evidence._BYTES_PER_S", 100)
    asked, ask, rebuild = list[float](), Estimate.ask, Estimate.rebuild
    monkeypatch.setattr(Estimate, "ask", lambda *arguments: (asked.append(now[0]), ask(*arguments)))
    now, of = [0.0], stream(420, 1)

    def slow(estimate: Estimate) -> None:
        now[0] += 0.5
        rebuild(estimate)

    one = adapter(LearnerContext(clock=lambda: now[0], slot="w", publishes=True))

    def learn(start: int, end: int, at_s: float) -> None:
        now[0], rows = at_s, np.arange(start, end)
        one.update([of.ids[row] for row in rows], of.vectors[rows], of.anchors(rows[::4]))
        one.follow((), one.records())

    learn(0, 40, 0.0)
    until_s = one._learner._labelled.shared.pause_until_s  # type: ignore[attr-defined]
    monkeypatch.setattr(Estimate, "rebuild", slow)
    learn(40, 400, until_s - 1.0)  # a refresh of half a second, without the window
    learn(400, 405, until_s + 0.1)
    learn(405, 410, until_s + 3.9)
    assert asked == [0.0]
    learn(410, 415, until_s + 4.1)
    assert asked == [0.0, until_s + 4.1]


def test_the_window_is_not_asked_while_nothing_may_be_told(monkeypatch):
    """Records are large and may come only so often; what would be found in between nobody would hear of."""
    monkeypatch.setattr("stream_adapter.adapter.mixture.shared_evidence._BYTES_PER_S", 100)
    asked, ask = list[float](), Estimate.ask
    monkeypatch.setattr(Estimate, "ask", lambda *arguments: (asked.append(now[0]), ask(*arguments)))
    now, of = [0.0], stream(400, 1)
    one = adapter(LearnerContext(clock=lambda: now[0], slot="w", publishes=True))

    def learn(start: int, end: int, at_s: float) -> bool:
        now[0], rows = at_s, np.arange(start, end)
        one.update([of.ids[row] for row in rows], of.vectors[rows], of.anchors(rows[::4]))
        told = one.records()
        one.follow((), told)
        return "evidence/w" in told

    assert learn(0, 40, 0.0)
    until_s = one._learner._labelled.shared.pause_until_s  # type: ignore[attr-defined]
    assert until_s > 5.0
    before = answers(one)
    assert not learn(40, 200, 2.0) and not learn(200, 360, until_s - 0.5)
    assert asked == [0.0]
    assert abs(answers(one) - before).max() > 0.01, "labels are in force all the same"
    assert one.pending > 0
    assert learn(400, 400, until_s), "then at once, also where nothing comes"
    assert asked == [0.0, until_s] and one.pending == 0
