"""What to label next, as a worker writes it: a list of what waits with it, and another one where that has changed.

First comes one event of each class without labels that may be losing events.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import WaitingEvent
from stream_adapter.journey.suggesting import _of_classes_at_risk, choose
from tests.fakes import picture
from tests.journey.late_journey import Journey

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((DOCS / "to-label.schema.json").read_text()), format_checker=jsonschema.FormatChecker()
)


def lists(journey: Journey) -> list[list[tuple[str, str]]]:
    found = []
    for record in journey.transport.sink.records["to_label"]:
        document = json.loads(record.value or b"")
        SCHEMA.validate(document)
        headers = dict(record.headers)
        assert (headers["ce_type"], record.key) == (b"stream_adapter.to_label", headers["ce_subject"])
        found.append([(one["source"], one["id"]) for one in document["events"]])
    return found


def after(journey: Journey, seconds: float, *pictures: dict[str, Any]) -> list[list[tuple[str, str]]]:
    journey.now_ms += int(seconds * 1e3)
    journey.send(*pictures)
    return lists(journey)


def test_what_waits_is_listed_and_what_was_labelled_is_not() -> None:
    journey = Journey(suggest=3, suggest_every_s=10.0)
    assert lists(journey) == [], "nothing waits, and nothing is said"
    (first,) = after(journey, 10, *(picture("cat" if n % 2 else "dog", n) for n in range(8)), picture("cat", 8, "cat"))
    assert len(first) == 3 and ("/test", "8") not in first
    journey.say(LabelEvent.new(*first[0], "cat", time_ms=journey.now_ms))
    assert len(lists(journey)) == 1, "the next one is not due yet"
    second = after(journey, 10)[-1]
    assert len(lists(journey)) == 2 and first[0] not in second and len(second) == 3
    assert len(after(journey, 10)) == 2, "nothing has changed, and nothing is said again"
    journey.say(*(LabelEvent.new("/test", str(n), "cat", time_ms=journey.now_ms) for n in range(8)))
    assert after(journey, 10)[-1] == [], "nothing is left to label"


def test_without_a_number_nothing_is_said() -> None:
    journey = Journey(suggest=0)
    assert after(journey, 100, *(picture("cat", n) for n in range(4))) == []


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
