import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream_adapter.journey.explaining import best_classes


@settings(deadline=None)
@given(
    probabilities=arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 6), st.integers(1, 8)),
        elements=st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0]),
    ),
    k=st.integers(1, 8),
)
def test_the_best_classes_are_those_of_a_stable_sort_row_by_row(probabilities: np.ndarray, k: int) -> None:
    k = min(k, probabilities.shape[1])
    found = best_classes(probabilities, k)
    assert found.shape == (len(probabilities), k)
    for row, classes in zip(probabilities, found.tolist(), strict=True):
        assert classes == sorted(range(len(row)), key=lambda index: (-row[index], index))[:k]
