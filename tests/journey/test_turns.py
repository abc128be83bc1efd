"""Turns: one at a time, and whoever waits is let in before the one who just had it."""

import threading
import time

from stream_adapter.journey.turns import Turns


def test_who_waits_comes_before_who_just_had_it() -> None:
    turns, order, waiting = Turns(), [], threading.Event()

    def other() -> None:
        waiting.set()
        with turns.turn():
            order.append("other")

    thread = threading.Thread(target=other)
    with turns.turn():
        thread.start()
        assert waiting.wait(10)
        time.sleep(0.05)  # it is at the door by now
        order.append("step 1")
        turns.give_way()
        order.append("step 2")
    with turns.turn():
        order.append("next")
    thread.join(10)
    assert order == ["step 1", "other", "step 2", "next"]


def test_nobody_waits_and_nothing_happens() -> None:
    turns = Turns()
    turns.give_way()
    with turns.turn():
        turns.give_way()
        assert turns._owner == threading.get_ident()


def test_who_has_no_turn_gives_none_away() -> None:
    turns, entered = Turns(), threading.Event()

    def other() -> None:
        with turns.turn():
            entered.set()

    def without_a_turn() -> None:
        turns.give_way()

    waiting, bystander = threading.Thread(target=other), threading.Thread(target=without_a_turn)
    with turns.turn():
        waiting.start()
        while not turns._gate.locked():  # until it is at the door
            time.sleep(0.001)
        bystander.start()
        bystander.join(10)
        assert not entered.wait(0.05)
    waiting.join(10)
    assert entered.is_set()


def test_never_two_at_a_time() -> None:
    turns, inside, most = Turns(), [0], [0]

    def work() -> None:
        for _ in range(200):
            with turns.turn():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1
                turns.give_way()
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert most == [1] and not any(thread.is_alive() for thread in threads)
