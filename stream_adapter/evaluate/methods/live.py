"""The rivals as learners, so that a worker can run one, or have one in its shadow: `adapter.method: tip-adapter`."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.learner import Events, Labels
from stream_adapter.adapter.replaying import Replaying
from stream_adapter.config import Section
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.evaluate.methods import METHODS, Batch, Lessons, Task


class _Rival(Replaying):
    """A method of `evaluate` under the learner's protocol. It has the constants that it is compared with."""

    Settings: ClassVar[type[Section]] = Section
    name: ClassVar[str]

    def begin(self) -> None:
        """See `Replaying.begin`."""
        of = self.classes
        vocabulary = Vocabulary(tuple(of.names), of.texts, of.logit_scale)
        self._method = METHODS[self.name](Task(vocabulary, seed=self.context.seed))

    def learn(self, events: Events, labels: Labels) -> None:
        """See `Replaying.learn`."""
        # Methods take ids for nothing but to forget, which is done by beginning anew.
        ids = np.arange(len(events.keys), dtype=np.int64)
        self._method.update(Batch(events.vectors, ids), Lessons(labels.vectors, labels.classes, labels.rows))

    def answer(self, vectors: NDArray[np.float32], zero_shot: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Replaying.answer`."""
        return self._method.predict(vectors)

    @property
    def version(self) -> str:
        """The method's name."""
        return self.name


def __getattr__(name: str) -> type[_Rival]:
    """The learner of a method, `tip_adapter` for `tip-adapter`."""
    method = name.replace("_", "-")
    if method not in METHODS or method in ("default", "llu"):
        raise AttributeError(name)
    return type(name, (_Rival,), {"name": method})
