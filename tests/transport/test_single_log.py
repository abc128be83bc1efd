from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.single_log import SingleLog
from stream_adapter.transport.transport import Log


def log_of(times: list[int]) -> Log:
    return SingleLog("log", lambda: [Record(Partition("log", 0), n, time, None, b"") for n, time in enumerate(times)])


@given(st.lists(st.integers(0, 20), max_size=30).map(sorted), st.integers(-1, 21))
def test_what_was_written_up_to_a_time_ends_there(times: list[int], at: int) -> None:
    log = log_of(times)
    assert log.ends() == {0: len(times)}
    until = log.ends_at(at)
    records = [record for portion in log.portions(until) for record in portion]
    assert [record.timestamp_ms for record in records] == [time for time in times if time <= at]


@given(st.integers(0, 2_500), st.integers(0, 3_000))
def test_portions_have_every_record_once_and_are_bounded(number: int, end: int) -> None:
    portions = list(log_of([0] * number).portions({0: end}))
    assert [record.offset for portion in portions for record in portion] == list(range(min(number, end)))
    assert all(0 < len(portion) <= 1_000 for portion in portions)
    assert sum(map(len, log_of([0] * number).portions())) == number
