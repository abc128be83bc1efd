"""Changes in other portions are the same changes."""

from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.transport.changelog import Change, in_larger_portions


@given(sizes=st.lists(st.integers(0, 7)), least=st.integers(1, 12))
def test_larger_portions_hold_the_same_in_the_same_order(sizes: list[int], least: int) -> None:
    changes = [Change(str(number), None) for number in range(sum(sizes))]
    given_ones = iter(changes)
    portions = [list(one) for one in in_larger_portions(([next(given_ones) for _ in range(n)] for n in sizes), least)]
    assert [change for portion in portions for change in portion] == changes
    assert all(len(portion) >= least for portion in portions[:-1])
    assert all(portions)
