"""Any learner under the guard: what it says is drawn towards zero-shot where it was found to do harm."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Answer, Events, Labels, Learner, Records, Standing
from stream_adapter.adapter.packing import Arrays
from stream_adapter.drift.guard import Guard


class Guarded:
    """A `Learner` that is another one, but for what it publishes."""

    def __init__(self, learner: Learner, guard: Callable[[], Guard]) -> None:
        self._learner = learner
        self._guard = guard

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """The learner's answer, with `adapted` damped and `undamped` as it is."""
        answer = self._learner.predict(vectors)
        return replace(answer, adapted=self._guard().damp(answer.zero_shot, answer.undamped))

    def update(self, events: Events, labels: Labels) -> None:
        """See `Learner`."""
        self._learner.update(events, labels)

    def follow(self, labels: Labels, records: Records) -> None:
        """See `Learner`."""
        self._learner.follow(labels, records)

    def forget(self, rows: NDArray[np.int64], vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """See `Learner`."""
        self._learner.forget(rows, vectors, classes)

    def set_classes(self, classes: Classes, former: NDArray[np.int64]) -> None:
        """See `Learner`."""
        self._learner.set_classes(classes, former)

    def records(self) -> Mapping[str, bytes]:
        """See `Learner`."""
        return self._learner.records()

    def standing(self) -> Standing:
        """See `Learner`."""
        return self._learner.standing()

    def state(self) -> dict[str, NDArray[Any]]:
        """See `Learner`; the guard's own is the drift monitor's."""
        return self._learner.state()

    def restore(self, arrays: Arrays) -> None:
        """See `Learner`."""
        self._learner.restore(arrays)

    @property
    def version(self) -> str:
        """The learner's, and what is held back where anything is."""
        damping = self._guard().damping
        if (damping == 1.0).all():
            return self._learner.version
        return f"{self._learner.version}-{hashlib.blake2b(damping.tobytes(), digest_size=4).hexdigest()}"

    @property
    def pending(self) -> int:
        """See `Learner`."""
        return self._learner.pending
