import numpy as np

from stream_adapter.evaluate.methods import Task
from stream_adapter.evaluate.methods.stata import (
    NEIGHBOURS,
    TEMPERATURE,
    StatA,
    _affinity,
    _responsibilities,
    _spread,
)
from tests.evaluate.data import make_features
from tests.evaluate.methods.small import TASK, vectors

RANDOM = np.random.default_rng(0)


def test_the_affinity_of_four_points_by_hand() -> None:
    points = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]])
    weights = _affinity(points)
    np.testing.assert_allclose(weights, weights.T)
    assert weights.diagonal().tolist() == [0.0] * 5
    # The last is nobody's neighbour among three but has three itself: each of its links counts once.
    np.testing.assert_allclose(weights[4], [0.0, -0.8, 0.0, -0.6, 0.0])
    # The first two are each other's: their link counts twice.
    np.testing.assert_allclose(weights[0, 1], 2 * 0.8)


def test_the_likelihood_is_the_gaussians() -> None:
    points, means = RANDOM.normal(size=(5, 4)), RANDOM.normal(size=(3, 4))
    variances = RANDOM.uniform(0.5, 2.0, (3, 4))
    prior = np.full((5, 3), 1 / 3)
    found = _responsibilities(points, prior, prior, np.zeros((5, 5)), means, variances)
    density = -0.5 * (np.square(points[:, None] - means) / variances + np.log(variances)).sum(axis=2)
    expected = np.exp(density / TEMPERATURE)
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-9)


def test_the_spread_is_the_weighted_square_distance() -> None:
    points, means = RANDOM.normal(size=(5, 4)), RANDOM.normal(size=(3, 4))
    belief = RANDOM.dirichlet(np.ones(3), 5)
    expected = (belief[:, :, None] * np.square(points[:, None] - means)).sum(axis=0)
    np.testing.assert_allclose(_spread(points, means, belief), expected)


def test_a_point_among_neighbours_of_another_class_follows_them() -> None:
    features = make_features(96)
    method = StatA(Task(features.vocabulary))
    cluster = features.vectors[features.labels == 0]
    zero_shot = features.vectors @ features.vocabulary.text_vectors.T
    doubtful = zero_shot[features.labels == 0].argmax(axis=1) != 0
    assert doubtful.any()
    alone = method.predict(cluster[doubtful][:1])[0, 0]
    among = method.predict(np.concatenate([cluster[doubtful][:1], cluster[~doubtful]]))[0, 0]
    assert among > alone


def test_a_batch_may_be_small_or_empty() -> None:
    method = StatA(TASK)
    for events in range(NEIGHBOURS + 2):
        answer = method.predict(np.repeat(vectors((0.6, 0.8, 0)), events, axis=0))
        assert answer.shape == (events, 3)
        assert np.isfinite(answer).all()
