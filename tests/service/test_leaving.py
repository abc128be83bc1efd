"""A worker as a process: how it ends before it is up, and what it does not wait for."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS

ROOT = Path(__file__).parents[2]
FIRST_PROCESS = ["unshare", "--pid", "--fork", "--kill-child"]  # as in a container: PID 1, with no default for signals


def may_unshare() -> bool:
    return (
        shutil.which("unshare") is not None
        and not subprocess.run([*FIRST_PROCESS, "true"], capture_output=True, check=False).returncode
    )


@contextmanager
def starting(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker that hangs while it loads: its class names are in a pipe that nobody writes."""
    os.mkfifo(folder / "classes.txt")
    (folder / "pictures").mkdir()
    file = folder / "worker.yaml"
    file.write_text(
        f"transport: files\nfiles: {{input: pictures, output: results}}\nservice: {{port: 0}}\n"
        f"encoder: {{model: {MODEL_NAME}, model_config_file: '{CONFIG}', pretrained: '{WEIGHTS}'}}\n"
        "vocabulary: {classes_file: classes.txt}\n"
    )
    command = [*FIRST_PROCESS, sys.executable, "-m", "stream_adapter", "run", str(file)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        assert process.stderr is not None
        try:
            assert '"event": "http"' in process.stderr.readline()
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(not may_unshare(), reason="needs the right to make a PID namespace (unshare)")
def test_sigterm_ends_a_worker_that_still_loads_though_it_is_the_first_process(tmp_path: Path) -> None:
    with starting(tmp_path) as process:
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM


def test_it_does_not_wait_for_a_fit_that_serves_nobody() -> None:
    program = """
import contextlib, sys, threading, time
from types import SimpleNamespace
from stream_adapter.config import parse
from stream_adapter.service import main

threading.Thread(target=time.sleep, args=(600,), name=f"{main.BACKGROUND}_0").start()
main.open_worker = lambda config: contextlib.nullcontext(SimpleNamespace(run=lambda: None))
main.run_worker(parse("encoder: {pretrained: x}\\nvocabulary: {classes: [a]}"))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert ended.returncode == 0
    assert '"event": "stopped"' in ended.stderr
