"""The baseline "same as last label": every event has the class of the newest label that is known.

On streams in which classes come in runs it is hard to beat, which accuracy alone does not show.

Reference: the no-change classifier of Bifet, Read, Žliobaitė, Pfahringer, Holmes, *Pitfalls in benchmarking data stream
classification and how to avoid them*, ECML-PKDD 2013. No hyper-parameters.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.methods.base import LabelsOnly, Probabilities, Task, zero_shot_probabilities


class LastLabel(LabelsOnly):
    """Answers the last label, with certainty; zero-shot before the first one."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._last: int | None = None

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """One-hot at the last label."""
        if self._last is None:
            return zero_shot_probabilities(vectors, self._task)
        answer = np.zeros((len(vectors), len(self._task.texts)), np.float32)
        answer[:, self._last] = 1.0
        return answer

    def learn(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """Remember the newest one."""
        self._last = int(classes[-1])
