"""What to label next, as a worker writes it: a list of what waits with it, and another one where that has changed."""

import json
from pathlib import Path
from typing import Any

import jsonschema

from stream_adapter.events.label import LabelEvent
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
