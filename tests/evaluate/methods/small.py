"""A vocabulary of three classes in three dimensions, small enough to work out by hand."""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.evaluate.methods import Batch, Lessons, Method, Task

TASK = Task(Vocabulary(("a", "b", "c"), np.eye(3, dtype=np.float32), 2.0))


def vectors(*rows: tuple[float, ...]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def teach(method: Method, rows: NDArray[np.float32], classes: list[int]) -> None:
    """Labels of earlier events."""
    nothing = Batch(rows[:0], np.zeros(0, np.int64))
    method.update(nothing, Lessons(rows, np.array(classes), np.arange(len(classes))))


def show(method: Method, rows: NDArray[np.float32]) -> None:
    """Traffic without labels."""
    nothing = Lessons(rows[:0], np.zeros(0, np.int64), np.zeros(0, np.int64))
    method.update(Batch(rows, np.arange(len(rows))), nothing)
