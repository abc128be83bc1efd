import numpy as np

from stream_adapter.evaluate.methods.tip_adapter import TipAdapter
from tests.evaluate.methods.small import TASK, teach, vectors


def test_two_anchors_by_hand() -> None:
    method = TipAdapter(TASK)
    teach(method, vectors((1, 0, 0), (0, 1, 0)), [2, 2])
    # Both anchors say c: logits 2 · (0.6, 0.8, 0) plus exp(−5.5 · 0.4) + exp(−5.5 · 0.2) on c.
    logits = np.array([1.2, 1.6, np.exp(-2.2) + np.exp(-1.1)])
    np.testing.assert_allclose(
        method.predict(vectors((0.6, 0.8, 0)))[0], np.exp(logits) / np.exp(logits).sum(), rtol=1e-5
    )
