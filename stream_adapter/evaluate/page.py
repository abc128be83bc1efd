"""The report as one page."""

from html import escape
from typing import Any

from stream_adapter.evaluate.cameras import CameraSettings
from stream_adapter.evaluate.copies import section as copies_section
from stream_adapter.evaluate.html import Table, page
from stream_adapter.evaluate.report import near_copies
from stream_adapter.evaluate.results import REFERENCE, Row, Run, rows
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.evaluate.sections import (
    calibration,
    confusion,
    frontier,
    kinds,
    label_effect,
    over_the_stream,
    shots_plot,
)
from stream_adapter.evaluate.tables import figures_tables, legend


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
