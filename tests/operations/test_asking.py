"""Whom to ask first: one event of each class without labels that may be losing events."""

from dataclasses import replace

import numpy as np

from stream_adapter.events.waiting import WaitingEvent
from stream_adapter.journey.suggesting import _of_classes_at_risk, choose


def _waiting(number: int, zero_shot: tuple[str, float], adapted: str) -> WaitingEvent:
    return WaitingEvent(
        source="/test",
        id=str(number),
        time_ms=number,
        topic="images",
        partition=0,
        offset=number,
        fingerprint="f",
        vocabulary="v",
        adapted=(adapted, 0.8),
        zero_shot=zero_shot,
        undamped=adapted,
        anchored=b"",
        vector=np.zeros(2, np.float32),
        reference="",
    )


def test_the_surest_event_of_each_class_that_may_lose_the_most_comes_first() -> None:
    taken = [("giraffe", 0.9), ("giraffe", 0.95), ("giraffe", 0.7), ("giraffe", 0.8)]
    more = [("zebra", 0.99)] * 3 + [("zebra", 0.999), ("zebra", 0.5)]
    events = [_waiting(number, said, "cat") for number, said in enumerate([*taken, *more])]
    events += [_waiting(20 + number, ("dog", 0.99), "cat") for number in range(9)]
    events += [_waiting(40 + number, ("wall", 0.99), "wall") for number in range(9)]
    nobody = np.zeros(len(events), np.bool_)
    rows = _of_classes_at_risk(events, {"cat", "dog"}, nobody)
    assert [events[row].id for row in rows] == ["7", "1"], "walls keep their own, and dogs have a label"
    assert _of_classes_at_risk(events[:1], {"cat"}, nobody[:1]) == [], "less than an event is no risk yet"


def test_a_copy_of_what_is_labelled_is_not_asked_about_for_a_class_at_risk() -> None:
    events = [_waiting(number, ("giraffe", 0.9), "cat") for number in range(20)]
    frame = np.array([0.6, 0.8], np.float32)
    frames = [replace(event, vector=frame) for event in events]
    assert len(choose(frames, np.zeros((0, 2), np.float32), {"cat"}, 8)) == 1
    assert choose(frames, frame[None], {"cat"}, 8) == []
