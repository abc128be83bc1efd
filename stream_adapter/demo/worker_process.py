"""A worker in a process of its own, restarted when it is killed: what Kubernetes would do."""

import os
import subprocess
import sys
import time
from pathlib import Path

from stream_adapter.demo import child
from stream_adapter.errors import StreamAdapterError

_STOP_S = 30.0
# A worker that dies this soon after its start will not get better by being started again.
_TOO_SOON_S = 5.0


class WorkerProcess:
    """Runs `stream-adapter run CONFIG`.

    The worker never outlives this process (see `child.py`).

    Args:
        scratch: a folder for the log, removed if this process dies.
    """

    def __init__(self, config: Path, environment: dict[str, str], scratch: Path) -> None:
        self._command = [sys.executable, "-m", "stream_adapter", "run", str(config)]
        self._environment = {**os.environ, **environment}
        self._scratch = scratch
        self.log = scratch / "worker.log"
        self.restarts = 0
        self._started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the worker; returns at once."""
        self._started_at = time.monotonic()
        self._process = child.start(self._command, self._scratch, self.log, self._environment)

    def ended(self) -> int | None:
        """The exit status of a worker that is no longer running; None while it runs."""
        return None if self._process is None else self._process.poll()

    def restart_if_dead(self) -> bool:
        """Start a worker that died again; says whether it did."""
        if self._process is None or self._process.poll() is None:
            return False
        if time.monotonic() - self._started_at < _TOO_SOON_S:
            raise StreamAdapterError(
                f"the worker ended with status {self._process.returncode} right after its start; its log ends:\n"
                + self.log_tail()
            )
        self.restarts += 1
        self.start()
        return True

    def stop(self) -> None:
        """Let the worker drain and end; kill it where it takes too long."""
        if self._process is not None:
            child.stop(self._process, _STOP_S)
            self._process = None

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the worker's log."""
        return child.tail(self.log, lines)
