"""Seven regimes of labelling on feature files, all methods on the same draws, as Markdown tables.

    python benchmarks/regimes.py FILE… --methods zero-shot,tip-adapter --seeds 3 --output regimes/

Data with several domains come domain after domain, 1,200 events each (burst: 2,500 events, shuffled); others come whole
and shuffled. A report that is in the output folder already is not made again, so a run can be broken off and go on.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from stream_adapter.config import AdapterConfig
from stream_adapter.evaluate.cli import DEFAULT_METHODS
from stream_adapter.evaluate.command import parts
from stream_adapter.evaluate.features import Features, read_features
from stream_adapter.evaluate.methods import check_methods
from stream_adapter.evaluate.report import document, write_json
from stream_adapter.evaluate.running import Evaluation, run_all
from stream_adapter.evaluate.stream import StreamSettings

REGIMES: dict[str, dict[str, Any]] = {
    "plain": {},
    "rare": {"canary_rate": 0.1},
    "burst": {"canaries_after": 0.5},
    "late": {"delay": 500},
    "least confident": {"select": "least-confident"},
    "most confident": {"select": "most-confident"},
    "wrong": {"label_noise": 0.1},
}


def settings(features: Features, regime: str) -> StreamSettings:
    """The stream of one regime."""
    domains = len(features.domain_names)
    if domains == 1:
        return StreamSettings(events=len(features), **REGIMES[regime])
    if regime == "burst":
        return StreamSettings(events=2_500, **REGIMES[regime])
    return StreamSettings(events=1_200 * domains, order="by-domain", **REGIMES[regime])


def report(features: Features, regime: str, method: str, seeds: int, folder: Path) -> dict[str, Any]:
    """One method in one regime, from the folder where it is there."""
    path = folder / f"{Path(features.name).stem}-{regime.replace(' ', '-')}-{method}.json"
    if not path.exists():
        evaluation = Evaluation(features, settings(features, regime), (method,), seeds, AdapterConfig())
        write_json(path, document(evaluation, run_all(evaluation, 1, lambda events: None)))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def accuracy(found: dict[str, Any], method: str, group: str) -> str:
    """Mean accuracy over all domains, in %."""
    for row in found["results"]:
        if (row["method"], row["group"], row["domain"]) == (method, group, "all"):
            return f"{100 * row['accuracy']['mean']:.1f}"
    return "–"


def main() -> None:
    """Run what is missing and print a table for each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--methods", default=DEFAULT_METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("regimes"))
    arguments = parser.parse_args()
    arguments.output.mkdir(exist_ok=True)
    methods = check_methods(parts(arguments.methods))
    for file in arguments.files:
        features = read_features(file)
        print(f"\n{features.name}: labelled / canary, %, mean of {arguments.seeds} draws\n")
        print("| method | " + " | ".join(REGIMES) + " |")
        print("|---" * (len(REGIMES) + 1) + "|")
        for method in methods:
            cells = []
            for regime in REGIMES:
                found = report(features, regime, method, arguments.seeds, arguments.output)
                cells.append(" / ".join(accuracy(found, method, group) for group in ("labelled", "canary")))
            print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
