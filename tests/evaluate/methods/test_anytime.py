import numpy as np
import pytest

from stream_adapter.evaluate.methods import Task
from stream_adapter.evaluate.methods.anytime import DECAY, PLAIN, AnytimeCl
from stream_adapter.evaluate.methods.zero_shot import ZeroShot
from tests.evaluate.data import make_features
from tests.evaluate.methods.small import TASK, teach

FEATURES = make_features(180)


def test_running_accuracy_is_a_plain_mean_first_and_fades_later() -> None:
    method = AnytimeCl(TASK)
    for hit in (1.0, 0.0, 0.0, 1.0):
        method._count(1, np.array([hit, 1.0]))
    assert method._right[:, 1].tolist() == [0.5, 1.0]
    for _ in range(PLAIN - 4):
        method._count(1, np.array([0.5, 1.0]))
    assert method._right[0, 1] == pytest.approx(0.5)
    method._count(1, np.array([1.0, 1.0]))
    assert method._right[0, 1] == pytest.approx(DECAY * 0.5 + (1 - DECAY))


def test_the_mixture_by_hand() -> None:
    method = AnytimeCl(Task(FEATURES.vocabulary))
    teach(method, FEATURES.vectors[:60], FEATURES.labels[:60].tolist())
    method._right[0], method._right[1] = 0.9, 0.3
    untouched = ZeroShot(Task(FEATURES.vocabulary)).predict(FEATURES.vectors[60:])
    tuned, other = method._tuned(FEATURES.vectors[60:])
    assert 0.0 < other.min() < other.max() < 1.0
    alpha = 0.9 * (1 - other) / (0.9 * (1 - other) + 0.3)
    np.testing.assert_allclose(
        method.predict(FEATURES.vectors[60:]), alpha * tuned + (1 - alpha) * untouched, atol=1e-6
    )


def test_classes_without_labels_keep_their_probability_up_to_the_common_sum() -> None:
    method = AnytimeCl(Task(FEATURES.vocabulary))
    known = FEATURES.labels[:90] < 3
    teach(method, FEATURES.vectors[:90][known], FEATURES.labels[:90][known].tolist())
    untouched = ZeroShot(Task(FEATURES.vocabulary)).predict(FEATURES.vectors[90:])
    answer = method.predict(FEATURES.vectors[90:])
    ratio = answer[:, 3:] / untouched[:, 3:]  # (n, 3)
    np.testing.assert_allclose(ratio, np.repeat(ratio[:, :1], 3, axis=1), rtol=1e-4)
    assert (method._right[:, 3:] == 0).all()
    assert (method._right[:, :3].max(axis=1) > 0.5).all()
