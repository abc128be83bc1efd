import numpy as np
import pytest

from stream_adapter.evaluate.methods.kernel_ridge import BETA, LAMBDA, KernelRidge
from tests.evaluate.methods.small import TASK, teach, vectors


def test_one_anchor_by_hand() -> None:
    method = KernelRidge(TASK)
    teach(method, vectors((0.6, 0.8, 0)), [2])
    # Left over at the anchor: (0, 0, 1) − (0.6, 0.8, 0); its kernel with itself is 1.
    dual = np.array([-0.6, -0.8, 1.0]) / (1 / LAMBDA + 1)
    cosines = np.array([1.0, 0.0, 0.0]) + np.exp(-BETA * 0.4) * dual
    expected = np.exp(2 * cosines) / np.exp(2 * cosines).sum()
    np.testing.assert_allclose(method.predict(vectors((1, 0, 0)))[0], expected, rtol=1e-5)


def test_far_from_all_anchors_the_regression_fades() -> None:
    method = KernelRidge(TASK)
    teach(method, vectors((0, 0, 1)), [0])
    zero_shot = KernelRidge(TASK).predict(vectors((1, 0, 0), (0, 0, 1)))
    moved = np.abs(method.predict(vectors((1, 0, 0), (0, 0, 1))) - zero_shot).max(axis=1)
    assert moved[0] == pytest.approx(np.exp(-BETA) * moved[1], rel=0.4)
