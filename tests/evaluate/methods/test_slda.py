import numpy as np

from stream_adapter.evaluate.methods.slda import SHRINKAGE, StreamingLda
from tests.evaluate.data import make_features
from tests.evaluate.methods.small import TASK, Task, teach, vectors


def test_two_classes_by_hand() -> None:
    method = StreamingLda(TASK)
    teach(method, vectors((1, 0, 0), (0, 1, 0), (0.6, 0, 0.8)), [0, 1, 0])
    # First two labels: means (1, 0, 0), (0, 1, 0), no covariance. Third: n = 2, off = (−0.4, 0, 0.8),
    # Σ = (2/3 · off offᵀ) / 3; the mean of a moves half way, to (0.8, 0, 0.4).
    off = np.array([-0.4, 0.0, 0.8])
    precision = np.linalg.inv((1 - SHRINKAGE) * 2 / 9 * np.outer(off, off) + SHRINKAGE * np.eye(3))
    means = np.array([[0.8, 0.0, 0.4], [0.0, 1.0, 0.0]])
    # Half way between the means both scores are the same; next to it the linear rule decides.
    middle = means.mean(axis=0)
    np.testing.assert_allclose(method.predict(vectors(tuple(middle)))[0], [0.5, 0.5, 0.0], atol=1e-2)
    point = middle + 1e-4 * (means[0] - means[1])
    scores = means @ precision @ point - 0.5 * np.einsum("cd,de,ce->c", means, precision, means)
    expected = 1 / (1 + np.exp(scores[1] - scores[0]))
    np.testing.assert_allclose(method.predict(vectors(tuple(point)))[0][0], expected, atol=1e-2)


def test_streamed_means_are_those_of_all_events() -> None:
    features = make_features(60)
    method = StreamingLda(Task(features.vocabulary))
    for start in range(0, 60, 7):
        teach(method, features.vectors[start : start + 7], features.labels[start : start + 7].tolist())
    expected = [features.vectors[features.labels == label].mean(axis=0) for label in range(6)]
    np.testing.assert_allclose(method._means, expected, atol=1e-6)
    assert method._covariance.trace() > 0


def test_a_class_without_labels_is_never_answered() -> None:
    features = make_features(60)
    method = StreamingLda(Task(features.vocabulary))
    known = features.labels != 3
    teach(method, features.vectors[known], features.labels[known].tolist())
    assert (method.predict(features.vectors)[:, 3] == 0).all()
