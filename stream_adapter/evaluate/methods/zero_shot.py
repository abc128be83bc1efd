"""The untouched model.

    p = softmax(τ · z·t_c)

Reference: Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, ICML 2021,
arXiv 2103.00020. No hyper-parameters.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import LabelsOnly, Probabilities, Task, zero_shot_probabilities


class ZeroShot(LabelsOnly):
    """Learns nothing."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """softmax(τ · z·t)."""
        return zero_shot_probabilities(vectors, self._task)

    def learn(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """Leave the labels aside."""

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Nothing was learned from labels."""
