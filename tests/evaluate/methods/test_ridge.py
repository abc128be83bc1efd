import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.evaluate.methods.ridge import StreamingRidge


@given(
    st.integers(0, 2**32 - 1), st.lists(st.integers(1, 7), min_size=1, max_size=6), st.sampled_from([0.01, 1.0, 100.0])
)
def test_batch_by_batch_is_the_regression_on_everything(seed: int, batches: list[int], penalty: float) -> None:
    random = np.random.default_rng(seed)
    features = random.normal(size=(sum(batches), 8)).astype(np.float32)
    classes = random.integers(0, 3, len(features))
    ridge = StreamingRidge(8, 3, penalty)
    for rows in np.split(np.arange(len(features)), np.cumsum(batches)[:-1]):
        ridge.add(features[rows], classes[rows])
    wide = features.astype(np.float64)
    expected = np.linalg.solve(wide.T @ wide + penalty * np.eye(8), wide.T @ np.eye(3)[classes])
    np.testing.assert_allclose(ridge.weights, expected, atol=1e-7)
    assert ridge.events == len(features)


def test_one_event_by_hand() -> None:
    ridge = StreamingRidge(2, 2, penalty=1.0)
    ridge.add(np.array([[2.0, 0.0]], np.float32), np.array([1]))
    # (4 + 1)⁻¹ · 2 for the class of the event, nothing elsewhere.
    np.testing.assert_allclose(ridge.weights, [[0.0, 0.4], [0.0, 0.0]])


def test_the_penalty_that_predicts_best_is_taken_and_in_force() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(40, 30)).astype(np.float32)
    truth = (features[:, 0] > 0).astype(np.int64)
    ridge = StreamingRidge(30, 2, penalty=1e-3)
    ridge.add(features[:32], truth[:32])
    grid = (1e-3, 10.0, 1e9)
    ridge.choose_penalty(grid, features[32:], truth[32:])
    wide = features[:32].astype(np.float64)

    def weights(penalty: float) -> np.ndarray:
        return np.linalg.solve(wide.T @ wide + penalty * np.eye(30), wide.T @ np.eye(2)[truth[:32]])

    errors = [np.square(features[32:] @ weights(penalty) - np.eye(2)[truth[32:]]).mean() for penalty in grid]
    assert ridge.penalty == grid[int(np.argmin(errors))] == pytest.approx(10.0)
    np.testing.assert_allclose(ridge.weights, weights(10.0), atol=1e-7)
