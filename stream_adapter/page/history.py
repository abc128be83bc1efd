"""What the charts show: series in bounded memory, fine for the last minutes and coarse for the last days."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Span:
    """How far back a chart reaches."""

    name: str
    step_s: int
    points: int


SPANS = (Span("15m", 2, 450), Span("4h", 30, 480), Span("2d", 300, 576))


class History:
    """Samples in several rings at once; memory does not grow. Safe for several threads.

    The newest point of a ring is its bucket so far, so a coarse chart is not behind a fine one.
    """

    def __init__(self, columns: Sequence[str], spans: Sequence[Span] = SPANS) -> None:
        self._columns = tuple(columns)
        self._rings = {span.name: _Ring(span, len(columns)) for span in spans}
        self._lock = threading.Lock()

    def add(self, time_ms: int, sample: Sequence[float]) -> None:
        """Take in a sample; NaN where there is no value. Times do not go back."""
        with self._lock:
            for ring in self._rings.values():
                ring.add(time_ms, sample)

    def since(self, span: str, after_ms: int = 0) -> dict[str, Any]:
        """The points of a span from `after_ms` on, that moment's own included: it may have grown since.

        Returns:
            JSON: `span`, `step_s`, `time_ms` (n times) and for each column n values, null where there is none.

        Raises:
            KeyError: there is no such span.
        """
        with self._lock:
            ring = self._rings[span]
            times, values = ring.points()
        wanted = times >= after_ms
        times, values = times[wanted], values[wanted]
        shown = {name: _rounded(values[:, column]) for column, name in enumerate(self._columns)}
        return {"span": span, "step_s": ring.span.step_s, "time_ms": times.tolist(), **shown}


class _Ring:
    """Means of the samples in buckets of time."""

    def __init__(self, span: Span, columns: int) -> None:
        self.span = span
        self._times = np.zeros(span.points, np.int64)
        self._sums = np.zeros((span.points, columns), np.float64)
        self._counts = np.zeros((span.points, columns), np.int32)
        self._newest = -1  # how many buckets were begun, less one

    def add(self, time_ms: int, sample: Sequence[float]) -> None:
        step_ms = self.span.step_s * 1000
        begins = time_ms // step_ms * step_ms
        slot = self._newest % self.span.points
        if self._newest < 0 or begins > self._times[slot]:
            self._newest += 1
            slot = self._newest % self.span.points
            self._times[slot], self._sums[slot], self._counts[slot] = begins, 0.0, 0
        values = np.asarray(sample, np.float64)
        there = np.isfinite(values)
        self._sums[slot, there] += values[there]
        self._counts[slot] += there

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Times (n,) and means (n, columns), oldest first; NaN where nothing was sampled."""
        held = min(self._newest + 1, self.span.points)
        order = (np.arange(self._newest - held + 1, self._newest + 1)) % self.span.points
        counts = self._counts[order]
        means = np.where(counts > 0, self._sums[order] / np.maximum(counts, 1), np.nan)
        return self._times[order], means


def _rounded(values: np.ndarray) -> list[float | None]:
    """Five significant digits: what a chart can show, in few bytes."""
    return [None if value != value else float(f"{value:.5g}") for value in values.tolist()]
