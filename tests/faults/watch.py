"""Watching workers from outside while they are hurt: are they alive, do they grow, what do they say."""

import contextlib
import json
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Set
from pathlib import Path

from stream_adapter.demo.loopback import open_loopback
from tests.campaigns.workers import Workers

_SETTLED_S = 30.0
_UNFORESEEN = '"event": "unexpected error"'


class Watch(threading.Thread):
    """Looks at every worker once a second.

    Attributes:
        stuck: workers that did not answer, or said that their loop stands still, one sentence each.

    Args:
        workers: the group.
        hurt: numbers of those that stand still on purpose.
    """

    def __init__(self, workers: Workers, hurt: Set[int]) -> None:
        super().__init__(daemon=True)
        self._workers = workers
        self._hurt = hurt
        self._stopping = threading.Event()
        self._fault = "nothing yet"
        self._reported: set[int] = set()
        self._silent_since: dict[int, float] = {}
        self._born: dict[int, float] = {}
        self._sizes: dict[int, list[tuple[int, int]]] = {}
        self.stuck: list[str] = []

    def run(self) -> None:
        while not self._stopping.wait(1.0):
            for number in list(self._workers.started):
                with contextlib.suppress(OSError, IndexError):
                    self._look(number)

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    def note(self, fault: str) -> None:
        """What is done from now on, for the messages."""
        self._fault = fault

    def pids(self) -> list[int]:
        """Of the workers that run."""
        processes = (self._workers._processes[number] for number in self._workers.started)
        return [process.pid for process in processes if process is not None and process.pid is not None]

    def growth(self, what: str) -> float | None:
        """By how much the one that grew most has grown since it had settled, as a share."""
        column = ("rss", "descriptors").index(what)
        long = [sizes for sizes in self._sizes.values() if len(sizes) > 60]
        grown = [
            max(1, sorted(one[column] for one in sizes[-20:])[10])
            / max(1, sorted(one[column] for one in sizes[:20])[10])
            - 1.0
            for sizes in long
        ]
        return round(max(grown), 4) if grown else None

    def uncaught(self, folder: Path) -> list[str]:
        """Tracebacks and errors that nobody foresaw, in all logs."""
        found = []
        for log in sorted(folder.glob("worker-*.log")):
            lines = log.read_text(errors="replace").splitlines()
            found += [f"{log.name}: {line[:300]}" for line in lines if _is_uncaught(line)]
        return found

    def lines(self, folder: Path) -> int:
        """Of all logs."""
        return sum(len(log.read_bytes().splitlines()) for log in folder.glob("worker-*.log"))

    def endings(self, folder: Path, statuses: list[int]) -> dict[str, int]:
        """How workers ended by themselves: statuses, and what they said last."""
        said = Counter(f"status {status}" for status in statuses)
        for log in folder.glob("worker-*.log"):
            for line in log.read_text(errors="replace").splitlines():
                if line and not line.startswith(("{", " ", "Traceback", "-")):
                    said[line[:160]] += 1
        return dict(said)

    def _look(self, number: int) -> None:
        process = self._workers._processes[number]
        pid = process.pid if process is not None else None
        if pid is None or number in self._hurt:
            self._silent_since.pop(number, None)
            return
        now = time.monotonic()
        age_s = now - self._born.setdefault(pid, now)
        if age_s > _SETTLED_S:
            status = Path(f"/proc/{pid}/statm").read_text().split()
            descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            self._sizes.setdefault(pid, []).append((int(status[1]), descriptors))
        if self._alive(number):
            self._silent_since.pop(number, None)
        elif now - self._silent_since.setdefault(number, now) > _SETTLED_S and pid not in self._reported:
            self._reported.add(pid)
            self.stuck.append(f"worker {number} did not say that it is alive for {_SETTLED_S:.0f} s at {self._fault!r}")

    def _alive(self, number: int) -> bool:
        """Whether `/healthz` answers 200; a process that was just started has not said yet where it listens."""
        port = self._workers._port(number)
        if port is None:
            return True
        try:
            with open_loopback(f"http://127.0.0.1:{port}/healthz", 5) as answer:
                return bool(json.loads(answer.read())["alive"])
        except urllib.error.HTTPError as error:
            self.stuck.append(f"worker {number}: /healthz says {error.code} at {self._fault!r}")
            return True
        except OSError:
            return False


def _is_uncaught(line: str) -> bool:
    return line.startswith("Traceback") or _UNFORESEEN in line
