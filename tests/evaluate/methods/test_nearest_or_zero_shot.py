import numpy as np

from stream_adapter.evaluate.methods.nearest_or_zero_shot import NearestOrZeroShot
from stream_adapter.evaluate.methods.zero_shot import ZeroShot
from tests.evaluate.methods.small import TASK, teach, vectors


def test_a_near_label_decides_and_a_far_one_does_not() -> None:
    method = NearestOrZeroShot(TASK)
    teach(method, vectors((1, 0, 0), (0, 0.6, 0.8)), [2, 0])
    near, far = vectors((0.95, np.sqrt(1 - 0.95**2), 0)), vectors((0.85, np.sqrt(1 - 0.85**2), 0))
    assert method.predict(near)[0].tolist() == [0, 0, 1]
    np.testing.assert_array_equal(method.predict(far), ZeroShot(TASK).predict(far))


def test_of_two_near_ones_the_nearest_decides() -> None:
    method = NearestOrZeroShot(TASK)
    teach(method, vectors((1, 0, 0), (0.96, 0.28, 0)), [1, 2])
    assert method.predict(vectors((0.98, np.sqrt(1 - 0.98**2), 0))).argmax() == 2
