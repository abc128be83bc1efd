"""A learner around another one: what is not changed goes through."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Answer, Events, Labels, Learner, Records, Standing
from stream_adapter.adapter.packing import Arrays


class Wrapped:
    """A `Learner` that is another one; those derived from it change what they are for."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """See `Learner`."""
        return self._learner.predict(vectors)

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
        """See `Learner`."""
        return self._learner.state()

    def restore(self, arrays: Arrays) -> None:
        """See `Learner`."""
        self._learner.restore(arrays)

    @property
    def version(self) -> str:
        """See `Learner`."""
        return self._learner.version

    @property
    def pending(self) -> int:
        """See `Learner`."""
        return self._learner.pending
