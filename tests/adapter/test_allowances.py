import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.allowances import allowances


def one_at_a_time(counts: list[int], newest: list[int], budget: int, per_class: int) -> list[int]:
    """As one would say it: while there is too much, the largest class gives one, of equals the stalest."""
    allowed = [min(count, per_class) for count in counts]
    while sum(allowed) > budget:
        largest = max(allowed)
        level = [index for index, size in enumerate(allowed) if size == largest]
        allowed[min(level, key=lambda index: (newest[index], -index))] -= 1
    return allowed


@settings(deadline=None)
@given(
    classes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=6),
    budget=st.integers(1, 40),
    per_class=st.integers(1, 10),
)
def test_the_largest_classes_give_first(classes: list[tuple[int, int]], budget: int, per_class: int) -> None:
    counts, newest = [count for count, _ in classes], [time for _, time in classes]
    found = allowances(np.array(counts), np.array(newest), budget, per_class)
    assert found.tolist() == one_at_a_time(counts, newest, budget, per_class)
