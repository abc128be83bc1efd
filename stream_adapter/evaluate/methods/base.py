"""What a protocol asks of a method, and what it gives it."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.learner import ClassKind
from stream_adapter.config import AdapterConfig
from stream_adapter.encode.vocabulary import Vocabulary

Probabilities = NDArray[np.float32]
"""float32 (B, C), rows sum to 1."""


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """What a method knows before the first event.

    Attributes:
        vocabulary: the classes, with their text vectors and the logit scale τ.
        canaries: names of the classes that will never be taught.
        seed: for methods that draw anything.
        adapter: settings of `default` and `llu`; other methods do not look at them.
    """

    vocabulary: Vocabulary
    canaries: tuple[str, ...] = ()
    seed: int = 0
    adapter: AdapterConfig = field(default_factory=AdapterConfig)

    @property
    def texts(self) -> NDArray[np.float32]:
        """Float32 (C, d), unit."""
        return self.vocabulary.text_vectors

    @property
    def scale(self) -> float:
        """The logit scale τ."""
        return self.vocabulary.logit_scale


class Batch(NamedTuple):
    """Events that arrived together.

    Attributes:
        vectors: float32 (B, d), unit.
        ids: int64 (B,), what labels that come later refer to.
    """

    vectors: NDArray[np.float32]
    ids: NDArray[np.int64]


class Lessons(NamedTuple):
    """Labels that are known now, of this batch or of an earlier one.

    Attributes:
        vectors: float32 (n, d), unit.
        classes: int64 (n,), indices into the vocabulary.
        ids: int64 (n,), of the events that they label.
    """

    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    ids: NDArray[np.int64]


class Method(Protocol):
    """A classifier that learns from a stream: for each batch one `predict`, then one `update`."""

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """Probabilities over all C classes, for vectors (B, d). Later predictions do not depend on this call."""

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Take in traffic that was predicted, and the labels that are known now; either may be empty."""

    def class_kinds(self) -> Sequence[ClassKind] | None:
        """What each class is taken for now; None where the method does not tell classes apart."""
        return None


Make = Callable[[tuple[str, ...]], Method]
"""Makes a method anew; it is given the names of the classes that are never taught."""

Advance = Callable[[int], None]
"""Is called with how many events were predicted since the last call."""


@runtime_checkable
class CanForget(Protocol):
    """What a method has in addition that can take labels back."""

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Undo what the labels of these events (n,) taught; the events stay traffic. Unknown ids change nothing."""


class LabelsOnly(Method):
    """Base of methods that learn from labels alone and take no class for anything."""

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Learn the labels, where there are any."""
        if len(lessons.classes):
            self.learn(lessons.vectors, lessons.classes)

    @abstractmethod
    def learn(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """Learn vectors (n, d) of classes (n,), n ≥ 1, in this order."""


def softmax(logits: NDArray[np.floating]) -> Probabilities:
    """Softmax of each row, in float64."""
    wide = logits.astype(np.float64)
    wide = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(wide / wide.sum(axis=1, keepdims=True), np.float32)


def zero_shot_probabilities(vectors: NDArray[np.float32], task: Task) -> Probabilities:
    """softmax(τ · z·t_c): (B, d) -> (B, C)."""
    return softmax(task.scale * vectors @ task.texts.T)


def shares(scores: NDArray[np.floating], fallback: Probabilities) -> Probabilities:
    """Scores (B, C) as probabilities: clipped at zero and divided by their sum; `fallback`'s row where all are zero."""
    positive = np.maximum(scores, 0.0).astype(np.float64)
    sums = positive.sum(axis=1, keepdims=True)  # (B, 1)
    return np.where(sums > 0, positive / np.where(sums > 0, sums, 1.0), fallback).astype(np.float32)


class Memory:
    """Labelled vectors, float32 (n, d), and their classes, int64 (n,), in order of arrival."""

    def __init__(self, dimension: int) -> None:
        self.vectors: NDArray[np.float32] = np.zeros((0, dimension), np.float32)
        self.classes: NDArray[np.int64] = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.classes)

    def add(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        """Append vectors (n, d) of classes (n,)."""
        self.vectors = np.concatenate([self.vectors, vectors])
        self.classes = np.concatenate([self.classes, classes])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drop all others; bool (n,)."""
        self.vectors, self.classes = self.vectors[rows], self.classes[rows]

    def one_hot(self, n_classes: int) -> NDArray[np.float32]:
        """Float32 (n, C)."""
        return np.eye(n_classes, dtype=np.float32)[self.classes]


class KeepsLabels(Method):
    """Base of methods whose only knowledge is every labelled vector, so that they can forget."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._memory = Memory(task.texts.shape[1])
        self._ids = np.zeros(0, np.int64)  # (n,), of the events in memory

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Remember the labels."""
        self._memory.add(lessons.vectors, lessons.classes)
        self._ids = np.concatenate([self._ids, lessons.ids])

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Drop them from memory."""
        keep = ~np.isin(self._ids, ids)
        self._memory.keep(keep)
        self._ids = self._ids[keep]
