"""What a worker reads of labels, where there is one log of each."""

from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.labels import (
    LABELS_AT_ONCE,
    Arrivals,
    merged_positions,
    read_positions,
    write_positions,
)
from stream_adapter.transport.memory import MemoryTransport

POSITIONS = st.dictionaries(st.integers(0, 20), st.integers(0, 2**40), max_size=4)


def waiting(key: str, value: bytes | None) -> OutRecord:
    return OutRecord("waiting", key.encode(), value)


def label(number: int) -> OutRecord:
    return OutRecord("labels", None, b"%d" % number)


def values(arrivals: Arrivals) -> list[bytes | None]:
    return [record.value for record in arrivals.labels]


def test_what_waits_comes_first_and_labels_from_where_they_were_applied() -> None:
    transport = MemoryTransport()
    transport.write([label(0), label(1), waiting("a", b"x"), waiting("position", write_positions({0: 1})), label(2)])
    feed = transport.open_labels()
    assert not feed.poll(), "nothing is ours yet"
    feed.assign(frozenset({0}))
    first = feed.poll()
    assert (first.fresh, first.restored) == (frozenset({0}), frozenset({0}))
    assert [record.key for record in first.waiting] == [b"a", b"position"]
    assert values(first) == [b"1", b"2"]
    feed.assign(frozenset({0}))
    assert not feed.poll() and feed.exhausted
    transport.write([waiting("b", b"y"), label(3)])
    later = feed.poll()
    assert (later.fresh, values(later)) == (frozenset(), [b"3"])
    assert [record.key for record in later.waiting] == [b"b"]
    assert not feed.exhausted


def test_what_went_and_came_back_begins_anew() -> None:
    transport = MemoryTransport()
    feed = transport.open_labels()
    feed.assign(frozenset({0}))
    transport.write([waiting("a", b"x"), label(0)])
    feed.poll()
    feed.assign(frozenset())
    assert not feed.poll()
    feed.assign(frozenset({0}))
    again = feed.poll()
    assert again.fresh and [record.key for record in again.waiting] == [b"a"] and values(again) == [b"0"]


def test_labels_come_a_few_at_a_time() -> None:
    transport = MemoryTransport()
    feed = transport.open_labels()
    feed.assign(frozenset({0}))
    transport.write([label(number) for number in range(2 * LABELS_AT_ONCE + 1)])
    assert [len(feed.poll().labels) for _ in range(4)] == [LABELS_AT_ONCE, LABELS_AT_ONCE, 1, 0]


@given(positions=POSITIONS)
def test_positions_are_read_back(positions: dict[int, int]) -> None:
    assert read_positions(write_positions(positions)) == positions


@given(value=st.binary(max_size=30))
def test_what_are_no_positions_are_none(value: bytes) -> None:
    assert isinstance(read_positions(value), dict)


@given(several=st.lists(POSITIONS, min_size=1, max_size=4))
def test_of_several_places_the_earliest_counts_and_one_unknown_to_any_is_the_beginning(
    several: list[dict[int, int]],
) -> None:
    merged = merged_positions(several)
    for number in range(21):
        places = [positions.get(number, -1) for positions in several]
        assert merged.get(number, -1) == min(places)


def test_nothing_is_read_for_nobody() -> None:
    assert merged_positions([]) == {}
    assert not Arrivals() and Arrivals(waiting=[Record(Partition("waiting", 0), 0, 0, b"a", None)])
