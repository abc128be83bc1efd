import numpy as np
import pytest

from stream_adapter.evaluate.methods.knn import NEIGHBOURS, NearestNeighbours
from tests.evaluate.methods.small import TASK, teach, vectors


def test_two_neighbours_by_hand() -> None:
    method = NearestNeighbours(TASK)
    teach(method, vectors((1, 0, 0), (0, 1, 0)), [0, 1])
    # Weights exp(0.6 / 0.07) and exp(0.8 / 0.07): their ratio is exp(0.2 / 0.07).
    answer = method.predict(vectors((0.6, 0.8, 0)))[0]
    assert answer[1] / answer[0] == pytest.approx(np.exp(0.2 / 0.07), rel=1e-4)
    assert answer[2] == 0.0


def test_only_the_nearest_vote() -> None:
    method = NearestNeighbours(TASK)
    teach(method, np.repeat(vectors((1, 0, 0)), NEIGHBOURS, axis=0), [0] * NEIGHBOURS)
    teach(method, np.repeat(vectors((0, 1, 0)), 100, axis=0), [1] * 100)
    assert method.predict(vectors((0.8, 0.6, 0)))[0].tolist() == [1, 0, 0]
