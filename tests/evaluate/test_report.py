import json
from pathlib import Path

import pytest
from rich.console import Console

from stream_adapter.config import AdapterConfig
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.report import document, show, write_json, write_text
from stream_adapter.evaluate.results import Figures, Outcome, Run, Sample
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.evaluate.stream import StreamSettings
from tests.evaluate.data import make_features

EVALUATION = Evaluation(make_features(60), StreamSettings(), ("zero-shot", "default"), 2, AdapterConfig())


def run(method: str, seed: int, accuracy: float, kinds: list[str] | None = None) -> Run:
    samples = [
        Sample("labelled", "all", Figures(50, accuracy, 0.1, 0.5, 0.3, accuracy, accuracy)),
        Sample("canary", "all", Figures(0, float("nan"))),
    ]
    return Run(method, seed, 1.5, Outcome(samples, kinds=kinds, held_out=("house",)))  # type: ignore[arg-type]


RUNS = [
    run("zero-shot", 0, 0.6),
    run("zero-shot", 1, 0.8),
    run("default", 0, 0.9, ["labelled", "present", "dormant"]),
    run("default", 1, 1.0, ["labelled", "labelled", "dormant"]),
]


def test_what_is_unknown_is_null_and_the_rest_is_rounded() -> None:
    report = document(EVALUATION, RUNS)
    text = json.dumps(report, allow_nan=False)
    rows = {(row["method"], row["group"]): row for row in json.loads(text)["results"]}
    adapted = rows["default", "labelled"]
    assert adapted["accuracy"]["mean"] == 0.95
    assert adapted["before"] == {"accuracy": 0.7, "ece": 0.1, "nll": 0.5, "brier": 0.3}
    assert [figures["accuracy"] for figures in adapted["per_seed"]] == [0.9, 1.0]
    assert adapted["windowed"] == 0.95
    empty = rows["default", "canary"]
    assert empty["accuracy"] == {"mean": None, "low": None, "high": None}
    assert empty["ece"] is None
    assert "shots" not in adapted


def test_kinds_are_mean_counts_over_seeds() -> None:
    assert document(EVALUATION, RUNS)["kinds"] == {"default": {"labelled": 1.5, "present": 0.5, "dormant": 1.0}}


def test_a_table_has_every_method_and_group() -> None:
    console = Console(record=True, width=120)
    show(EVALUATION, RUNS, console)
    text = console.export_text()
    assert "95.0 ±" in text
    for word in ("made", "zero-shot", "default", "labelled", "canary", "ECE", "2 seeds"):
        assert word in text


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", {"ä": 1})
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == {"ä": 1}
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(EvaluationError, match="cannot be written"):
        write_text(tmp_path / "absent" / "report.html", "")
