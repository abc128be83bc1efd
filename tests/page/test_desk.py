import threading
from collections.abc import Sequence
from typing import Any

import pytest

from stream_adapter.page.desk import Busy, Desk
from tests.fakes import FakeClock


class Views:
    """Counts how often the adapter is looked at, and by which thread."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def __call__(self) -> Any:
        self.threads.append(threading.get_ident())
        return f"view {len(self.threads)}"


def make_desk() -> tuple[Desk, Views, FakeClock]:
    clock, views = FakeClock(), Views()
    desk = Desk(clock)
    desk.open(views)
    return desk, views, clock


def test_nothing_is_looked_at_until_somebody_asks() -> None:
    desk, views, _ = make_desk()
    assert desk.turn() == ()
    assert views.threads == []


def test_however_many_ask_the_adapter_is_copied_once_a_second() -> None:
    desk, views, clock = make_desk()
    asked = [desk.view() for _ in range(50)]
    desk.turn()
    assert {future.result(0) for future in asked} == {"view 1"}
    clock.now_s = 0.9
    assert desk.view().result(0) == "view 1"
    clock.now_s = 1.1
    later = desk.view()
    assert not later.done()
    desk.turn()
    assert later.result(0) == "view 2"
    assert len(views.threads) == 2


def test_who_stops_waiting_does_not_take_it_from_the_others() -> None:
    desk, _, _ = make_desk()
    one, other = desk.view(), desk.view()
    assert not one.cancel()
    desk.turn()
    assert other.result(0) == "view 1"


def test_what_is_forgotten_is_told_when_it_is_durable_and_seen_at_once() -> None:
    desk, _, _ = make_desk()
    desk.view()
    desk.turn()
    done = desk.forget(["a", "b"])
    (wish,) = desk.turn()
    assert wish.anchor_ids == ("a", "b")
    assert not done.done()
    wish.durable(["a"])
    assert done.result(0) == ["a"]
    assert not desk.view().done(), "the view from before is not shown any more"


def test_wishes_do_not_pile_up_before_a_worker_that_is_stuck() -> None:
    desk, _, _ = make_desk()
    with pytest.raises(Busy):
        for _ in range(1_000):
            desk.forget(["a"])
    assert len(desk.turn()) == 64


def test_all_threads_are_served_by_the_owner_alone() -> None:
    desk, views, clock = make_desk()
    answers: list[Sequence[str]] = []

    def ask() -> None:
        for number in range(50):
            desk.view().result(10)
            answers.append(desk.forget([str(number)]).result(10))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        clock.now_s += 0.1
        for wish in desk.turn():
            wish.durable(wish.anchor_ids)
    for thread in threads:
        thread.join()
    assert len(answers) == 200
    assert set(views.threads) == {threading.get_ident()}
