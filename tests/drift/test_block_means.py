import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.drift.block_means import BlockMeans


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), max_size=20), max_size=8), st.integers(1, 9))
def test_blocks_do_not_depend_on_the_batches(batches: list[list[float]], block: int) -> None:
    values = np.array([value for batch in batches for value in batch])
    means = BlockMeans(block)
    found = [means.take(np.array(batch)) for batch in batches]
    joined = np.concatenate([mean for mean, _ in found]) if found else np.zeros(0)
    expected, rows = BlockMeans(block).take(values)
    assert np.array_equal(joined, expected)
    starts = np.cumsum([0, *map(len, batches)])
    at = [
        int(start) + row for start, (_, batch_rows) in zip(starts, found, strict=False) for row in batch_rows.tolist()
    ]
    assert at == rows.tolist()


def test_a_block_that_is_not_complete_survives_a_restart() -> None:
    means, restored = BlockMeans(3), BlockMeans(3)
    means.take(np.array([1.0, 2.0]))
    restored.restore(json.loads(json.dumps(means.state())))
    assert restored.take(np.array([6.0]))[0].tolist() == [3.0]


def test_needs_a_value_per_block() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BlockMeans(0)
