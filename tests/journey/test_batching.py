import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.journey.batching import Batcher
from stream_adapter.transport.base import Partition, Record


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def records(number: int, partition: int = 0) -> list[Record]:
    return [Record(Partition("images", partition), offset, 0, None, b"") for offset in range(number)]


def test_a_full_batch_is_due_at_once() -> None:
    batcher = Batcher(max_batch=3, max_wait_s=10.0, clock=Clock())
    batcher.add(records(2))
    assert not batcher.due
    assert batcher.room == 1
    batcher.add(records(1))
    assert batcher.due


def test_a_lone_record_waits_no_longer_than_the_limit() -> None:
    clock = Clock()
    batcher = Batcher(max_batch=3, max_wait_s=0.5, clock=clock)
    batcher.add(records(1))
    clock.now_s += 0.4
    batcher.add(records(1))  # company does not start the wait anew
    assert not batcher.due
    assert abs(batcher.remaining_wait_s - 0.1) < 1e-9
    clock.now_s += 0.1
    assert batcher.due


def test_a_batch_is_full_when_it_takes_a_tenth_of_a_second() -> None:
    batcher = Batcher(max_batch=512, max_wait_s=10.0, clock=Clock())
    assert batcher.room == 64  # nothing was measured
    batcher.took(10, 0.01)
    assert batcher.room == 100
    for _ in range(50):
        batcher.took(100, 0.02)
    assert abs(batcher.room - 500) <= 1
    batcher.took(1, 1e-9)
    for seconds, room in ((1e-9, 512), (10.0, 16)):  # never more than is allowed, never so few that each costs more
        for _ in range(50):
            batcher.took(1, seconds)
        assert batcher.room == room
    small = Batcher(max_batch=4, max_wait_s=10.0, clock=Clock())
    small.took(1, 10.0)
    assert small.room == 4
    quick = Batcher(max_batch=512, max_wait_s=10.0, clock=Clock())
    quick.took(10, 0.0)  # less than the clock can tell
    assert quick.room == 512


@pytest.mark.parametrize(
    ("behind", "room"),
    [(0, 100), (1_000, 100), (2_000, 200), (1_000_000, 300)],
    ids=["nothing waits", "for a second", "for two seconds", "for as long as can be"],
)
def test_where_events_wait_for_long_a_batch_takes_a_tenth_of_that(behind: int, room: int) -> None:
    batcher = Batcher(max_batch=512, max_wait_s=10.0, clock=Clock())
    batcher.behind(behind)
    batcher.took(100, 0.1)
    assert batcher.room == room
    batcher.behind(0)  # whoever has caught up answers as soon as ever
    batcher.took(100, 0.1)
    assert batcher.room == 100


def test_an_empty_batch_is_never_due() -> None:
    clock = Clock()
    batcher = Batcher(max_batch=3, max_wait_s=0.5, clock=clock)
    batcher.add([])
    clock.now_s += 100.0
    assert not batcher.due
    batcher.add(records(1))
    assert batcher.remaining_wait_s == 0.5


def test_records_of_partitions_that_moved_away_are_dropped() -> None:
    batcher = Batcher(max_batch=10, max_wait_s=0.5, clock=Clock())
    batcher.add(records(2, partition=0) + records(3, partition=1))
    batcher.keep_only(frozenset({Partition("images", 1)}))
    assert [record.partition.number for record in batcher.take()] == [1, 1, 1]


@given(sizes=st.lists(st.integers(0, 5), max_size=20), max_batch=st.integers(1, 6))
def test_nothing_is_lost_or_reordered(sizes: list[int], max_batch: int) -> None:
    batcher = Batcher(max_batch, 0.0, Clock())
    sent = iter(records(sum(sizes)))
    taken: list[Record] = []
    for size in sizes:
        for _ in range(size):
            batcher.add([next(sent)])
            if batcher.room == 0:
                taken += batcher.take()
    taken += batcher.take()
    assert [record.offset for record in taken] == list(range(sum(sizes)))
