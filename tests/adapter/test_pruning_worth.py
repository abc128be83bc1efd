import numpy as np
import pytest

from stream_adapter.adapter import pruning_worth
from stream_adapter.adapter.anchors import Anchor
from stream_adapter.adapter.pruning_worth import NOTHING_LEFT, ClassWorth, Doubt, Points, fixed_point, products
from tests.adapter.anchor_sets import random_unit, store_of, unit


def test_doubt_is_one_and_a_tenth_minus_the_largest_probability() -> None:
    texts = np.eye(3, dtype=np.float32)
    doubt = Doubt(texts, logit_scale=2.0)
    vectors = np.stack([texts[0], unit(texts[0] + texts[1] + texts[2])])
    # τ · cosines are (2, 0, 0) and three times the same.
    expected = [1.1 - np.e**2 / (np.e**2 + 2), 1.1 - 1 / 3]
    assert doubt.of(fixed_point(vectors)) / 1_024 == pytest.approx(expected, abs=0.51 / 1_024)


def test_worth_is_doubt_times_the_distance_from_the_nearest() -> None:
    vectors = np.array([[1, 0, 0], [0.8, 0.6, 0], [0, 0, 1]], np.float32)
    store = store_of([Anchor(f"{i}", vector, "cat", i) for i, vector in enumerate(vectors)], ("cat",), 3)
    # One class alone has probability 1 whatever the picture is: all doubts are f.
    worth = ClassWorth(store, Doubt(vectors[:1], 1.0), Points(store))
    worth.look(np.arange(3))
    unit_of_worth = 0.1 * 1_024 * pruning_worth._FIXED_POINT**2
    assert worth.least / unit_of_worth == pytest.approx(0.2, rel=0.01)
    assert worth.take() == 0, "of the pair the older one"
    assert worth.least / unit_of_worth == pytest.approx(1.0, rel=0.01)
    worth.take()
    assert worth.take() == 2
    assert worth.least == NOTHING_LEFT


def test_fixed_point_cosines_are_exact_in_any_order() -> None:
    vectors = random_unit(50, 1_024, seed=5)
    near = unit(vectors + 1e-4 * random_unit(50, 1_024, seed=6))
    points = fixed_point(np.concatenate([vectors, near]))
    exact = points.astype(np.int64) @ points.astype(np.int64).T
    assert exact.max() < 2**24
    shuffled = np.random.default_rng(0).permutation(1_024)
    assert (products(points, points) == exact).all()
    assert (products(points[:3, shuffled], points[:, shuffled]) == exact[:3]).all()
