"""Where labels changed predictions: what was fixed, what was caused, and how accuracy went over the stream."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.results import WINDOW, Trace
from stream_adapter.evaluate.scores import windowed


@dataclass(frozen=True, slots=True)
class Changes:
    """How one method's answers differ from zero-shot's, over all seeds.

    Attributes:
        fixed: zero-shot was wrong, the method is right.
        caused: zero-shot was right, the method is wrong.
        other: both are wrong, in different ways.
    """

    events: int
    fixed: int
    caused: int
    other: int


Confusion = tuple[int, int, int]
"""Class index, class index that it was taken for, and how many events, over all seeds."""


def changes(pairs: Sequence[tuple[Trace, Trace]], group: str) -> Changes:
    """Compare (method, zero-shot) of each seed on one group, "labelled" or "canary"."""
    events = fixed = caused = other = 0
    for method, reference in pairs:
        rows = members(method, group)
        adapted, before = method.answers.hits[rows], reference.answers.hits[rows]
        moved = method.answers.predicted[rows] != reference.answers.predicted[rows]
        events += int(rows.sum())
        fixed += int((adapted & ~before).sum())
        caused += int((before & ~adapted).sum())
        other += int((moved & ~adapted & ~before).sum())
    return Changes(events, fixed, caused, other)


def confusions(pairs: Sequence[tuple[Trace, Trace]], most: int = 10) -> tuple[list[Confusion], list[Confusion]]:
    """The pairs of classes that were fixed most, as zero-shot took them, and caused most, as the method takes them."""
    fixed: Counter[tuple[int, int]] = Counter()
    caused: Counter[tuple[int, int]] = Counter()
    for method, reference in pairs:
        adapted, before = method.answers, reference.answers
        scored = adapted.truth >= 0
        for rows, taken_for, counts in (
            (scored & adapted.hits & ~before.hits, before.predicted, fixed),
            (scored & before.hits & ~adapted.hits, adapted.predicted, caused),
        ):
            counts.update(zip(adapted.truth[rows].tolist(), taken_for[rows].tolist(), strict=True))
    return _most(fixed, most), _most(caused, most)


def curve(traces: Sequence[Trace], group: str, points: int = 120) -> tuple[list[float], list[float]]:
    """Windowed accuracy over the stream: positions in events, and means over seeds; nan where no event came yet."""
    length = min(len(trace.answers) for trace in traces)
    grid = np.unique(np.linspace(1, length, min(points, length)).astype(np.int64))  # (p,), events so far
    values = np.full((len(traces), len(grid)), np.nan)
    for number, trace in enumerate(traces):
        rows = np.flatnonzero(members(trace, group))
        accuracy = windowed(trace.answers.hits[rows], WINDOW)
        so_far = np.searchsorted(rows, grid)  # (p,), events of the group among them
        values[number] = np.where(so_far > 0, np.append(accuracy, np.nan)[so_far - 1], np.nan)
    held = ~np.isnan(values)
    sums = np.where(held, values, 0.0).sum(axis=0)
    means = np.where(held.any(axis=0), sums / np.maximum(held.sum(axis=0), 1), np.nan)
    return grid.astype(float).tolist(), means.tolist()


def members(trace: Trace, group: str) -> NDArray[np.bool_]:
    """Bool (n,): the group's scored events."""
    return trace.canary if group == "canary" else trace.labelled


def _most(counts: Counter[tuple[int, int]], most: int) -> list[Confusion]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(truth, taken_for, events) for (truth, taken_for), events in ordered[:most]]
