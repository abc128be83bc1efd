import numpy as np
import pytest

from stream_adapter.evaluate.methods import Batch, Lessons, Task
from stream_adapter.evaluate.methods.base import softmax
from stream_adapter.evaluate.methods.online_mixture import OnlineMixture
from tests.evaluate.data import make_features
from tests.evaluate.methods.small import TASK, teach, vectors

FEATURES = make_features(240, shift=1.5)


def test_labels_by_hand() -> None:
    """The formula with the responsibilities of labels, written out event by event."""
    rows, classes = vectors((1, 0, 0), (0.6, 0.8, 0), (0, 0, 1)), [0, 0, 1]
    method = OnlineMixture(TASK)
    teach(method, rows, classes)
    texts = TASK.texts.astype(np.float64)
    start = rows.mean(axis=0) + texts - texts.mean(axis=0)
    counts, sums = np.array([2, 1, 0]), np.array([rows[0] + rows[1], rows[2], [0, 0, 0]])
    means = (start + sums) / (1 + counts)[:, None]
    spread = sum(np.outer(z - means[c], z - means[c]) for z, c in zip(rows, classes, strict=True)) / 3
    spread += np.trace(spread) / 3 * np.eye(3)
    weights = means @ np.linalg.inv(spread)
    z = vectors((0.8, 0.6, 0))
    expected = softmax(TASK.scale * z @ texts.T + z @ weights.T - 0.5 * (weights * means).sum(axis=1))
    np.testing.assert_allclose(method.predict(z), expected, atol=1e-5)


def test_a_label_that_comes_later_takes_the_beliefs_place() -> None:
    rows = np.arange(24)
    batch = Batch(FEATURES.vectors[rows], rows)
    lessons = Lessons(FEATURES.vectors[rows], FEATURES.labels[rows], rows)
    nothing = Lessons(FEATURES.vectors[:0], FEATURES.labels[:0], rows[:0])
    at_once, late, labels_alone = (OnlineMixture(Task(FEATURES.vocabulary)) for _ in range(3))
    at_once.update(batch, lessons)
    late.update(batch, nothing)
    before = late.predict(FEATURES.vectors[24:])
    late.update(Batch(FEATURES.vectors[:0], rows[:0]), lessons)
    labels_alone.update(Batch(FEATURES.vectors[:0], rows[:0]), lessons)
    expected = labels_alone.predict(FEATURES.vectors[24:])
    np.testing.assert_allclose(at_once.predict(FEATURES.vectors[24:]), expected, atol=1e-4)
    np.testing.assert_allclose(late.predict(FEATURES.vectors[24:]), expected, atol=1e-4)
    assert np.abs(expected - before).max() > 0.1


@pytest.mark.parametrize("labelled", [False, True])
def test_traffic_moves_answers_with_labels_and_without(labelled: bool) -> None:
    method = OnlineMixture(Task(FEATURES.vocabulary))
    first = method.predict(FEATURES.vectors[200:])
    for start in range(0, 200, 50):
        rows = np.arange(start, start + 50)
        known = rows if labelled else rows[:0]
        lessons = Lessons(FEATURES.vectors[known], FEATURES.labels[known], known)
        method.update(Batch(FEATURES.vectors[rows], rows), lessons)
    assert np.abs(method.predict(FEATURES.vectors[200:]) - first).max() > 0.1
