"""`Replaying`: what a method by three functions is told when it answers with something else than probabilities."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Events, Labels, LearnerContext
from stream_adapter.adapter.replaying import Replaying
from stream_adapter.config import AnchorsConfig
from stream_adapter.errors import PluginError

TEXTS = np.eye(3, 8, dtype=np.float32)


class Scaled(Replaying):
    """Zero-shot, in float64, by a factor, without some of the classes."""

    def begin(self) -> None:
        pass

    def learn(self, events: Events, labels: Labels) -> None:
        pass

    def answer(self, vectors: NDArray[np.float32], zero_shot: NDArray[np.float32]) -> NDArray[np.float32]:
        factor, lacking = self.settings
        answer: NDArray[np.float32] = factor * zero_shot.astype(np.float64)[:, lacking:]
        return answer


def scaled(factor: float, lacking: int) -> Scaled:
    classes = Classes(["a", "b", "c"], TEXTS, 100.0)
    return Scaled(classes, Anchors(classes, (), AnchorsConfig(index="exact")), (factor, lacking), LearnerContext())


def test_what_it_answers_is_float32() -> None:
    assert scaled(1.0, 0).predict(TEXTS).adapted.dtype == np.float32
    assert scaled(1.0, 0).predict(TEXTS[:0]).adapted.shape == (0, 3)


@pytest.mark.parametrize(("factor", "lacking"), [(3.0, 0), (1.0, 1), (np.nan, 0)])
def test_what_are_no_probabilities_is_refused_by_its_name(factor: float, lacking: int) -> None:
    with pytest.raises(PluginError, match=r"Scaled.answer must give .* shape \(3, 3\), .* found"):
        scaled(factor, lacking).predict(TEXTS)
