import numpy as np

from stream_adapter.evaluate.methods.zero_shot import ZeroShot
from tests.evaluate.methods.small import TASK, teach, vectors


def test_by_hand() -> None:
    method = ZeroShot(TASK)
    teach(method, vectors((1, 0, 0)), [2])
    # Logits 2 · (0.6, 0.8, 0).
    expected = np.exp([1.2, 1.6, 0.0]) / np.exp([1.2, 1.6, 0.0]).sum()
    np.testing.assert_allclose(method.predict(vectors((0.6, 0.8, 0)))[0], expected, rtol=1e-5)
