import threading
import time
from typing import Any

import numpy as np

from stream_adapter.page.sampling import Sampler
from tests.fakes import FakeClock
from tests.page.seen import event, prediction

PICTURE = np.zeros((3, 4, 4), np.uint8)


def batch(number: int, **changes: Any) -> tuple[Any, Any, Any]:
    ids = [str(one) for one in range(number)]
    return [event(id) for id in ids], [PICTURE] * number, [prediction(id, **changes) for id in ids]


def drained(sampler: Sampler) -> list[Any]:
    found = []
    while (one := sampler.take(0.0)) is not None:
        found.append(one)
    return found


def test_somebody_who_looks_gets_the_rate_and_nobody_gets_one_a_second() -> None:
    for watched, per_s, expected in ((True, 10.0, 100), (False, 10.0, 10), (False, 0.5, 5), (True, 0.5, 5)):
        clock = FakeClock()
        sampler = Sampler(per_s, lambda watched=watched: watched, clock)  # type: ignore[misc]
        taken = 0
        for _ in range(1_000):  # 10 s of batches
            sampler.on_batch(*batch(8))
            taken += len(drained(sampler))
            clock.now_s += 0.01
        assert abs(taken - expected) <= 2, (watched, per_s)


def test_a_pause_is_not_made_up_for() -> None:
    clock = FakeClock()
    sampler = Sampler(10.0, lambda: True, clock)
    clock.now_s += 1_000.0
    for _ in range(10):
        sampler.on_batch(*batch(64))
    assert len(drained(sampler)) <= 4


def test_what_nobody_takes_is_dropped() -> None:
    clock = FakeClock()
    sampler = Sampler(1_000.0, lambda: True, clock)
    for _ in range(200):
        clock.now_s += 1.0
        sampler.on_batch(*batch(64))
    assert len(drained(sampler)) == 16


def test_a_batch_that_is_not_due_is_not_looked_at() -> None:
    class Untouchable(list[Any]):
        def __getitem__(self, at: Any) -> Any:
            raise AssertionError("looked at")

        __iter__ = __len__ = __bool__ = __getitem__  # type: ignore[assignment]

    sampler = Sampler(1.0, lambda: True, FakeClock())
    sampler.on_batch(*batch(2))
    sampler.on_batch(Untouchable(), Untouchable(), Untouchable())


def test_labelled_and_moved_events_are_looked_for_and_said_to_be() -> None:
    clock = FakeClock()
    sampler = Sampler(1.0, lambda: True, clock)
    events, pictures, predictions = batch(50, zero_shot_label="dog")
    predictions[17] = prediction("17", label="cat", zero_shot_label="dog")
    predictions[31] = prediction("31")
    found = []
    for _ in range(8):
        clock.now_s += 1.0
        sampler.on_batch(events, pictures, predictions)
        found += drained(sampler)
    assert {one.prediction["event"]["id"] for one in found if one.picked == "labelled"} == {"17"}
    assert {one.prediction["event"]["id"] for one in found if one.picked == "moved"} == {"31"}
    assert all(one.anchor_id == event(one.prediction["event"]["id"]).anchor_id for one in found)


def test_two_threads_hand_over_without_a_loss() -> None:
    clock = FakeClock()
    sampler = Sampler(1.0, lambda: True, clock)
    got: list[Any] = []
    ended = threading.Event()

    def take() -> None:
        while not ended.is_set():
            if (one := sampler.take(0.01)) is not None:
                got.append(one)

    thread = threading.Thread(target=take)
    thread.start()
    for _ in range(200):
        before = len(got)
        sampler.on_batch(*batch(3))
        while len(got) == before:
            time.sleep(0.0005)
        clock.now_s += 1.0
    ended.set()
    thread.join()
    assert len(got) == 200
