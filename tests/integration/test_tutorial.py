"""The tutorial, as a reader types it, on a Kafka that it starts itself: `make tutorial-test`."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tutorial import blocks

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 90.0


@contextmanager
def ports(*wanted: int) -> Iterator[dict[str, str]]:
    """Free ports instead of those on the page."""
    free = {}
    for number in wanted:
        with socket.socket() as one:
            one.bind(("localhost", 0))
            free[str(number)] = str(one.getsockname()[1])
    yield free


class Terminals:
    """One shell after another in the same folder; some of them are kept busy."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._busy: dict[int, subprocess.Popen[bytes]] = {}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}

    def occupy(self, number: int, commands: str) -> None:
        """Ctrl-C in that terminal, then these commands."""
        self.interrupt(number)
        log = (self._folder / f"terminal-{number}.log").open("ab")
        self._busy[number] = subprocess.Popen(
            ["bash", "-ec", "exec " + commands.partition("\n")[2]],
            cwd=self._folder, env=self._environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()

    def interrupt(self, number: int) -> None:
        process = self._busy.pop(number, None)
        if process is not None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)

    def type(self, commands: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-ec", commands], cwd=self._folder, env=self._environment, capture_output=True, text=True,
            timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def close(self) -> None:
        for number in sorted(self._busy, reverse=True):
            self.interrupt(number)


@pytest.mark.skipif(os.environ.get("TUTORIAL") != "all", reason="make tutorial-test walks through the tutorial")
@pytest.mark.timeout(900)
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    terminals = Terminals(tmp_path)
    with ports(9092, 8080) as free:
        try:
            for block in blocks():
                commands = block.commands
                for shown, actual in free.items():
                    commands = commands.replace(shown, actual)
                print(f"$ {commands}", flush=True)
                if block.terminal is not None:
                    terminals.occupy(block.terminal, commands)
                    continue
                deadline = time.monotonic() + _PATIENCE_S
                while True:  # a reader looks again until it is there; what must not be typed twice shows no output
                    status, output = terminals.type(commands)
                    good = status == 0 and (block.output is None or block.output.fullmatch(output))
                    if good or time.monotonic() > deadline:
                        break
                    time.sleep(1.0)
                print(output, flush=True)
                assert good, f"after {_PATIENCE_S} s, status {status}:\n{commands}\n{output}"
        finally:
            terminals.close()
            for log in sorted(tmp_path.glob("terminal-*.log")):
                print(log.name, log.read_text()[-3000:])
