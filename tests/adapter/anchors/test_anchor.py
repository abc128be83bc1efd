import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.anchor import as_stored, check_vectors
from stream_adapter.errors import AnchorError
from tests.adapter.anchor_sets import random_unit


@settings(deadline=None)
@given(dimension=st.integers(2, 600), seed=st.integers(0, 10_000))
def test_the_original_its_float16_form_and_the_stored_vector_are_stored_as_the_same_bits(
    dimension: int, seed: int
) -> None:
    original = random_unit(8, dimension, seed)
    stored, halves = as_stored(original)
    assert np.allclose(np.linalg.norm(stored, axis=1), 1.0, atol=1e-6 if dimension >= 64 else 1e-3)
    assert stored.astype(np.float16).tobytes() == halves.tobytes()
    assert np.allclose(stored, original, atol=1e-3)
    for again in (halves.astype(np.float32), stored):
        stored_again, halves_again = as_stored(again)
        assert stored_again.tobytes() == stored.tobytes()
        assert halves_again.tobytes() == halves.tobytes()


def test_a_vector_is_stored_alike_whatever_it_is_batched_with() -> None:
    vectors = random_unit(50, 512)
    together, _ = as_stored(vectors)
    alone = np.concatenate([as_stored(vectors[index : index + 1])[0] for index in range(50)])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize(
    ("component", "found"), [(np.nan, "nan"), (np.inf, "inf"), (1.1, "1.1"), (0.0, "0"), (1.0015, "1.0015")]
)
def test_vectors_that_are_not_finite_or_not_unit_are_refused_by_name_and_value(component: float, found: str) -> None:
    vectors = np.zeros((3, 4), np.float32)
    vectors[:, 0] = 1.0
    vectors[1, 0] = component
    with pytest.raises(AnchorError, match=rf"^anchor 1: the vector's length is {found}.*, expected 1"):
        check_vectors(vectors, 4, "anchor {}".format)


def test_vectors_a_little_off_unit_are_accepted() -> None:
    check_vectors(random_unit(3, 64) * np.float32(1.0009), 64, str)


@pytest.mark.parametrize("shape", [(3, 5), (4,), (1, 3, 4)])
def test_vectors_of_another_length_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AnchorError, match=r"expected \(n, 4\)"):
        check_vectors(np.zeros(shape, np.float32), 4, str)
