"""The example at work: a real worker, and the commands beside it, on a transport and an encoder that others bring."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from PIL import Image

from stream_adapter.transport.recorded import from_line

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
    }
    path = tmp_path / "worker.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_worker_runs_on_what_was_plugged_in(installed: Path, worker: Path) -> None:
    def command(*arguments: str | Path) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "stream_adapter", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    folder = worker.parent
    assert "valid" in command("validate", worker)
    command("produce", worker, folder / "pictures")
    command("run", worker)
    command("record", worker, folder / "predictions.jsonl", "--topic", "predictions")
    predictions = [
        json.loads(from_line(line).value or b"") for line in (folder / "predictions.jsonl").read_bytes().splitlines()
    ]
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
