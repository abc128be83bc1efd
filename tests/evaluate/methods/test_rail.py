import numpy as np
import pytest

from stream_adapter.evaluate.methods import Task
from stream_adapter.evaluate.methods.rail import FUSION, PENALTY, WIDTH, Rail
from stream_adapter.evaluate.methods.zero_shot import ZeroShot
from tests.evaluate.data import make_features
from tests.evaluate.methods.small import teach

FEATURES = make_features(120)


def taught() -> Rail:
    method = Rail(Task(FEATURES.vocabulary))
    known = FEATURES.labels[:60] < 3
    teach(method, FEATURES.vectors[:60][known], FEATURES.labels[:60][known].tolist())
    return method


def test_what_zero_shot_takes_for_a_class_without_labels_is_left_alone() -> None:
    zero_shot = ZeroShot(Task(FEATURES.vocabulary)).predict(FEATURES.vectors[60:])
    outside = zero_shot.argmax(axis=1) >= 3
    assert 0 < outside.sum() < 60
    answer = taught().predict(FEATURES.vectors[60:])
    np.testing.assert_array_equal(answer[outside], zero_shot[outside])
    assert (np.abs(answer[~outside] - zero_shot[~outside]).max(axis=1) > 1e-3).all()


def test_elsewhere_it_is_the_published_mixture() -> None:
    method = taught()
    zero_shot = ZeroShot(Task(FEATURES.vocabulary)).predict(FEATURES.vectors[60:])
    inside = zero_shot.argmax(axis=1) < 3
    known = FEATURES.labels[:60] < 3
    hidden = np.maximum(FEATURES.vectors[:60][known] @ method._projection, 0).astype(np.float64)
    tests = np.maximum(FEATURES.vectors[60:] @ method._projection, 0)
    one_hot = np.eye(6)[FEATURES.labels[:60][known]]
    scores = tests @ hidden.T @ np.linalg.solve(hidden @ hidden.T + PENALTY * np.eye(len(hidden)), one_hot)
    mixed = np.maximum((1 - FUSION) * zero_shot + FUSION * scores, 0)[inside]
    expected = mixed / mixed.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(method.predict(FEATURES.vectors[60:])[inside], expected, atol=1e-3)


def test_the_scaled_penalty_keeps_the_kernel_of_the_published_width() -> None:
    assert pytest.approx(0.1 / 15_000) == PENALTY / WIDTH
