from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.drift.new_class import binomial_tails


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=32), st.floats(0.001, 0.999))
def test_is_the_sum_of_the_probabilities(successes: list[bool], share: float) -> None:
    counts = np.cumsum(successes, dtype=np.int64)
    expected = [
        sum(comb(k, j) * share**j * (1 - share) ** (k - j) for j in range(int(count), k + 1))
        for k, count in enumerate(counts, start=1)
    ]
    assert binomial_tails(counts, share) == pytest.approx(expected)
