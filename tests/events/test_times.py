from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.events.headers import format_time, parse_time
from stream_adapter.events.times import EventTimes
from stream_adapter.transport.base import Partition, Record

NOW_MS = 1_767_323_045_000
DAY_MS = 86_400_000
LAST = "9999-12-31T23:59:59-14:00"


def record(timestamp_ms: int) -> Record:
    return Record(Partition("images", 0), 0, timestamp_ms, None, b"")


class Counted:
    def __init__(self) -> None:
        self.ahead = 0
        self.times = EventTimes(300.0, lambda: NOW_MS / 1e3, self.count)

    def count(self) -> None:
        self.ahead += 1


@pytest.mark.parametrize(
    ("own", "stated", "counts", "ahead"),
    [
        (NOW_MS, NOW_MS - DAY_MS, NOW_MS - DAY_MS, 0),  # taken in the past, as most are
        (NOW_MS, None, NOW_MS, 0),
        (NOW_MS, NOW_MS + 300_000, NOW_MS + 300_000, 0),  # clocks differ
        (NOW_MS, NOW_MS + 300_001, NOW_MS, 1),
        (NOW_MS, parse_time(LAST), NOW_MS, 1),
        (NOW_MS - DAY_MS, NOW_MS, NOW_MS - DAY_MS, 1),  # ahead when it was written, though not any more
        (-1, None, NOW_MS, 0),  # the time of arrival
        (0, None, NOW_MS, 0),
        (-1, NOW_MS - DAY_MS, NOW_MS - DAY_MS, 0),
        (-1, NOW_MS + DAY_MS, NOW_MS, 1),
        (NOW_MS + DAY_MS, None, NOW_MS, 1),  # the producer set the record's time
        (NOW_MS + DAY_MS, NOW_MS + DAY_MS, NOW_MS, 1),
        (NOW_MS + DAY_MS, NOW_MS - 5, NOW_MS - 5, 0),
    ],
)
def test_a_time_counts_as_far_as_it_can_be_believed(own: int, stated: int | None, counts: int, ahead: int) -> None:
    counted = Counted()
    assert counted.times.of(record(own), stated) == counts
    assert counted.ahead == ahead


times = st.integers(-(2**63), 2**63 - 1)


@given(own=times, stated=st.none() | times)
def test_no_time_is_ahead_of_now_by_more_than_the_bound(own: int, stated: int | None) -> None:
    assert Counted().times.of(record(own), stated) <= NOW_MS + 2 * 300_000


@given(times)
def test_every_time_can_be_written_and_read_again(time_ms: int) -> None:
    assert abs(parse_time(format_time(time_ms))) <= abs(time_ms)


@given(st.datetimes(timezones=st.timezones()))
def test_a_time_within_the_calendar_is_kept_to_the_millisecond(moment: datetime) -> None:
    text = moment.isoformat()
    if moment.utcoffset().total_seconds() % 60:  # type: ignore[union-attr]  # RFC 3339 knows no such zone
        return
    time_ms = parse_time(text)
    if 1 < moment.year < 9999:
        expected = moment.astimezone(UTC)
        assert format_time(time_ms) == expected.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_the_last_moment_of_the_calendar_can_be_written() -> None:
    assert format_time(parse_time(LAST)) == "9999-12-31T23:59:59.999Z"
    assert format_time(parse_time("0001-01-01T00:00:00+14:00")) == "0001-01-01T00:00:00.000Z"
