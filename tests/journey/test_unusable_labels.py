"""Labels, and records about events that wait for them, that cannot be used: none of them stops a worker."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_adapter.adapter.anchors.ownership import EVERYTHING, Ownership
from stream_adapter.events import AnchorRecord
from stream_adapter.events.label import LabelEvent
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.dead_letters import reason
from stream_adapter.transport.labels import Arrivals
from tests.fakes import picture
from tests.journey.late_journey import IMAGES, Journey, said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("position", b'{"0": Infinity}'),
        ("position", b'{"0": -7}'),
        ("position", b'{"0": ' + b"9" * 30 + b"}"),
        ("label/" + "a" * 32, b'{"order": 7}'),
        ("order-7", b'{"time_ms": Infinity}\n\x00\x3c'),
        ("order-8", b"\n"),
    ],
)
def test_what_others_write_to_the_waiting_topic_is_counted_and_stops_nobody(key: str, value: bytes) -> None:
    """It once ended the worker, and its successor: it was met again at each start."""
    journey = Journey()
    record = Record(Partition("waiting", 0), 3, 99, key.encode(), value, ())
    whole = frozenset({0})
    with capture_logs() as logs:
        for arrivals in (Arrivals(whole, [record], whole), Arrivals(waiting=[record])):
            journey.processor.apply_labels(arrivals, {0: IMAGES}, EVERYTHING)
        assert journey.processor.late is not None and not journey.processor.late.unlabelled(9)
        assert not journey.processor.late.unlabelled(9)
    unreadable = key != "position" and value != b"\n"
    assert value_of(journey, "garbage") == unreadable and len(logs) == unreadable
    journey.send(picture("cat", 1))
    journey.say(said(1, "cat"))
    assert journey.anchors["1"][0] == "cat"


def value_of(journey: Journey, reason: str) -> float:
    found = journey.metrics.registry.get_sample_value("stream_adapter_records_set_aside_total", {"reason": reason})
    assert found is not None
    return found


def test_a_newer_version_s_records_are_left_alone_under_that_reason() -> None:
    journey = Journey()
    newer = Record(Partition("waiting", 0), 3, 99, b"a" * 32, b"{}\n", (("format", b"2"),))
    journey.processor.apply_labels(Arrivals(waiting=[newer], fresh=frozenset({0})), {0: IMAGES}, EVERYTHING)
    assert value_of(journey, "newer_format") == 1


def test_a_label_at_which_something_unforeseen_fails_is_a_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    journey = Journey()
    late = journey.processor.late
    assert late is not None
    parse = late.parse

    def fails_at_two(record: Record) -> LabelEvent:
        label = parse(record)
        if label.event_id == "2":
            raise ZeroDivisionError("two")
        return label

    monkeypatch.setattr(late, "parse", fails_at_two)
    journey.send(*(picture("cat", number) for number in (1, 2, 3)))
    journey.say(*(said(number, "cat") for number in (1, 2, 3)))
    assert journey.anchors.keys() == {"1", "3"}
    (letter,) = journey.letters()
    assert dict(letter.headers)["__connect.errors.exception.class.name"] == b"builtins.ZeroDivisionError"
    failed = journey.metrics.registry.get_sample_value("stream_adapter_unexpected_errors_total", {"stage": "parse"})
    assert failed == 1


def test_a_label_that_cannot_be_learned_is_a_dead_letter_and_the_others_are_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journey = Journey()
    replica = journey.processor.parts.labels.replica
    learn = replica.learn

    def fails_at_two(ids: Any, vectors: Any, records: Sequence[AnchorRecord], owned: Ownership) -> Any:
        if any(record.event_id == "2" for record in records):
            raise ZeroDivisionError("two")
        return learn(ids, vectors, records, owned)

    monkeypatch.setattr(replica, "learn", fails_at_two)
    journey.send(*(picture("cat", number) for number in (1, 2, 3)))
    journey.say(*(said(number, "cat") for number in (1, 2, 3)))
    assert journey.anchors.keys() == {"1", "3"}
    (letter,) = journey.letters()
    assert reason(letter) == "learn: unexpected ZeroDivisionError: two"
    assert journey.label_of(2) is None and journey.label_of(3).state == "learned"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["ce_id", "ce_source"])
def test_a_label_whose_own_id_no_topic_takes_is_a_dead_letter(name: str) -> None:
    journey = Journey()
    record = said(1, "cat").to_record()
    headers = tuple((n, b"x" * 900_000 if n == name else text) for n, text in record.headers)
    arrivals = Arrivals(labels=[replace(record, headers=headers)])
    outcome = journey.processor.apply_labels(arrivals, {0: IMAGES}, EVERYTHING)
    assert [output.channel for output in outcome.commit.outputs] == ["dead_letters", "waiting"]
    assert "900000 bytes, more than 8192" in reason(outcome.commit.outputs[0])


def test_a_label_that_is_no_class_is_a_dead_letter_and_changes_nothing() -> None:
    journey = Journey()
    journey.send(picture("cat", 1))
    journey.say(said(1, "cat"))
    journey.say(said(1, "zebra", 60_000))
    assert journey.anchors["1"][0] == "cat"
    assert "'zebra' is not one of the 4 classes" in reason(journey.letters()[0])


def test_what_is_no_label_is_a_dead_letter_byte_for_byte() -> None:
    journey = Journey()
    journey.transport.write([OutRecord("labels", b"k", b"\xff{", (("ce_id", b"1"),))])
    journey.settle()
    (letter,) = journey.letters()
    assert (letter.key, letter.value) == (b"k", b"\xff{")
