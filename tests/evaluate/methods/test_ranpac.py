import numpy as np

from stream_adapter.evaluate.draws import generator
from stream_adapter.evaluate.methods import Task
from stream_adapter.evaluate.methods.ranpac import GRID, WIDTH, RanPac
from tests.evaluate.data import make_features
from tests.evaluate.methods.small import teach


def test_scores_are_the_ridge_regression_on_relu_features_as_published() -> None:
    features = make_features(30)
    method = RanPac(Task(features.vocabulary, seed=5))
    teach(method, features.vectors[:24], features.labels[:24].tolist())
    projection = generator(5, "ranpac").standard_normal((features.vocabulary.d, WIDTH), np.float32)
    hidden, tests = (np.maximum(rows @ projection, 0) for rows in (features.vectors[:24], features.vectors[24:]))
    # The same regression in its dual form: scores = K_test (K + λI)⁻¹ Y, with λ = 1 so early in the stream.
    one_hot = np.eye(6)[features.labels[:24]]
    scores = tests @ hidden.T @ np.linalg.solve((hidden @ hidden.T).astype(np.float64) + np.eye(24), one_hot)
    expected = np.maximum(scores, 0) / np.maximum(scores, 0).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(method.predict(features.vectors[24:]), expected, atol=1e-3)


def test_lambda_is_chosen_from_the_grid_as_labels_come_in() -> None:
    features = make_features(240)
    method = RanPac(Task(features.vocabulary))
    chosen = []
    for start in range(0, 240, 40):
        teach(method, features.vectors[start : start + 40], features.labels[start : start + 40].tolist())
        chosen.append(method._ridge.penalty)
    assert chosen[0] == 1.0, "nothing to choose on before the first 32 labels"
    assert chosen[1] in GRID
    assert chosen[1] == chosen[2] == chosen[3], "chosen again only once there are four times as many"
