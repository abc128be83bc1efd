"""What near-copies did to varied pictures: accuracy before and after, against zero-shot, and the worst class."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.evaluate.html import Table
from stream_adapter.evaluate.results import CopiesTrace, Run, plain

GROUPS = {
    "all": "of all classes",
    "seen": "of classes that had cameras",
    "not seen": "of classes that had none",
}
PHASES = {"before": "before the copies", "after": "after them", "deleted": "labels deleted"}

_CANNOT = "cannot forget"


@dataclass(frozen=True, slots=True)
class WorstClass:
    """The class, of all classes and seeds, whose accuracy changed for the worse by most.

    Attributes:
        events: varied pictures of it in that draw.
        accuracy: the method's on them, 0..1.
        zero_shot: zero-shot's.
    """

    label: int
    seed: int
    events: int
    accuracy: float
    zero_shot: float

    @property
    def change(self) -> float:
        """Accuracy less zero-shot's."""
        return self.accuracy - self.zero_shot


@dataclass(frozen=True, slots=True)
class Phase:
    """One method on one group of varied pictures at one time: means over seeds.

    Attributes:
        change: accuracy less zero-shot's.
    """

    accuracy: float
    change: float
    worst: WorstClass


@dataclass(frozen=True, slots=True)
class CopiesRow:
    """One method on one group of varied pictures.

    Attributes:
        events: varied pictures of all seeds together.
        zero_shot: the untouched model's accuracy, mean over seeds.
        phases: by name, see `PHASES`; "deleted" is None where the method cannot forget.
    """

    method: str
    group: str
    events: int
    zero_shot: float
    phases: dict[str, Phase | None]


def copies_rows(runs: Sequence[Run], *, deleted: bool) -> list[CopiesRow]:
    """One row for each method and each group that has a picture."""
    rows = []
    for group in GROUPS:
        for method in dict.fromkeys(run.method for run in runs):
            traces = list(_traces(runs, method, group))
            if not traces:
                continue
            rows.append(
                CopiesRow(
                    method,
                    group,
                    sum(len(trace.truth) for _, trace in traces),
                    _mean([trace.zero_shot for _, trace in traces]),
                    {name: _phase(traces, name) for name in PHASES if deleted or name != "deleted"},
                )
            )
    return rows


def as_json(rows: Sequence[CopiesRow], names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows as JSON values; `names` are the classes'."""

    def phase(found: Phase | None) -> dict[str, Any] | None:
        if found is None:
            return None
        worst = dataclasses.asdict(found.worst) | {"change": found.worst.change}
        worst = {"class": names[worst.pop("label")], **worst}
        return {"accuracy": found.accuracy, "change": found.change, "worst_class": worst}

    return list(
        plain(
            [
                {"method": row.method, "group": row.group, "events": row.events, "zero_shot": row.zero_shot}
                | {name: phase(found) for name, found in row.phases.items()}
                for row in rows
            ]
        )
    )


def as_tables(rows: Sequence[CopiesRow], names: Sequence[str]) -> list[Table]:
    """A table for each group; `names` are the classes'."""
    tables = []
    for group in dict.fromkeys(row.group for row in rows):
        lines = [row for row in rows if row.group == group]
        header = ["method", "zero-shot"]
        for name in lines[0].phases:
            header += [PHASES[name], "worst class"]
        what = f"Varied pictures {GROUPS[group]}, {lines[0].events:,} in all draws"
        cells = [_cells(line, names) for line in lines]
        tables.append(Table(f"{what}: accuracy in % (change from zero-shot)", header, cells))
    return tables


def section(rows: Sequence[CopiesRow], names: Sequence[str]) -> str:
    """The page's section."""
    return (
        "<h2>What near-copies did to varied pictures</h2><p>Varied pictures come without labels, then many labelled "
        "near-copies of a few others, then the varied pictures again. Changes are in points, against zero-shot on the "
        "same pictures; the worst class is that of the worst draw, with its number of pictures.</p>"
    ) + "".join(table.html() for table in as_tables(rows, names))


def _traces(runs: Sequence[Run], method: str, group: str) -> Iterator[tuple[int, CopiesTrace]]:
    """(seed, trace) of each run that has pictures of the group, cut to them."""
    for run in runs:
        trace = run.outcome.copies
        if run.method != method or trace is None:
            continue
        rows = {"all": np.ones_like(trace.seen), "seen": trace.seen, "not seen": ~trace.seen}[group]
        if rows.any():
            hits = {phase: of_phase[rows] for phase, of_phase in trace.hits.items()}
            yield run.seed, CopiesTrace(trace.truth[rows], trace.seen[rows], trace.zero_shot[rows], hits)


def _phase(traces: Sequence[tuple[int, CopiesTrace]], name: str) -> Phase | None:
    if any(name not in trace.hits for _, trace in traces):
        return None
    classes = []
    for seed, trace in traces:
        for label in np.unique(trace.truth).tolist():
            rows = trace.truth == label
            both = float(trace.hits[name][rows].mean()), float(trace.zero_shot[rows].mean())
            classes.append(WorstClass(label, seed, int(rows.sum()), *both))
    accuracy = _mean([trace.hits[name] for _, trace in traces])
    change = accuracy - _mean([trace.zero_shot for _, trace in traces])
    return Phase(accuracy, change, min(classes, key=lambda worst: worst.change))


def _mean(hits: Sequence[NDArray[np.bool_]]) -> float:
    """Every seed counts the same, however many pictures it has."""
    return sum(float(of_seed.mean()) for of_seed in hits) / len(hits)


def _cells(row: CopiesRow, names: Sequence[str]) -> list[str]:
    cells = [row.method, f"{100 * row.zero_shot:.1f}"]
    for phase in row.phases.values():
        if phase is None:
            cells += [_CANNOT, "–"]
            continue
        worst = phase.worst
        cells += [
            f"{100 * phase.accuracy:.1f} ({100 * phase.change:+.1f})",
            f"{names[worst.label]} {100 * worst.change:+.0f} of {worst.events}",
        ]
    return cells
