"""What commands say: on a full disk, in every encoding, on terminals, and where nobody can answer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from stream_adapter import standard_streams
from stream_adapter.cli import app
from stream_adapter.evaluate.html import Table
from stream_adapter.evaluate.report import write_text
from stream_adapter.transport.opening import transport_of
from tests.operations.anchor_records import record as anchor_record

HARMFUL = "x\x1b[31m\u202e\u200b\udcff"
ESCAPED = "x\\u001b[31m\\u202e\\u200b\\udcff"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "pictures" / "a").mkdir(parents=True)
    (tmp_path / "pictures" / "a" / "one.jpg").write_bytes(b"?")
    document = {
        "transport": "files",
        "files": {"input": str(tmp_path / "pictures"), "output": str(tmp_path / "results")},
        "encoder": {"type": "vectors", "options": {"d": 128, "fingerprint": "f"}},
        "vocabulary": {"vectors": str(tmp_path / "classes.npz")},
    }
    np.savez(
        tmp_path / "classes.npz", class_names=np.array(["café", "犬"]), text_vectors=np.eye(2, 128, dtype=np.float32)
    )
    path = tmp_path / "worker.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell's line, in which `$RUN` is the program."""
    program = f"{sys.executable} -c 'from stream_adapter.cli import main; main()'"
    return subprocess.run(
        ["sh", "-c", command.replace("$RUN", program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("arguments", ["--version", "--help", "classes list FILE", "classes list FILE --json"])
def test_a_full_disk_is_one_line_and_a_status(file: Path, arguments: str) -> None:
    done = shell(f"$RUN {arguments.replace('FILE', str(file))} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == (
        "error: the output cannot be written: No space left on device; make room, or send it elsewhere\n"
    )


def test_what_is_left_in_a_buffer_is_missed_too() -> None:
    script = "from stream_adapter import cli; cli.app = lambda: print(1); cli.main()"
    command = [sys.executable, "-c", script]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=buffered)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_other_errors_of_the_system_are_not_taken_for_it() -> None:
    with pytest.raises(FileNotFoundError), standard_streams.writing():
        Path("/no/such/file").read_bytes()


def test_who_cannot_answer_is_told_what_to_give(file: Path) -> None:
    from stream_adapter import config

    transport_of(config.load(file)).write([anchor_record(1, "café").to_record("w")])
    done = shell(f"$RUN anchors delete {file} --label café <&-")
    assert done.returncode == 2
    assert "the standard input is closed" in done.stderr and "--yes" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_names_are_shown_in_every_encoding(file: Path, environment: dict[str, str]) -> None:
    for command in (f"classes list {file}", f"validate {file}"):
        done = shell(f"$RUN {command} | iconv -f latin1 -t utf8", **environment)
        assert "caf" in done.stdout and "\\u72ac" in done.stdout
        assert done.stderr == ""
    done = shell(f"$RUN classes list {file} --json", **environment)
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == ["café", "犬"]


def test_paths_are_shown_harmlessly(file: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "drift.jsonl").touch()
    output = str(tmp_path / HARMFUL)
    for command in (
        ("anchors", "export", str(file), output),
        ("record", str(file), output, "--topic", "anchors"),
        ("drift", "report", str(file), "--output", output),
    ):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.exception
        assert f"written to {tmp_path}/{ESCAPED}" in done.output


def test_names_of_classes_are_said_harmlessly(file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.eye(1, 128)[0])
    done = CliRunner().invoke(app, ["classes", "add", str(file), "a\u202eb", "--vector", str(tmp_path / "one.npy")])
    assert "added a\\u202eb;" in done.output


def test_tables_of_evaluations_are_harmless(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from rich.console import Console

    table = Table(HARMFUL, [HARMFUL], [[HARMFUL]])
    table.show(Console(width=200))
    said = capsys.readouterr().out
    assert said.count(ESCAPED) == 3 and not set("\x1b\u202e\u200b\udcff") & set(said)
    write_text(tmp_path / "page.html", table.html())
    assert "\\udcff" in (tmp_path / "page.html").read_text()
