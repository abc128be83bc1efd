"""One event at fault must not stop a stream: finding it, when work on a whole batch has raised."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from stream_adapter.encode.base import Encoder, Prepared, Vectors
from stream_adapter.errors import EventError, UnexpectedFailure
from stream_adapter.events import ImageEvent
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Record

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Unexpected:
    """Counts errors that nobody foresaw, and shows the first of a kind: a stream of them must not fill the disk."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._shown: set[tuple[str, type[Exception]]] = set()

    def __call__(self, stage: str, record: Record, error: Exception) -> UnexpectedFailure:
        """One event must not stop a worker, whatever it brings to light; but somebody should hear of it."""
        self._metrics.unexpected_errors.labels(stage=stage).inc()
        if (failure := (stage, type(error))) not in self._shown:
            self._shown.add(failure)
            log.error("unexpected error", stage=stage, at=f"{record.partition}@{record.offset}", exc_info=error)
        return UnexpectedFailure(stage, error)


@dataclass(eq=False, slots=True)
class UnderWay:
    """A batch on its way through the stages; events that are found at fault leave it.

    Attributes:
        events: B events, as long as they are under way.
        pictures: what the encoder got of each; may be none at all.
        vectors: float32 (B, d), unit.
        refused: the records that left the batch, with the reason.
        metrics: stages.
        unexpected: called for the faults.
    """

    events: Sequence[ImageEvent]
    pictures: Sequence[Prepared]
    vectors: NDArray[np.float32]
    metrics: Metrics
    unexpected: Unexpected
    refused: list[tuple[Record, EventError]] = field(default_factory=list, init=False)

    def through(self, stage: str, work: Callable[[Sequence[int]], T]) -> tuple[list[T], list[int]]:
        """Take the batch through a stage; see `done_apart`.

        Returns:
            What was returned for each part, in order, and which of the events are still under way.
        """
        with self.metrics.stage(stage, len(self.events)):
            done, faults = done_apart(work, range(len(self.events)))
        kept = [row for row in range(len(self.events)) if row not in faults]
        for row, error in faults.items():
            record = self.events[row].record
            self.metrics.stage_failed.labels(stage=stage).inc()
            self.refused.append((record, self.unexpected(stage, record, error)))
        if faults:
            self.events = [self.events[row] for row in kept]
            self.pictures = [self.pictures[row] for row in kept] if self.pictures else []
            self.vectors = self.vectors[kept]
        return done, kept


def encoding(encoder: Encoder, pictures: Sequence[Prepared]) -> Callable[[Sequence[int]], Vectors]:
    """Embedding these pictures as work that can be done apart: for rows (m,) their unit vectors, float32 (m, d)."""

    def encode(rows: Sequence[int]) -> Vectors:
        if not rows and pictures:  # a picture failed alone: does the encoder still work?
            encoder.warm_up(1)
        return encoder.encode([pictures[row] for row in rows])

    return encode


def done_apart(work: Callable[[Sequence[int]], T], rows: Sequence[int]) -> tuple[list[T], dict[int, Exception]]:
    """Do a batch's work; where it raises, do it again in smaller and smaller parts until the events at fault are found.

    Args:
        work: takes rows of the batch; does its work for all of them or, if it raises, for none.
        rows: which.

    Returns:
        What was returned for each part that was done, in order, and what was raised about single rows.

    Raises:
        Exception: what the work raised, where it raises for no event at all, or for each of several: it is at fault
            and not the events.
    """
    if not rows:
        return [work(rows)], {}
    done: list[T] = []
    faults: dict[int, Exception] = {}
    parts = [list(rows)]
    while parts:
        part = parts.pop()
        try:
            done.append(work(part))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is laid to the events that cause it
            if len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
                continue
            faults[part[0]] = error
            if len(faults) == len(rows):
                _raise_if_broken(work, error, alone=len(rows) == 1)
    return done, faults


def _raise_if_broken(work: Callable[[Sequence[int]], T], error: Exception, *, alone: bool) -> None:
    if not alone:
        raise error
    try:
        work([])
    except Exception:  # noqa: BLE001 - the first one is raised
        raise error from None
