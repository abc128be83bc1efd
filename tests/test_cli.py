"""Exit status and messages of the command line."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream_adapter import __version__
from stream_adapter.cli import main
from stream_adapter.errors import STAGES
from tests.processes import ended_within, first_process

ROOT = Path(__file__).parents[1]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["stream-adapter", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_a_valid_file_is_said_to_be_valid(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "validate", ROOT / "configs" / "default.yaml") == 0
    assert "valid" in capsys.readouterr().out


def test_what_a_valid_file_names_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text(
        "encoder: {model: VitB32, pretrained: openai}\nvocabulary: {classes: [a, b]}\nadapter: {canaries: [c]}\n"
    )
    assert run(monkeypatch, "validate", file) == 2
    shown = capsys.readouterr().err
    assert "2 problems" in shown
    assert "open_clip knows no model 'VitB32'" in shown
    assert "adapter.canaries: 'c' is not a class" in shown


def test_a_demo_into_a_file_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "here").write_text("mine")
    assert run(monkeypatch, "demo", "--output", tmp_path / "here") == 2
    assert "is a file" in re.sub(r"[│\s]+", " ", capsys.readouterr().err)


def test_a_recursive_alias_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text("a: &a [*a]\n")
    assert run(monkeypatch, "validate", file) == 2
    shown = capsys.readouterr().err
    assert "an alias stands inside the anchor that it names" in shown
    assert "Traceback" not in shown


def test_every_problem_of_a_bad_file_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("encoder: {model: m}\nbatch: {max_batch: 0}\ncolour: red\n")
    assert run(monkeypatch, "validate", file) == 2
    shown = capsys.readouterr().err
    for key in ("encoder", "vocabulary", "batch.max_batch", "colour"):
        assert f"- {key}:" in shown
    assert "4 problems" in shown


def test_an_expected_error_is_one_message_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text(
        "transport: files\nencoder: {model: no-such-model, pretrained: x}\nvocabulary: {classes: [a, b]}\n"
        f"files: {{input: {tmp_path}, output: {tmp_path}/results}}\nservice: {{http: false}}\n"
    )
    assert run(monkeypatch, "run", file) == 1
    shown = capsys.readouterr().err
    assert "error: open_clip knows no model 'no-such-model'" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("command", ["run", "serve"])
def test_a_worker_gives_numpy_one_thread_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("OPENBLAS_NUM_THREADS", None)
    assert run(monkeypatch, command, tmp_path / "missing.yaml") != 0
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    os.environ["OPENBLAS_NUM_THREADS"] = "4"
    run(monkeypatch, command, tmp_path / "missing.yaml")
    assert os.environ["OPENBLAS_NUM_THREADS"] == "4"


def test_wrong_usage_is_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "anchors", "delete", ROOT / "configs" / "demo.yaml") == 2
    assert run(monkeypatch, "no-such-command") == 2


@pytest.mark.parametrize("command", ["list", "replay"])
def test_a_stage_that_is_none_is_wrong_usage(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "dead-letters", command, ROOT / "configs" / "default.yaml", "--stage", "foo") == 2
    shown = re.sub(r"[│\s]+", " ", capsys.readouterr().err)  # without the frame around it
    assert f"'foo' is no stage; known: {', '.join(STAGES)}" in shown


def test_what_a_command_logs_keeps_out_of_its_output(tmp_path: Path) -> None:
    (tmp_path / "worker.yaml").write_text("encoder: {model: m, pretrained: p}\nvocabulary: {classes: [a]}\n")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").touch()
    (tmp_path / "pictures" / ".hidden").touch()
    script = (
        "import collections; from stream_adapter import cli; from stream_adapter.transport.kafka import transport; "
        "from stream_adapter.transport.transport import Progress; "
        "transport.produce = lambda *_, **__: iter([Progress(1, collections.Counter(), True)]); cli.main()"
    )
    command = [sys.executable, "-c", script, "produce", str(tmp_path / "worker.yaml"), str(tmp_path / "pictures")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "1 hidden" in done.stderr


def test_the_version_is_the_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == __version__


def test_classes_build_writes_a_file_that_a_worker_can_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = "${STREAM_ADAPTER_PACKAGE}/demo/model/small-clip"
    encoder = f"encoder: {{model: small-clip, model_config_file: '{model}.json', pretrained: '{model}.safetensors'}}\n"
    first, second = tmp_path / "classes.yaml", tmp_path / "worker.yaml"
    first.write_text(encoder + "vocabulary: {classes: [red circle, blue star], templates: simple}\n")
    assert run(monkeypatch, "classes", "build", first, "--output", tmp_path / "classes.npz") == 0
    second.write_text(encoder + "vocabulary: {vectors: classes.npz}\n")

    from stream_adapter.config import load
    from stream_adapter.encode.loading import load_models

    built, loaded = load(first), load(second)
    _, by_text_tower = load_models(built.encoder, built.vocabulary)
    _, by_file = load_models(loaded.encoder, loaded.vocabulary)
    assert by_file.class_names == ("red circle", "blue star")
    assert by_file.hash == by_text_tower.hash


def test_sigterm_ends_a_command_that_is_a_containers_first_process() -> None:
    script = (
        "import time; from stream_adapter import cli; cli.app = lambda: (print('running'), time.sleep(60)); cli.main()"
    )
    with first_process(script) as (parent, pid):
        os.kill(pid, signal.SIGTERM)
        assert ended_within(parent, 20.0) == 143


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("torch", r"torch is not installed; it comes with `pip install 'stream-adapter\[worker\]'`"),
        ("starlette", r"starlette is not installed; it comes with `pip install 'stream-adapter\[page\]'`"),
        ("safetensors", "ModuleNotFoundError: import of safetensors"),
    ],
)
def test_what_is_not_installed_is_said_with_the_extra_that_brings_it(module: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text(
        f"transport: files\nfiles: {{input: {tmp_path}, output: out}}\nvocabulary: {{classes: [a, b]}}\n"
        "encoder: {model: ViT-B-32, pretrained: nothing.pt}\nservice: {port: 0}\n"
    )
    program = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv = ['stream-adapter', 'run', {str(file)!r}]; "
        "from stream_adapter.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert re.search(said, " ".join(done.stderr.split()))


@pytest.mark.parametrize("command", ["create", "check"])
def test_a_transport_without_topics_is_not_looked_for_at_a_broker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    file = tmp_path / "worker.yaml"
    file.write_text(
        "encoder: {pretrained: openai}\nvocabulary: {classes: [a, b]}\n"
        "transport: files\nfiles: {input: in, output: out}\n"
    )
    assert run(monkeypatch, "topics", command, file) == 2
    assert "transport: files has no topics" in capsys.readouterr().err
