"""What the reader makes of records: events, dead letters, and what is neither."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import EventsConfig, FieldsConfig
from stream_adapter.errors import EventError, ForeignVector, UnexpectedFailure, UnknownLabel
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.journey.reading import ReadBatch, Reader
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import UNREADABLE, Headers, Partition, Record
from stream_adapter.transport.dead_letters import dead_letter
from tests.events.test_cloudevents import some_headers, values
from tests.fakes import CLASSES, FakeEncoder

NOW_MS = 1_767_323_045_000


def record(value: bytes | None = b"cat 1", headers: Headers | None = None, **attributes: Any) -> Record:
    sent = image_event_headers(source="/test", id="1", content_type="image/jpeg", **attributes)
    return Record(Partition("images", 0), 7, NOW_MS, b"k", value, sent if headers is None else headers)


class Reading:
    """A reader on a fake encoder, and its metrics."""

    def __init__(self, *, encoder: Any = None, reject: bool = True, events: EventsConfig | None = None) -> None:
        self.metrics = Metrics()
        self.reader = Reader(
            encoder or FakeEncoder(),
            CLASSES,
            reject_unknown_labels=reject,
            decoders=InlineExecutor(),
            metrics=self.metrics,
            events=events,
        )

    def read(self, *records: Record) -> ReadBatch:
        return self.reader.read(records)

    def refused(self, one: Record) -> EventError:
        _, _, refused = self.reader.decoded(self.read(one))
        ((refused_record, error),) = refused
        assert refused_record is one
        return error

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"stream_adapter_{name}", labels)


@pytest.mark.parametrize("headers", [(), record().headers, (("ce_id", b"\xff"),)])
def test_a_tombstone_is_neither_an_event_nor_bad(headers: Headers) -> None:
    reading = Reading()
    batch = reading.read(*[record(None, headers)] * 198, record())
    assert (len(batch.records), len(batch.events), len(batch.refused)) == (199, 1, 0)
    assert reading.value("tombstones_total") == 198


def test_what_could_not_be_read_is_no_tombstone() -> None:
    reading = Reading()
    assert "torn" in str(reading.refused(record(None, ((UNREADABLE, b"torn"),))))
    assert reading.value("tombstones_total") == 0


def test_a_time_that_is_too_far_ahead_is_counted_and_the_record_s_own_counts() -> None:
    reading = Reading(events=EventsConfig(max_ahead_s=60.0))
    batch = reading.read(record(time_ms=NOW_MS + 60_000), record(time_ms=NOW_MS + 60_001))
    assert [event.time_ms for event, _ in batch.events] == [NOW_MS + 60_000, NOW_MS]
    assert reading.value("event_times_ahead_total") == 1


@pytest.mark.parametrize("label", ["cat", " cat ", "cat\t"])
def test_blanks_around_a_label_do_not_matter(label: str) -> None:
    ((event, _),) = Reading().read(record(label=label)).events
    assert event.label == "cat"


def test_a_label_that_differs_in_case_only_is_refused_with_the_class() -> None:
    error = Reading().refused(record(label="Cat"))
    assert isinstance(error, UnknownLabel)
    assert "label 'Cat'" in str(error) and "did you mean 'cat'?" in str(error)
    assert "classes add" in str(Reading().refused(record(label="zebra")))
    assert Reading(reject=False).read(record(label="Cat")).events[0][0].label == "Cat"


class Broken(FakeEncoder):
    def prepare(self, data: bytes, content_type: str) -> Any:
        if data == b"cat 13":
            raise ZeroDivisionError("thirteen")
        return super().prepare(data, content_type)


def test_an_unforeseen_error_in_a_decoder_makes_that_event_a_dead_letter_and_no_other() -> None:
    reading = Reading(encoder=Broken())
    events, pictures, refused = reading.reader.decoded(reading.read(record(), record(b"cat 13"), record(b"cat 2")))
    assert (len(events), len(pictures)) == (2, 2)
    ((bad, error),) = refused
    assert isinstance(error, UnexpectedFailure)
    letter = dict(dead_letter(bad, error).headers)
    assert letter["__connect.errors.stage"] == b"decode"
    assert letter["__connect.errors.exception.class.name"] == b"builtins.ZeroDivisionError"
    assert reading.value("unexpected_errors_total", stage="decode") == 1
    assert reading.value("stage_failed_total", stage="decode") == 1


def test_of_vectors_that_events_bring_those_are_refused_that_no_picture_has() -> None:
    vectors = np.eye(4, FakeEncoder.d, dtype="<f4")
    vectors[1], vectors[2, 3] = 0.0, np.nan
    sent = image_event_headers(source="/test", id="1", content_type=EMBEDDING, fingerprint=FakeEncoder.fingerprint)
    reading = Reading()
    events, prepared, refused = reading.reader.decoded(reading.read(*(record(one.tobytes(), sent) for one in vectors)))
    assert [event.data for event in events] == [vectors[row].tobytes() for row in (0, 3)]
    np.testing.assert_array_equal(prepared, vectors[[0, 3]])
    assert [type(error) for _, error in refused] == [ForeignVector] * 2


def test_an_unforeseen_error_in_a_parser_does_too(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading()

    def parse(record: Record) -> None:
        raise RecursionError("no end")

    monkeypatch.setattr(reading.reader, "_format", parse)
    error = reading.refused(record())
    assert (type(error), error.stage) == (UnexpectedFailure, "parse")
    assert reading.value("unexpected_errors_total", stage="parse") == 1


@pytest.mark.parametrize("part", ["id", "source", "label", "key"])
def test_names_that_no_topic_takes_make_a_dead_letter(part: str) -> None:
    """A prediction repeats them, and must fit into its topic."""
    most = "ü" * 4_096
    for name, refused in ((most, False), (most + "x", True)):
        sent = {"source": "/test", "id": "1", "label": None, part: name}
        key = sent.pop("key", "k") or ""
        headers = image_event_headers(content_type="image/jpeg", **sent)  # type: ignore[arg-type]
        one = Record(Partition("images", 0), 7, NOW_MS, key.encode(), b"cat 1", headers)
        reading = Reading(reject=False)
        if refused:
            assert re.search(rf"the event's {part} has 8193 bytes, more than 8192", str(reading.refused(one)))
        else:
            assert len(reading.read(one).events) == 1


def test_plain_json_is_read_where_it_is_configured() -> None:
    plain = record(b'{"nr": 5, "image": "Y2F0IDE=", "class": "dog"}', ())
    assert "events.format: json" in str(Reading().refused(plain))
    events = EventsConfig(format="json", fields=FieldsConfig(id="nr", picture="image", label="class"))
    reading = Reading(events=events)
    ((event, picture),) = reading.read(plain).events
    assert (event.id, event.label, event.data) == ("5", "dog", b"cat 1")
    assert picture.result().shape == (FakeEncoder.d,)


@settings(max_examples=300)
@given(value=values, headers=some_headers)
def test_whatever_comes_is_an_event_a_dead_letter_or_a_tombstone(
    value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    reading = Reading()
    batch = reading.read(record(value, tuple(headers)))
    events, _, refused = reading.reader.decoded(batch)
    assert len(events) + len(refused) == (value is not None)
    assert sum(reading.value("unexpected_errors_total", stage=stage) or 0 for stage in ("parse", "decode")) == 0


def test_a_reference_where_none_are_fetched_says_so() -> None:
    batch = Reading().reader.read([record(None, reference="https://pictures.example/1.jpg")])
    ((_, error),) = batch.refused
    assert not batch.events and "no references are fetched here" in str(error)


def test_an_unforeseen_error_while_a_picture_is_fetched_makes_its_event_a_dead_letter() -> None:
    class Broken:
        pool = InlineExecutor()

        def fetch(self, reference: Any, since: float) -> bytes:
            raise ZeroDivisionError("no such luck")

    reading = Reading()
    reading.reader._references = Broken()  # type: ignore[assignment]
    error = reading.refused(record(None, reference="https://pictures.example/1.jpg"))
    assert isinstance(error, UnexpectedFailure) and "no such luck" in str(error)
    assert reading.value("unexpected_errors_total", stage="decode") == 1
