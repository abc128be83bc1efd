"""Regimes of labelling on feature files, all methods on the same draws: one row for each file, regime and method.

    python benchmarks/regimes.py FILE… --methods default,tip-adapter --regimes plain rare --seeds 3 --json regimes.json

A row has the mean accuracy of labelled classes and canaries over the draws, zero-shot's on the same draws in brackets,
and the worst draw: the smallest difference from zero-shot of any of them. Data with several domains come domain after
domain, 1,200 events each (burst: 2,500 events, shuffled; recorded: as they are in the file); others come whole and
shuffled.

With `--keep FOLDER` a report that is there already is not made again, so that a run can be broken off and go on; empty
the folder after a change of the code.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_adapter import config
from stream_adapter.evaluate.cli import DEFAULT_METHODS
from stream_adapter.evaluate.command import parts
from stream_adapter.evaluate.features import Features, read_features
from stream_adapter.evaluate.methods import check_methods
from stream_adapter.evaluate.report import document, write_json
from stream_adapter.evaluate.results import REFERENCE
from stream_adapter.evaluate.running import Evaluation, run_all
from stream_adapter.evaluate.stream import StreamSettings

REGIMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "rare": {"canary_rate": 0.1},
    "rare, first label": {"canary_rate": 0.1, "canary_labels": 1},
    "burst": {"canaries_after": 0.5},
    "late": {"delay": 500},
    "least confident": {"select": "least-confident"},
    "most confident": {"select": "most-confident"},
    "wrong": {"label_noise": 0.1},
    "all labelled": {"label_rate": 1.0},
    "few labels": {"label_rate": 0.05},
    "no label": {"label_rate": 0.0},
    "recorded": {"order": "recorded"},
}
GROUPS = ("labelled", "canary")


@dataclass(frozen=True, slots=True)
class Cell:
    """One method in one regime on one file; accuracies in 0..1, nan where a group has no event.

    Attributes:
        file: the data's name.
        regime: one of `REGIMES`.
        method: its name as it was given.
        accuracy: mean over draws, by group.
        zero_shot: the same of zero-shot.
        worst_draw: the smallest difference from zero-shot of a draw, by group.
        per_draw: accuracy of each draw, by group.
    """

    file: str
    regime: str
    method: str
    accuracy: dict[str, float]
    zero_shot: dict[str, float]
    worst_draw: dict[str, float]
    per_draw: dict[str, list[float]]

    @classmethod
    def of(cls, file: str, regime: str, method: str, found: dict[str, Any], reference: dict[str, Any]) -> "Cell":
        """The cell of one report, beside zero-shot's of the same draws."""
        draws = {group: _draws(found, method, group) for group in GROUPS}
        zero = {group: _draws(reference, REFERENCE, group) for group in GROUPS}
        worst = {
            group: min(
                (a - b for a, b in zip(draws[group], zero[group], strict=True) if not math.isnan(a - b)),
                default=math.nan,
            )
            for group in GROUPS
        }
        means = {group: _mean(draws[group]) for group in GROUPS}
        return cls(file, regime, method, means, {group: _mean(zero[group]) for group in GROUPS}, worst, draws)

    def line(self) -> str:
        """A line of text, accuracies in %, differences in points."""
        both = [" | ".join(f"{100 * values[g]:.1f}" for g in GROUPS) for values in (self.accuracy, self.zero_shot)]
        worst = " | ".join(f"{100 * self.worst_draw[g]:+.1f}" for g in GROUPS)
        return f"{self.file:32s} {self.regime:18s} {self.method:22s} {both[0]:14s} ({both[1]})  worst draw {worst}"


def settings(features: Features, regime: str) -> StreamSettings:
    """The stream of one regime."""
    chosen = REGIMES[regime]
    domains = len(features.domain_names)
    if domains == 1 or chosen.get("order") == "recorded":
        return StreamSettings(events=len(features), **chosen)
    if regime == "burst":
        return StreamSettings(events=2_500, **chosen)
    return StreamSettings(events=1_200 * domains, order="by-domain", **chosen)


def report(evaluation: Evaluation, regime: str, keep: Path | None) -> dict[str, Any]:
    """One method in one regime, from the folder where it is there."""
    (method,) = evaluation.methods
    name = f"{Path(evaluation.features.name).stem}-{regime.replace(', ', '-').replace(' ', '-')}-{method}"
    path = None if keep is None else keep / f"{name}-{evaluation.seeds}.json"
    if path is not None and path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    found = document(evaluation, run_all(evaluation, 1, lambda events: None))
    if path is not None:
        write_json(path, found)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each cell as soon as it is there, and write them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--methods", default=DEFAULT_METHODS, help="names with commas")
    parser.add_argument("--regimes", nargs="+", choices=REGIMES, default=list(REGIMES), metavar="REGIME")
    parser.add_argument("--seeds", type=int, default=3, help="draws")
    parser.add_argument("--config", type=Path, help="a worker's configuration: settings of default and llu")
    parser.add_argument("--keep", type=Path, help="folder for the reports of the cells")
    parser.add_argument("--json", type=Path, help="write all cells into this file")
    asked = parser.parse_args(arguments)
    if asked.keep is not None:
        asked.keep.mkdir(exist_ok=True)
    adapter = config.AdapterConfig() if asked.config is None else config.load(asked.config).adapter
    cells = []
    for file in asked.files:
        features = read_features(file)
        for regime in asked.regimes:
            stream = settings(features, regime)
            reference = report(Evaluation(features, stream, (REFERENCE,), asked.seeds, adapter), regime, asked.keep)
            for method in check_methods(parts(asked.methods)):
                evaluation = Evaluation(features, stream, (method,), asked.seeds, adapter)
                found = reference if method == REFERENCE else report(evaluation, regime, asked.keep)
                cells.append(Cell.of(features.name, regime, method, found, reference))
                print(cells[-1].line(), flush=True)
    if asked.json is not None:
        write_json(asked.json, {"seeds": asked.seeds, "cells": [_without_nan(dataclasses.asdict(c)) for c in cells]})


def _draws(found: dict[str, Any], method: str, group: str) -> list[float]:
    for row in found["results"]:
        if (row["method"], row["group"], row["domain"]) == (method, group, "all"):
            values = [draw["accuracy"] for draw in row["per_seed"]]
            return [math.nan if value is None else value for value in values]
    return []


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 6)
    return value


if __name__ == "__main__":
    main()
