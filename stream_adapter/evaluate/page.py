"""The report as one page, in sections: a heading, what it shows, and a sentence that says how to read it."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from stream_adapter.evaluate.cameras import CameraSettings
from stream_adapter.evaluate.changes import Confusion, changes, confusions, curve
from stream_adapter.evaluate.copies import section as copies_section
from stream_adapter.evaluate.html import Table, page
from stream_adapter.evaluate.report import figures_tables, legend, near_copies, style_of
from stream_adapter.evaluate.results import ALL, REFERENCE, WINDOW, Row, Run, Trace, rows
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.evaluate.scores import joined, reliability
from stream_adapter.evaluate.svg import Axis, Plot, Series, padded

_GROUPS = {"labelled": "classes that are taught", "canary": "canaries, held out"}


def render(evaluation: Evaluation, runs: list[Run], report: dict[str, Any]) -> str:
    """The page."""
    found = rows(runs)
    focus = "default" if "default" in evaluation.methods else evaluation.methods[-1]
    tables = figures_tables(evaluation, found, ("ece", "nll", "brier"))
    body = [
        f"<p>{_sentence(evaluation)}</p>",
        legend(evaluation.methods),
        "<h2>Accuracy and calibration</h2>",
        *(table.html() for table in tables),
        *_plots(evaluation, runs, found, focus),
        "<h2>Settings</h2>",
        _settings(report).html(),
    ]
    return page(f"Evaluation: {evaluation.settings.protocol} on {evaluation.features.name}", body)


def _plots(evaluation: Evaluation, runs: list[Run], found: list[Row], focus: str) -> list[str]:
    if isinstance(evaluation.settings, CameraSettings):
        names = evaluation.features.vocabulary.class_names
        return [copies_section(near_copies(evaluation, runs), names), kinds(evaluation, runs)]
    protocol = evaluation.settings.protocol
    if protocol == "stream":
        return [
            frontier(evaluation, found, "labelled", "canary"),
            over_the_stream(evaluation, runs, focus),
            label_effect(evaluation, runs),
            confusion(evaluation, runs, focus),
            kinds(evaluation, runs),
            calibration(runs, focus),
        ]
    if protocol == "few-shot":
        return [shots_plot(evaluation, found, focus)]
    return [frontier(evaluation, found, "last", "transfer")]


def _sentence(evaluation: Evaluation) -> str:
    features, settings = evaluation.features, evaluation.settings
    many = f"{evaluation.seeds} seeds" if evaluation.seeds > 1 else "one seed"
    text = (
        f"{len(features):,} events of {len(features.occurring)} classes, all {len(features.vocabulary.class_names)} "
        f"names of the vocabulary as candidates; {many}, the same draws for all methods. {REFERENCE} is the untouched "
        "model."
    )
    if settings.protocol == "stream" and not isinstance(settings, CameraSettings):
        text += " Each event is predicted before its label is learned; canaries are classes that are held out."
    return escape(text)


def _settings(report: dict[str, Any]) -> Table:
    flat: dict[str, Any] = {"protocol": report["protocol"], **report["settings"], "interval": report["interval"]}
    flat |= {f"data: {name}": value for name, value in report["data"].items()}
    flat |= {f"version: {name}": value for name, value in report["versions"].items()}
    flat |= {f"seconds of {name}": ", ".join(map(str, each)) for name, each in report["seconds"].items()}
    for seed, names in zip(report["seeds"], report["held_out"], strict=False):
        if names:
            flat[f"held out, seed {seed}"] = ", ".join(names)
    lines = [[name, _text(value)] for name, value in flat.items()]
    return Table("What was run", ("", ""), lines, text_columns=2)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def frontier(evaluation: Evaluation, found: Sequence[Row], across: str, up: str) -> str:
    """One group's accuracy against another's, a point a method."""
    held = {(row.method, row.group): row.accuracy for row in found if row.domain == ALL and row.shots is None}
    points = [(m, held[m, across], held[m, up]) for m in evaluation.methods if (m, up) in held]
    if not points or all(math.isnan(second.mean) for _, _, second in points):
        return ""
    x = padded([value for _, first, _ in points for value in (first.low, first.high)], f"{across}, accuracy in %")
    y = padded([value for _, _, second in points for value in (second.low, second.high)], f"{up}, accuracy in %")
    plot = Plot(f"Accuracy on {up} against accuracy on {across}, for each method", x, y)
    for _, first, second in points:
        plot.segment("whisker", (first.low, second.mean), (first.high, second.mean))
        plot.segment("whisker", (first.mean, second.low), (first.mean, second.high))
    for method, first, second in points:
        tip = f"{method}: {across} {100 * first.mean:.1f} %, {up} {100 * second.mean:.1f} %"
        plot.point(tip, style_of(method, evaluation.methods), first.mean, second.mean, method)
    return (
        f"<h2>What is gained, and what it costs</h2><p>Up and to the right is better. Whiskers: 95 % intervals.</p>"
        f'<div class="plots"><figure>{plot.render()}</figure></div>'
    )


def over_the_stream(evaluation: Evaluation, runs: Sequence[Run], focus: str) -> str:
    """Windowed accuracy of all methods, labelled classes beside canaries."""
    figures = []
    for group, title in _GROUPS.items():
        curves = []
        for method in evaluation.methods:
            x, y = curve(_traces(runs, method), group)
            curves.append(Series(method, style_of(method, evaluation.methods, focus), x, y))
        if all(math.isnan(value) for series in curves for value in series.y):
            continue
        y_axis = padded([value for series in curves for value in series.y], f"accuracy in %, newest {WINDOW}")
        plot = Plot(f"Accuracy over the stream, {title}", Axis("events", 0.0, curves[0].x[-1]), y_axis)
        for series in curves:
            plot.line(series)
        figures.append(f"<figure><h3>{title}</h3>{plot.render()}</figure>")
    return (
        f"<h2>Accuracy over the stream</h2><p>Over the newest {WINDOW} events of each group, mean over seeds. Dashed: "
        f'{REFERENCE}. Thick: {escape(focus)}.</p><div class="plots">{"".join(figures)}</div>'
    )


def label_effect(evaluation: Evaluation, runs: Sequence[Run]) -> str:
    """Where predictions differ from zero-shot's, for all methods."""
    lines = []
    for method in evaluation.methods:
        if method == REFERENCE:
            continue
        line = [method]
        for group in _GROUPS:
            change = changes(_pairs(runs, method), group)
            percent = 100 / max(change.events, 1)
            line += [f"{number * percent:.1f}" for number in (change.fixed, change.caused, change.other)]
        lines.append(line)
    header = ["method", *(f"{group}: {what}" for group in _GROUPS for what in ("fixed", "caused", "other"))]
    title = "Events whose prediction differs from zero-shot's, in % of the group"
    return "<h2>Where labels changed predictions</h2>" + Table(title, header, lines).html()


def confusion(evaluation: Evaluation, runs: Sequence[Run], focus: str) -> str:
    """The pairs of classes that were fixed most and caused most by the method in focus."""
    fixed, caused = confusions(_pairs(runs, focus))
    names = evaluation.features.vocabulary.class_names

    def side(title: str, taken: str, pairs: Sequence[Confusion]) -> str:
        lines = [[names[truth], names[taken_for], str(events)] for truth, taken_for, events in pairs]
        return Table(title, ["class", taken, "events"], lines, text_columns=2).html()

    sides = side("Fixed", f"{REFERENCE} took it for", fixed) + side("Caused", f"{focus} takes it for", caused)
    return f'<h2>Confusion that {escape(focus)} fixed and caused</h2><div class="plots">{sides}</div>'


def kinds(evaluation: Evaluation, runs: Sequence[Run]) -> str:
    """What each class was taken for at the end, where a method says it: classes that occur, and a count of the rest."""
    known = [run for run in runs if run.outcome.kinds is not None]
    if not known:
        return ""
    names, occurring = evaluation.features.vocabulary.class_names, set(evaluation.features.occurring.tolist())
    lines = []
    for run in known:
        taken = run.outcome.kinds or ()
        for kind in ("labelled", "present", "dormant"):
            members = [index for index, of_class in enumerate(taken) if of_class == kind]
            shown = ", ".join(names[index] for index in members if index in occurring)
            lines.append([run.method, str(run.seed), kind, shown or "–", str(len(set(members) - occurring))])
    header = ["method", "seed", "taken for", "classes that occur", "others"]
    return "<h2>What each class is taken for</h2>" + Table("At the end of the stream", header, lines, 4).html()


def calibration(runs: Sequence[Run], focus: str) -> str:
    """Reliability diagrams before (zero-shot) and after (the method in focus), by group."""
    figures = []
    for group, title in _GROUPS.items():
        plot = Plot(
            f"Accuracy against confidence, {title}",
            Axis("confidence in %", 0.0, 1.0, percent=True),
            Axis("accuracy in %", 0.0, 1.0, percent=True),
        )
        plot.segment("ideal", (0.0, 0.0), (1.0, 1.0))
        for method, style in dict.fromkeys(((REFERENCE, "c0 reference"), (focus, "c1 strong"))):
            traces = _traces(runs, method)
            answers = joined([t.answers[t.canary if group == "canary" else t.labelled] for t in traces])
            bins = [b for b in reliability(answers) if b.events]
            plot.line(Series(method, style, [b.confidence for b in bins], [b.accuracy for b in bins]))
            for b in bins:
                tip = f"{method}: {b.events} events, accuracy {100 * b.accuracy:.0f} % at {100 * b.confidence:.0f} %"
                plot.point(tip, style, b.confidence, b.accuracy)
        figures.append(f"<figure><h3>{title}</h3>{plot.render()}</figure>")
    return (
        "<h2>Reliability</h2><p>On the diagonal a probability means what it says, below it the model is too sure. "
        f'Grey: {REFERENCE}. Blue: {escape(focus)}.</p><div class="plots">{"".join(figures)}</div>'
    )


def shots_plot(evaluation: Evaluation, found: Sequence[Row], focus: str) -> str:
    """Seen, unseen and harmonic mean against the number of shots, a line a method."""
    figures = []
    for group in ("seen", "unseen", "harmonic"):
        of_group = [row for row in found if row.group == group and row.domain == ALL and row.shots is not None]
        most = max(row.shots or 0 for row in of_group)
        y = padded([row.accuracy.mean for row in of_group], "accuracy in %")
        plot = Plot(f"Accuracy on {group} by shots", Axis("labelled pictures per class", 0.0, float(most)), y)
        for method in evaluation.methods:
            line = sorted((row.shots or 0, row.accuracy.mean) for row in of_group if row.method == method)
            style = style_of(method, evaluation.methods, focus)
            plot.line(Series(method, style, [float(shots) for shots, _ in line], [value for _, value in line]))
            for shots, value in line:
                plot.point(f"{method}: {100 * value:.1f} % at {shots}", style, float(shots), value)
        figures.append(f"<figure><h3>{group}</h3>{plot.render()}</figure>")
    return f'<h2>By number of labels</h2><div class="plots">{"".join(figures)}</div>'


def _traces(runs: Sequence[Run], method: str) -> list[Trace]:
    return [run.outcome.trace for run in runs if run.method == method and run.outcome.trace is not None]


def _pairs(runs: Sequence[Run], method: str) -> list[tuple[Trace, Trace]]:
    """(method, zero-shot) of each seed."""
    return list(zip(_traces(runs, method), _traces(runs, REFERENCE), strict=True))
