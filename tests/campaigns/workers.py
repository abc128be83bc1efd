"""Workers that can be killed by the dozen: forked from a process that has imported everything already.

Importing torch takes longer than all else that a worker does at its start, so a campaign would test mostly that.
"""

import contextlib
import ctypes
import ctypes.util
import json
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

from stream_adapter.demo.browser import open_loopback

_PRELOAD = ["stream_adapter.service.main", "stream_adapter.transport.kafka", "stream_adapter.encode.loading"]
_PR_SET_PDEATHSIG = 1
_DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def _run(config: str, log: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # never outlive the campaign
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from stream_adapter.cli import main

    sys.argv = ["stream-adapter", "run", config]
    main()


def allocator_of_the_image() -> dict[str, str]:
    """The variables that make a process allocate as the image's do; none where jemalloc is not installed."""
    if not ctypes.util.find_library("jemalloc"):
        return {}
    return dict(re.findall(r"^ +(LD_PRELOAD|MALLOC_CONF)=(\S+)", _DOCKERFILE.read_text(), re.MULTILINE))


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Workers:
    """A group of worker processes, started again when they end.

    Args:
        configs: one configuration file for each, with a port of its own for HTTP.
        folder: for their logs.
    """

    def __init__(self, configs: list[Path], folder: Path) -> None:
        self._configs = configs
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOAD)
        with _environment(allocator_of_the_image()):
            forkserver.ensure_running()
        self._processes: list[BaseProcess | None] = [None] * len(configs)
        self.ended: list[int] = []

    @property
    def started(self) -> list[int]:
        """Those that run, or ended and will be started again."""
        return [number for number, process in enumerate(self._processes) if process is not None]

    def start(self, number: int) -> None:
        """Start one."""
        process = self._context.Process(target=_run, args=(str(self._configs[number]), str(self.log(number))))
        process.start()
        self._processes[number] = process

    def keep_alive(self) -> None:
        """Start again whatever has ended by itself, as Kubernetes would; its exit status goes to `ended`."""
        for number, process in enumerate(self._processes):
            if process is not None and not process.is_alive():
                self.ended.append(process.exitcode or 0)
                self.start(number)

    def kill(self, number: int) -> None:
        """SIGKILL, then start it again."""
        process = self._processes[number]
        assert process is not None
        process.kill()
        process.join()
        self.start(number)

    def stop_one(self, number: int) -> None:
        """SIGTERM: it drains, commits and leaves; it stays away until `start`."""
        process = self._processes[number]
        assert process is not None
        self._processes[number] = None
        process.terminate()
        process.join(30)
        if process.exitcode != 0:
            self.ended.append(process.exitcode or 0)
            process.kill()

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a signal."""
        process = self._processes[number]
        assert process is not None and process.pid is not None
        os.kill(process.pid, which)

    def stop(self) -> None:
        """SIGTERM to all, and wait."""
        for process in self._processes:
            if process is not None:
                process.terminate()
        for number, process in enumerate(self._processes):
            if process is not None:
                process.join(30)
                if process.is_alive():
                    process.kill()
                    process.join()
            self._processes[number] = None

    def log(self, number: int) -> Path:
        """A worker's log."""
        return self._folder / f"worker-{number}.log"

    def metric(self, number: int, name: str) -> float | None:
        """The value of one series without labels; None while the worker does not answer."""
        port = self._port(number)
        if port is None:
            return None
        with (
            contextlib.suppress(OSError),
            open_loopback(f"http://127.0.0.1:{port}/metrics") as page,
        ):
            for line in page.read().decode().splitlines():
                if line.startswith(f"stream_adapter_{name} "):
                    return float(line.rpartition(" ")[2])
        return None

    def _port(self, number: int) -> int | None:
        lines = self.log(number).read_text().splitlines() if self.log(number).exists() else []
        ports = [json.loads(line)["port"] for line in lines if '"event": "http"' in line]
        return ports[-1] if ports else None
