"""The example at work: a real worker, and the commands beside it, on a transport and an encoder that others bring."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from stream_adapter.evaluate.features import save_features
from stream_adapter.transport.recorded import from_line
from tests.evaluate.data import make_features

ROOT = Path(__file__).parents[2]
COLOURS = {"red": [220, 30, 30], "green": [30, 200, 40], "blue": [30, 40, 210]}


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    """A configuration, and beside it 30 pictures and one file that is none."""
    for name, colour in COLOURS.items():
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for number in range(10):
            buffer = io.BytesIO()
            Image.new("RGB", (8, 8), tuple(max(0, part - number) for part in colour)).save(buffer, "PNG")
            (folder / f"{number}.png").write_bytes(buffer.getvalue())
    (tmp_path / "pictures/red/none.png").write_bytes(b"no picture")
    document = {
        "transport": "sqlite",
        "transports": {"sqlite": {"file": "stream.db", "follow": False}},
        "encoder": {"type": "colours", "options": {"colours": COLOURS}, "device": "cpu"},
        "vocabulary": {"classes": list(COLOURS), "templates": "none"},
        "adapter": {"canaries": ["blue"]},
        "service": {"http": False},
        "batch": {"max_batch": 5},
    }
    path = tmp_path / "worker.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def change(worker: Path, **sections: Any) -> None:
    """Other values for keys of the configuration, section by section."""
    document = yaml.safe_load(worker.read_text())
    for name, values in sections.items():
        document[name] |= values
    worker.write_text(yaml.safe_dump(document))


class Shell:
    """Commands where the example is installed."""

    def __init__(self, installed: Path) -> None:
        self._environment = {**os.environ, "PYTHONPATH": str(installed)}

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command, environment = self._command(arguments), self._environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    def __call__(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command(arguments), env=self._environment)

    @staticmethod
    def _command(arguments: Sequence[str | Path]) -> list[str]:
        return [sys.executable, "-m", "stream_adapter", *map(str, arguments)]


@pytest.fixture
def command(installed: Path) -> Shell:
    return Shell(installed)


def predictions_of(command: Shell, worker: Path) -> list[dict[str, Any]]:
    file = worker.parent / "predictions.jsonl"
    command("record", worker, file, "--topic", "predictions")
    return [json.loads(from_line(line).value or b"") for line in file.read_bytes().splitlines()]


def test_a_worker_runs_on_what_was_plugged_in(command: Shell, worker: Path) -> None:
    folder = worker.parent
    assert "valid" in command("validate", worker)
    command("produce", worker, folder / "pictures")
    command("run", worker)
    predictions = predictions_of(command, worker)
    assert len(predictions) == 30
    for prediction in predictions:
        assert prediction["top"][0]["label"] == prediction["event"]["id"].partition("/")[0]

    (letter,) = command("dead-letters", "list", worker, "--json").splitlines()
    assert json.loads(letter)["stage"] == "decode"
    assert len(command("anchors", "list", worker, "--json").splitlines()) == 20  # blue is a canary
    (first, *_) = command("anchors", "list", worker, "--json").splitlines()
    command("anchors", "delete", worker, json.loads(first)["id"], "--yes")
    assert "19 anchors of 2 classes" in command("anchors", "export", worker, folder / "anchors.bin")

    assert "sent 1," in command("dead-letters", "replay", worker)
    command("run", worker)  # goes on where it ended: only what was sent again
    assert len(command("dead-letters", "list", worker, "--json").splitlines()) == 2
    assert "events, written to" in command("drift", "report", worker, "--output", folder / "drift.html")


def test_a_worker_answers_with_a_method_that_was_plugged_in(command: Shell, worker: Path) -> None:
    change(worker, adapter={"method": "nearest", "methods": {"nearest": {"share": 1.0}}})
    assert "valid" in command("validate", worker)
    command("produce", worker, worker.parent / "pictures")
    command("run", worker)
    predictions = predictions_of(command, worker)
    assert len(predictions) == 30
    assert {prediction["versions"]["adapter"].rpartition("-")[2] for prediction in predictions} == {"Nearest"}
    scores = [{one["label"]: (one["adapted"], one["zero_shot"]) for one in each["top"]} for each in predictions]
    # Labelled classes share what zero-shot gave to them, and the canary keeps its own.
    assert any(adapted != untouched for adapted, untouched in (each["red"] for each in scores))
    assert all(adapted == untouched for adapted, untouched in (each["blue"] for each in scores))


def test_a_method_that_was_plugged_in_is_tried_in_the_shadow(command: Shell, worker: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    change(
        worker,
        adapter={"shadow": "nearest", "methods": {"nearest": {"share": 0.3}}},
        service={"http": True, "port": port},
        transports={"sqlite": {"file": "stream.db", "follow": True}},
    )
    command("produce", worker, worker.parent / "pictures")
    process = command.start("run", worker)
    try:
        scored: dict[str, float] = {}
        deadline = time.monotonic() + 120.0
        while sum(scored.values()) < 30:
            assert time.monotonic() < deadline and process.poll() is None, scored
            time.sleep(0.2)
            scored = metric(port, "shadow_scored_total")
        assert metric(port, "shadow_correct_total") == scored
        assert metric(port, "shadow_accuracy_ratio") == {group: 1.0 for group, number in scored.items() if number}
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert all("-mixture-" in one["versions"]["adapter"] for one in predictions_of(command, worker))


def test_a_method_that_was_plugged_in_is_compared_by_its_name(command: Shell, tmp_path: Path) -> None:
    save_features(tmp_path / "made.npz", make_features(120))
    options = ["--methods", "nearest", "--seeds", "1", "--events", "100", "--json", tmp_path / "report.json"]
    command("evaluate", "stream", tmp_path / "made.npz", *options)
    rows = json.loads((tmp_path / "report.json").read_text())["results"]
    mean = {(row["method"], row["group"]): row["accuracy"]["mean"] for row in rows if row["domain"] == "all"}
    assert mean["nearest", "labelled"] > mean["zero-shot", "labelled"]
    refused = command.run("evaluate", "stream", tmp_path / "made.npz", "--methods", "nearst")
    assert "unknown method 'nearst'; did you mean nearest" in refused.stderr


def metric(port: int, name: str) -> dict[str, float]:
    """A metric's values by its only label; empty while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5.0) as answer:
            text = answer.read().decode()
    except urllib.error.URLError:
        return {}
    found = re.findall(rf'^stream_adapter_{name}\{{\w+="(\w+)"\}} (\S+)$', text, re.MULTILINE)
    return {label: float(value) for label, value in found}


def test_what_is_wrong_about_the_settings_of_a_method_is_said_by_its_key(command: Shell, worker: Path) -> None:
    change(worker, adapter={"methods": {"nearest": {"shre": 0.3}}})
    refused = command.run("validate", worker)
    assert refused.returncode == 2
    assert "adapter.methods.nearest.shre: unknown key; did you mean `share`?" in refused.stderr


def test_it_keeps_what_every_method_must_keep(installed: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "LEARNERS": "nearest"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/adapter/test_learners.py"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
