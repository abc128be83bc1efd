"""Finding the event at fault."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.journey.faults import done_apart


class Work:
    """Fails for some rows, and remembers for which it was done."""

    def __init__(self, bad: set[int]) -> None:
        self.bad = bad
        self.done: list[int] = []

    def __call__(self, rows: Sequence[int]) -> list[int]:
        if self.bad & set(rows):
            raise ZeroDivisionError(str(rows))
        self.done += rows
        return list(rows)


@given(st.integers(2, 40), st.sets(st.integers(0, 39)))
def test_all_but_the_rows_at_fault_are_done_once_and_in_order(count: int, bad: set[int]) -> None:
    bad = {row for row in bad if row < count - 1}
    work = Work(bad)
    done, faults = done_apart(work, range(count))
    assert [row for part in done for row in part] == work.done == [row for row in range(count) if row not in bad]
    assert set(faults) == bad


def test_a_batch_without_a_fault_is_done_in_one_piece() -> None:
    assert done_apart(Work(set()), range(64)) == ([list(range(64))], {})
    assert done_apart(Work(set()), []) == ([[]], {})


def test_work_that_fails_for_every_event_is_at_fault_itself() -> None:
    with pytest.raises(ZeroDivisionError):
        done_apart(Work({0, 1, 2}), range(3))


def test_a_lone_event_is_at_fault_where_the_work_can_be_done_without_it() -> None:
    done, faults = done_apart(Work({0}), range(1))
    assert done == [] and set(faults) == {0}

    def broken(rows: Sequence[int]) -> None:
        raise ZeroDivisionError("it is the work")

    with pytest.raises(ZeroDivisionError, match="it is the work"):
        done_apart(broken, range(1))
