"""What labels win and what it costs classes that nobody labels: all cells, all methods, along their protection."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.cameras import CameraSettings
from stream_adapter.evaluate.features import Features
from stream_adapter.evaluate.html import Table, page
from stream_adapter.evaluate.report import legend, style_of
from stream_adapter.evaluate.results import REFERENCE, Interval, Run, plain
from stream_adapter.evaluate.running import Evaluation, run_all
from stream_adapter.evaluate.scores import Answers, calibration_error
from stream_adapter.evaluate.stream import StreamSettings
from stream_adapter.evaluate.svg import Axis, Plot, Series

CELLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rare": {"canary_rate": 0.1},
    "ultra-rare": {"canary_rate": 0.03},
    "burst": {"canaries_after": 0.5},
    "late": {"delay": 500},
    "look-alike": {"look_alike": True},
    "recorded": {"order": "recorded"},
    "cameras": {"sources": 5, "copies": 40},
    "no label": {"label_rate": 0.0},
    "first label": {"canary_rate": 0.1, "canary_labels": 1},
    "few labels": {"label_rate": 0.05},
    "all labelled": {"label_rate": 1.0},
    "least confident": {"select": "least-confident"},
    "most confident": {"select": "most-confident"},
    "wrong": {"label_noise": 0.1},
}


def settings_of(features: Features, cell: str) -> StreamSettings | CameraSettings:
    """The stream of one cell.

    Data with several domains come domain after domain, 1,200 events each (burst: 2,500 events, shuffled; recorded: as
    they are in the file); others come whole and shuffled. The cameras are of seven classes in ten.
    """
    if cell not in CELLS:
        raise EvaluationError(f"unknown cell {cell!r}; known are {', '.join(CELLS)}")
    chosen, domains = CELLS[cell], len(features.domain_names)
    if cell == "cameras":
        return CameraSettings(camera_classes=max(round(0.7 * len(features.occurring)), 1), **chosen)
    if domains == 1 or cell == "recorded":
        return StreamSettings(events=len(features), **chosen)
    if cell == "burst":
        return StreamSettings(events=2_500, **chosen)
    return StreamSettings(events=1_200 * domains, order="by-domain", **chosen)


ENOUGH = 200
"""Pooled events from which on a class can be the worst one; where no class has as many, the one with most of them."""


@dataclass(frozen=True, slots=True)
class Worst:
    """The class that lost most."""

    name: str
    events: int
    change: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """One method in one cell with one protection. Changes are against zero-shot on the same events, as shares.

    Attributes:
        protection: v; None where the method runs as it was published.
        gain: accuracy on classes that get labels, less zero-shot's: mean over draws and its 95 % interval.
        change: the same on canaries.
        worst: of the canary classes, over all draws, the one that lost most: its name, events, change, and the 95 %
            interval of that by the normal approximation of its events' changes.
        ece: calibration error of both groups, and zero-shot's; nan where answers are not kept.
    """

    cell: str
    method: str
    protection: float | None
    gain: Interval
    change: Interval
    worst: Worst
    ece: dict[str, float]


class _Draw(NamedTuple):
    """One draw: true classes (n,), who is a canary (n,), and right answers before and after (n,)."""

    truth: NDArray[np.int64]
    canary: NDArray[np.bool_]
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]
    answers: tuple[Answers, Answers] | None


def no_harm(evaluation: Evaluation, cells: Sequence[str], protections: Sequence[float], jobs: int) -> Iterator[Line]:
    """Run everything; a line as soon as it is there."""
    for cell, settings in [(cell, settings_of(evaluation.features, cell)) for cell in cells]:
        of_cell = replace(evaluation, settings=settings)
        reference = run_all(replace(of_cell, methods=(REFERENCE,)), jobs, lambda events: None)
        for method in evaluation.methods:
            # Under 0 a method is what was published, but for the product's own.
            for protection in (None,) if method in (REFERENCE, "last-label") else protections:
                one = replace(of_cell, methods=(method,), protection=protection)
                runs = reference if method == REFERENCE else run_all(one, jobs, lambda events: None)
                yield _line(cell, method, protection, [*map(_draw, runs, reference)], evaluation)


def document(lines: Sequence[Line], evaluation: Evaluation) -> dict[str, Any]:
    """The lines as JSON values."""
    found = {"protocol": "no-harm", "data": evaluation.features.name, "seeds": evaluation.seeds}
    return dict(plain(found | {"lines": [asdict(line) for line in lines]}))


def table(lines: Sequence[Line]) -> Table:
    """Changes in points, calibration errors in %."""
    title = "Change from zero-shot in points with its 95 % interval, ECE in % (zero-shot's)"
    return Table(title, _HEADER, [_cells(line) for line in lines], text_columns=2)


def render(lines: Sequence[Line], evaluation: Evaluation) -> str:
    """The page: one picture, one table."""
    methods = list(evaluation.methods)
    points: dict[str, list[tuple[float, float, float | None]]] = {method: [] for method in methods}
    for method, v in dict.fromkeys((line.method, line.protection) for line in lines):
        of_both = [line for line in lines if (line.method, line.protection) == (method, v)]
        points[method].append((_mean(of_both, "gain"), _mean(of_both, "change"), v))
    known = [point for of in points.values() for point in of]
    across = _axis([gain for gain, _, _ in known], "labelled classes, mean gain in points")
    up = _axis([change for _, change, _ in known], "canaries, mean change in points")
    plot = Plot("Labelled gain against harm, mean over the cells", across, up, width=640, height=400)
    for method, of in points.items():
        style = style_of(method, methods)
        plot.line(Series(method, style, [gain for gain, _, _ in of], [change for _, change, _ in of]))
        for number, (gain, change, v) in enumerate(of):
            tip = f"{method}, protection {v}: {100 * gain:+.1f}, {100 * change:+.1f}"
            plot.point(tip, style, gain, change, None if number else method)
    said = (
        "<p>Up and to the right is better. A line a method: what labels win, and what that costs classes that nobody "
        "labels, as protection moves.</p>"
    )
    figure = f"<figure>{plot.render()}</figure>"
    return page(f"No harm on {evaluation.features.name}", [said, legend(methods), figure, table(lines).html()])


_HEADER = ("cell", "method", "protection", "labelled", "canaries", "worst canary class", "ECE labelled", "ECE canaries")


def _cells(line: Line) -> list[str]:
    worst = line.worst
    change, low, high = (f"{100 * value:+.1f}" for value in (worst.change, worst.low, worst.high))
    return [
        line.cell,
        line.method,
        "–" if line.protection is None else f"{line.protection:g}",
        line.gain.points("+"),
        line.change.points("+"),
        f"{worst.name} {change} ({low} to {high}) of {worst.events}" if worst.events else "–",
        *(_share(line.ece[g], line.ece[f"{g}, {REFERENCE}"]) for g in ("labelled", "canary")),
    ]


def _share(value: float, before: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f} ({100 * before:.1f})"


def _draw(run: Run, reference: Run) -> _Draw:
    copies, trace, before = run.outcome.copies, run.outcome.trace, reference.outcome.trace
    if copies is not None:
        return _Draw(copies.truth, ~copies.seen, copies.zero_shot, copies.hits["after"], None)
    assert trace is not None and before is not None
    scored = trace.answers.truth >= 0
    answers = trace.answers[scored], before.answers[scored]
    return _Draw(answers[0].truth, trace.canary[scored], answers[1].hits, answers[0].hits, answers)


def _line(cell: str, method: str, protection: float | None, draws: list[_Draw], evaluation: Evaluation) -> Line:
    def change(of: _Draw, group: NDArray[np.bool_]) -> float:
        return float(of.after[group].mean() - of.before[group].mean()) if group.any() else math.nan

    ece = {}
    for group in ("labelled", "canary"):
        for number, suffix in enumerate(("", f", {REFERENCE}")):
            errors = [
                calibration_error(of.answers[number][of.canary == (group == "canary")]) for of in draws if of.answers
            ]
            known = [error for error in errors if not math.isnan(error)]
            ece[group + suffix] = sum(known) / len(known) if known else math.nan
    gains = [change(of, ~of.canary) for of in draws]
    changes = [change(of, of.canary) for of in draws]
    worst = _worst(draws, evaluation.features.vocabulary.class_names)
    return Line(cell, method, protection, Interval.of(gains, -1.0), Interval.of(changes, -1.0), worst, ece)


def _worst(draws: list[_Draw], names: Sequence[str]) -> Worst:
    truth = np.concatenate([of.truth[of.canary] for of in draws])
    changes = np.concatenate([of.after[of.canary].astype(float) - of.before[of.canary] for of in draws])
    counts = {label: int((truth == label).sum()) for label in np.unique(truth).tolist()}
    enough = min(ENOUGH, max(counts.values(), default=0))
    found = []
    for label in [label for label, count in counts.items() if count >= enough]:
        of_class = changes[truth == label]
        half = 1.96 * float(of_class.std()) / math.sqrt(len(of_class))
        mean = float(of_class.mean())
        found.append(Worst(names[label], len(of_class), mean, mean - half, mean + half))
    return min(found, key=lambda worst: worst.change, default=Worst("", 0, math.nan, math.nan, math.nan))


def _mean(lines: Sequence[Line], name: str) -> float:
    values = [value for line in lines if not math.isnan(value := getattr(line, name).mean)]
    return sum(values) / len(values) if values else math.nan


def _axis(values: Sequence[float], label: str) -> Axis:
    known = [value for value in values if not math.isnan(value)] or [0.0]
    low, high = min([*known, 0.0]), max([*known, 0.0])
    room = max(0.05 * (high - low), 0.01)
    return Axis(label, low - room, high + room, percent=True)
