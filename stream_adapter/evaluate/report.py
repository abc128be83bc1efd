"""The report as data and as tables."""

import dataclasses
import json
import math
import platform
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from stream_adapter import __version__
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.cameras import CameraSettings
from stream_adapter.evaluate.copies import CopiesRow, as_json, as_tables, copies_rows
from stream_adapter.evaluate.html import Table
from stream_adapter.evaluate.results import ALL, REFERENCE, Row, Run, plain, rows
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.output_file import open_output


def document(evaluation: Evaluation, runs: list[Run]) -> dict[str, Any]:
    """Everything that was found, as JSON values; not-a-number becomes null."""
    found = rows(runs)
    reference = {(row.group, row.domain, row.shots): row for row in found if row.method == REFERENCE}
    features = evaluation.features
    seconds: dict[str, list[float]] = {name: [] for name in evaluation.methods}
    for run in runs:
        seconds[run.method].append(round(run.seconds, 3))
    report = {
        "protocol": evaluation.settings.protocol,
        "settings": dataclasses.asdict(evaluation.settings),
        "seeds": list(range(evaluation.seeds)),
        "data": {
            "name": features.name,
            "events": len(features),
            "classes": len(features.vocabulary.class_names),
            "occurring_classes": len(features.occurring),
            "domains": list(features.domain_names),
            "vocabulary": features.vocabulary.hash,
            "logit_scale": features.vocabulary.logit_scale,
        },
        "held_out": [list(run.outcome.held_out) for run in runs if run.method == evaluation.methods[0]],
        "results": [_row(row, reference.get((row.group, row.domain, row.shots))) for row in found],
        "seconds": seconds,
        "kinds": _kinds(runs),
        "adapter": evaluation.adapter.model_dump(mode="json"),
        "interval": "95 %, Student's t over seeds",
        "versions": {
            "stream_adapter": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "platform": sys.platform,
        },
    }
    if copies := near_copies(evaluation, runs):
        report["copies"] = as_json(copies, features.vocabulary.class_names)
    return report


def near_copies(evaluation: Evaluation, runs: list[Run]) -> list[CopiesRow]:
    """What near-copies did; empty for other streams."""
    settings = evaluation.settings
    return copies_rows(runs, deleted=settings.copies_wrong) if isinstance(settings, CameraSettings) else []


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write a report."""
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file in one step: readers see the old file or the new one, never a part."""
    try:
        with open_output(path) as file:
            file.write(text.encode(errors="backslashreplace"))  # names of files need not be text
    except OSError as error:
        raise EvaluationError(f"the report cannot be written to {path}: {error.strerror}") from error


def show(evaluation: Evaluation, runs: list[Run], console: Console) -> None:
    """Show the figures over all domains as a table, one method a line, and those by domain where there are several."""
    copies = as_tables(near_copies(evaluation, runs), evaluation.features.vocabulary.class_names)
    for table in (*figures_tables(evaluation, rows(runs), ("ece",)), *copies):
        table.show(console)


def _row(row: Row, reference: Row | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"method": row.method, "group": row.group, "domain": row.domain}
    if row.shots is not None:
        shown["shots"] = row.shots
    shown["accuracy"] = dataclasses.asdict(row.accuracy)
    shown |= {name: row.mean(name) for name in ("ece", "nll", "brier")}
    if not math.isnan(row.mean("windowed")):
        shown |= {name: row.mean(name) for name in ("windowed", "faded")}
    if reference is not None:
        shown["before"] = {name: reference.mean(name) for name in ("accuracy", "ece", "nll", "brier")}
    shown["per_seed"] = [dataclasses.asdict(figures) for figures in row.per_seed]
    return dict(plain(shown))


def _kinds(runs: list[Run]) -> dict[str, dict[str, float]]:
    """Mean count of classes by kind at the end of a run, for methods that say it."""
    counts: dict[str, dict[str, float]] = {}
    for method in dict.fromkeys(run.method for run in runs):
        known = [run.outcome.kinds for run in runs if run.method == method and run.outcome.kinds is not None]
        if known:
            kinds = sorted({kind for of_run in known for kind in of_run})
            counts[method] = {kind: sum(list(of_run).count(kind) for of_run in known) / len(known) for kind in kinds}
    return counts


def style_of(method: str, methods: Sequence[str], focus: str | None = None) -> str:
    """A method's CSS classes: the reference is grey, and dashed beside a method in focus, which is strong."""
    if method == REFERENCE:
        return "c0" if focus is None else "c0 reference"
    others = [name for name in methods if name != REFERENCE]
    return f"c{1 + others.index(method) % 14}" + (" strong" if method == focus else "")


def legend(methods: Sequence[str]) -> str:
    """Colours and names."""
    items = "".join(f'<li><i class="{style_of(name, methods)}"></i>{escape(name)}</li>' for name in methods)
    return f'<ul class="legend" aria-label="Colours of the methods">{items}</ul>'


def figures_tables(evaluation: Evaluation, found: Sequence[Row], figures: Sequence[str]) -> Iterator[Table]:
    """Accuracy and these figures beside it, a method a line: for all domains and each, and each number of shots."""
    over = f" with its 95 % interval over {evaluation.seeds} seeds" if evaluation.seeds > 1 else ""
    for shots in sorted({row.shots for row in found}, key=lambda value: value or 0):
        for domain in dict.fromkeys(row.domain for row in found):
            chosen = {(row.method, row.group): row for row in found if row.shots == shots and row.domain == domain}
            where = ("" if domain == ALL else f", {domain}") + ("" if shots is None else f", {shots} per class")
            title = f"{evaluation.features.name}{where}: accuracy in %{over} (difference from zero-shot), ECE in %"
            for groups in evaluation.settings.tables:
                yield _figures_table(title, evaluation.methods, groups, chosen, figures)


def _figures_table(
    title: str,
    methods: Sequence[str],
    groups: Sequence[str],
    chosen: dict[tuple[str, str], Row],
    figures: Sequence[str],
) -> Table:
    judged = {row.group for row in chosen.values() if not math.isnan(row.mean("ece"))}
    columns: list[tuple[str, str | None]] = []
    for group in [group for group in groups if any(of == group for _, of in chosen)]:
        columns += [(group, None), *((group, figure) for figure in figures if group in judged)]
    header = [
        group if figure is None else {"ece": "ECE", "nll": "NLL"}.get(figure, figure.title())
        for group, figure in columns
    ]
    lines = [
        [method, *(_cell(chosen.get((method, group)), chosen.get((REFERENCE, group)), name) for group, name in columns)]
        for method in methods
    ]
    return Table(title, ["method", *header], lines)


def _cell(row: Row | None, reference: Row | None, figure: str | None) -> str:
    if row is None:
        return "–"
    if figure is not None:
        value = row.mean(figure)
        return "–" if math.isnan(value) else f"{100 * value:.1f}" if figure == "ece" else f"{value:.2f}"
    text = row.accuracy.points()
    if reference is None or row.method == REFERENCE or math.isnan(row.accuracy.mean - reference.accuracy.mean):
        return text
    return f"{text} ({100 * (row.accuracy.mean - reference.accuracy.mean):+.1f})"
