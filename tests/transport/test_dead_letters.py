import pytest
from hypothesis import given

from stream_adapter import config
from stream_adapter.errors import (
    DeadLetterLimitExceeded,
    EventError,
    MalformedEvent,
    UndecodableImage,
    UnexpectedFailure,
    UnknownLabel,
)
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.dead_letters import DeadLetterLimit, dead_letter, reason, undo, without_value
from tests.transport.strategies import RECORDS

RECORD = Record(Partition("images", 3), 42, 1_700_000_000_000, b"k", b"\xff\xd8broken", (("ce_id", b"1"), ("a", b"")))


def read_back(letter: OutRecord, offset: int = 5) -> Record:
    time_ms = 0 if letter.timestamp_ms is None else letter.timestamp_ms
    return Record(Partition("dead-letters", 0), offset, time_ms, letter.key, letter.value, letter.headers)


def test_a_dead_letter_is_the_original_and_connects_headers() -> None:
    letter = dead_letter(RECORD, UndecodableImage("truncated after 8 bytes"))
    assert (letter.channel, letter.key, letter.value, letter.timestamp_ms) == (
        "dead_letters",
        RECORD.key,
        RECORD.value,
        RECORD.timestamp_ms,
    )
    assert letter.headers == (
        *RECORD.headers,
        ("__connect.errors.topic", b"images"),
        ("__connect.errors.partition", b"3"),
        ("__connect.errors.offset", b"42"),
        ("__connect.errors.stage", b"decode"),
        ("__connect.errors.exception.class.name", b"stream_adapter.errors.UndecodableImage"),
        ("__connect.errors.exception.message", b"truncated after 8 bytes"),
        ("stream_adapter.format", b"1"),
    )


def test_what_nobody_foresaw_is_there_by_its_own_class() -> None:
    letter = dead_letter(RECORD, UnexpectedFailure("predict", OverflowError("date value out of range")))
    assert letter.headers[-4:-1] == (
        ("__connect.errors.stage", b"predict"),
        ("__connect.errors.exception.class.name", b"builtins.OverflowError"),
        ("__connect.errors.exception.message", b"unexpected OverflowError: date value out of range"),
    )


@given(RECORDS)
def test_undo_gives_the_original_back(record: Record) -> None:
    assert undo(read_back(dead_letter(record, MalformedEvent("bad")))) == record


@given(RECORDS)
def test_a_dead_letter_that_failed_again_keeps_its_first_reasons(record: Record) -> None:
    first = read_back(dead_letter(record, MalformedEvent("first")))
    second = read_back(dead_letter(first, UnknownLabel("second")), offset=9)
    assert undo(second) == first
    assert reason(second) == "label: second"


def test_a_record_without_a_time_gets_the_time_of_writing() -> None:
    record = Record(RECORD.partition, 0, -1, None, b"", ())
    assert dead_letter(record, MalformedEvent("bad")).timestamp_ms is None


def test_what_is_no_dead_letter_is_refused() -> None:
    with pytest.raises(MalformedEvent, match="images-3 offset 42 is not a dead letter"):
        undo(RECORD)
    with pytest.raises(MalformedEvent, match="is not a dead letter"):
        reason(RECORD)
    letter = dead_letter(RECORD, MalformedEvent("bad"))
    headers = tuple((name, b"x" if name.endswith("offset") else value) for name, value in letter.headers)
    with pytest.raises(MalformedEvent, match="names no origin"):
        undo(Record(RECORD.partition, 0, 0, None, b"", headers))


def test_a_letter_too_large_to_keep_says_where_the_original_is() -> None:
    letter = dead_letter(RECORD, MalformedEvent("bad"))
    size = sum(len(name) + len(value) for name, value in letter.headers) + len(RECORD.key + RECORD.value)
    assert without_value(letter, size) is letter
    cut = without_value(letter, size - 1)
    assert cut.value == b"" and cut.headers[:-1] == letter.headers
    with pytest.raises(MalformedEvent, match="too large to be kept"):
        undo(read_back(cut))


class TestLimit:
    limit = config.DeadLetterLimit(max_share=0.5, window=10, min_events=4)
    bad = UndecodableImage("not an image")

    def test_half_is_not_more_than_half(self) -> None:
        told: list[bool] = []
        watch = DeadLetterLimit(self.limit, told.append)
        for _ in range(20):
            watch.observe(good=1, bad=[self.bad])
        assert watch.share == 0.5
        assert not any(told)

    def test_below_the_minimum_nothing_is_said(self) -> None:
        watch = DeadLetterLimit(self.limit)
        watch.observe(good=0, bad=[self.bad] * 3)
        with pytest.raises(DeadLetterLimitExceeded, match="all of the first 4 events are bad"):
            watch.observe(good=0, bad=[self.bad])

    def test_once_a_good_event_came_a_flood_is_told_and_ends_nothing(self) -> None:
        told: list[bool] = []
        watch = DeadLetterLimit(self.limit, told.append)
        watch.observe(good=1, bad=[self.bad])  # too few to say anything
        for _ in range(100):
            watch.observe(good=0, bad=[self.bad] * 5)
        assert watch.share == 1.0
        assert told == [False, *[True] * 100]

    def test_sixty_percent_bad_from_the_start_ends_nothing(self) -> None:
        told: list[bool] = []
        watch = DeadLetterLimit(self.limit, told.append)
        for _ in range(10):
            watch.observe(good=2, bad=[self.bad] * 3)
        assert told[1:] == [True] * 9

    def test_the_window_forgets(self) -> None:
        told: list[bool] = []
        watch = DeadLetterLimit(self.limit, told.append)
        watch.observe(good=1, bad=[self.bad] * 9)
        watch.observe(good=10_000, bad=[])
        assert watch.share == 0.0
        watch.observe(good=0, bad=[self.bad] * 5)
        watch.observe(good=0, bad=[self.bad])
        assert told == [True, False, False, True]

    def test_the_message_has_the_figures_and_the_commonest_reasons(self) -> None:
        watch = DeadLetterLimit(self.limit)
        reasons: list[EventError] = [UnknownLabel("label 'catt'"), *[self.bad] * 3]
        with pytest.raises(DeadLetterLimitExceeded) as caught:
            watch.observe(good=0, bad=reasons)
        message = str(caught.value)
        assert "all of the first 4 events are bad" in message
        assert message.index("3 × decode/UndecodableImage") < message.index("1 × label/UnknownLabel")
        assert "'not an image'" in message and "catt" in message
        for key in ("`events.format`", "`dead_letters.max_share: 1.0`"):
            assert key in message

    def test_a_share_of_one_never_stops(self) -> None:
        told: list[bool] = []
        watch = DeadLetterLimit(config.DeadLetterLimit(max_share=1.0, window=5, min_events=1), told.append)
        watch.observe(good=0, bad=[self.bad] * 50)
        assert watch.share == 1.0
        assert told == [False]
