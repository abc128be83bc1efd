"""Any learner under the guard: what it says is drawn towards zero-shot where it was found to do harm."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.learner import Answer, Learner
from stream_adapter.adapter.wrapped import Wrapped
from stream_adapter.drift.guard import Guard


class Guarded(Wrapped):
    """A `Learner` that is another one, but for what it publishes."""

    def __init__(self, learner: Learner, guard: Callable[[], Guard]) -> None:
        super().__init__(learner)
        self._guard = guard

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """The learner's answer, with `adapted` damped and `undamped` as it is."""
        answer = self._learner.predict(vectors)
        return replace(answer, adapted=self._guard().damp(answer.zero_shot, answer.undamped))

    @property
    def version(self) -> str:
        """The learner's, and what is held back where anything is."""
        damping = self._guard().damping
        if (damping == 1.0).all():
            return self._learner.version
        return f"{self._learner.version}-{hashlib.blake2b(damping.tobytes(), digest_size=4).hexdigest()}"
