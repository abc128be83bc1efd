"""The report as data and as a table."""

import dataclasses
import json
import math
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from stream_adapter import __version__
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.cameras import CameraSettings
from stream_adapter.evaluate.copies import CopiesRow, as_json, as_tables, copies_rows
from stream_adapter.evaluate.results import REFERENCE, Row, Run, plain, rows
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.evaluate.tables import figures_tables
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
            file.write(text.encode())
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
