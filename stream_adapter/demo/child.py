"""Child processes that never outlive this one: each hangs on a pipe that the kernel closes (see `watchdog.py`).

They run in sessions of their own, so that Ctrl-C reaches this process only, which then stops them in order.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_WATCHDOG = Path(__file__).parent / "watchdog.py"


def start(
    command: Sequence[str], scratch: Path, log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command; returns at once.

    Args:
        command: what to run.
        scratch: a folder that is removed if this process dies.
        log: what the command says is appended here.
        environment: its variables; by default this process's own.
    """
    watched = [sys.executable, "-I", "-S", str(_WATCHDOG), str(scratch), *command]
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the commands are ours
            watched, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment, start_new_session=True
        )


def stop(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Let it stop in order; end it where that takes too long."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended already
        process.stdin.write(b"stop\n")
        process.stdin.close()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").strip().splitlines()[-lines:])
