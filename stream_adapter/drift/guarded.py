"""Any learner under the guard: what it says is drawn towards zero-shot where it was found to do harm.

The level of its protection travels with its records, so that all workers are under the same one.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.learner import Answer, Labels, Learner, Records
from stream_adapter.adapter.protection import LEVEL_KEY, level_of
from stream_adapter.adapter.wrapped import Wrapped
from stream_adapter.drift.guard import Guard
from stream_adapter.drift.protecting import ProtectionLevel


class Guarded(Wrapped):
    """A `Learner` that is another one, but for what it publishes."""

    def __init__(
        self, learner: Learner, guard: Callable[[], Guard], protection: Callable[[], ProtectionLevel] | None = None
    ) -> None:
        super().__init__(learner)
        self._guard = guard
        self._protection = protection
        self._level = 0  # in force

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        """The learner's answer, with `adapted` damped and `undamped` as it is."""
        answer = self._learner.predict(vectors)
        return replace(answer, adapted=self._guard().damp(answer.zero_shot, answer.undamped))

    def follow(self, labels: Labels, records: Records) -> None:
        """See `Learner`."""
        super().follow(labels, records)
        if LEVEL_KEY in records and self._protection is not None:
            self._level = level_of(records[LEVEL_KEY])
            self._protection().follow(self._level)

    def records(self) -> Mapping[str, bytes]:
        """See `Learner`."""
        level = self._level if self._protection is None else self._protection().level
        return {**super().records(), **({LEVEL_KEY: b"%d" % level} if level != self._level else {})}

    @property
    def version(self) -> str:
        """The learner's, and what is held back where anything is."""
        damping = self._guard().damping
        if (damping == 1.0).all():
            return self._learner.version
        return f"{self._learner.version}-{hashlib.blake2b(damping.tobytes(), digest_size=4).hexdigest()}"
