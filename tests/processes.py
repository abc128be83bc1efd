"""Python scripts as the first process of a PID namespace: what a container makes of its command."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def first_process(script: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a script as process 1, wait until it has printed a line, and give its parent and its id outside.

    The kernel gives such a process no default action for signals. Skips where namespaces cannot be made; the parent's
    exit status is the script's.
    """
    if shutil.which("unshare") is None or subprocess.run(["unshare", "--pid", "--fork", "true"]).returncode != 0:
        pytest.skip("no PID namespace can be made here: `unshare --pid` needs root")
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-u", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline(), "the script ended before it had printed a line"
            yield parent, _child(parent.pid)
        finally:
            parent.kill()


def ended_within(parent: subprocess.Popen[str], seconds: float) -> int:
    """The exit status; fails where the process goes on."""
    deadline = time.monotonic() + seconds
    while parent.poll() is None:
        assert time.monotonic() < deadline, "the signal did not end the process"
        time.sleep(0.02)
    return parent.returncode


def still_running(pid: int) -> bool:
    """Whether the process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
