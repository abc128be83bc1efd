"""Watching workers from outside while they are hurt: are they alive, do they grow, what do they say."""

import contextlib
import http.client
import json
import statistics
import threading
import time
import urllib.error
from collections import Counter, defaultdict
from collections.abc import Set
from pathlib import Path

from stream_adapter.demo.browser import open_loopback
from tests.campaigns.workers import Workers

_SILENT_S = 30.0
_FILLED_S = (
    60.0  # after it became ready: what is bounded is full by then (window, anchors, pictures of the page, arenas)
)
_ENOUGH = 90  # looks, to tell growth from chance
_UNFORESEEN = '"event": "unexpected error"'


class Watch(threading.Thread):
    """Looks at every worker once a second.

    Attributes:
        kinds: of faults that will come. Each leaves buffers as large as it needs; what grows afterwards, grows.
        stuck: workers that did not answer, or said that their loop stands still, one sentence each.

    Args:
        workers: the group.
        hurt: numbers of those that stand still on purpose.
        sizes: where memory and descriptors of every worker are written, a line of JSON for each look.
    """

    def __init__(self, workers: Workers, hurt: Set[int], sizes: Path) -> None:
        super().__init__(daemon=True)
        self._file = sizes
        self._workers = workers
        self._hurt = hurt
        self._stopping = threading.Event()
        self._fault = "nothing yet"
        # By process, see `_identity`; silence by number.
        self._reported: set[str] = set()
        self._silent_since: dict[int, float] = {}
        self._ready_at: dict[str, float] = {}
        self._met: defaultdict[str, set[str]] = defaultdict(set)  # the faults that a process has seen since
        self._sizes: dict[str, list[tuple[int, int]]] = {}
        self.kinds: Set[str] = frozenset()
        self.stuck: list[str] = []

    def run(self) -> None:
        try:
            while not self._stopping.wait(1.0):
                for number in list(self._workers.started):
                    with contextlib.suppress(OSError, IndexError):
                        self._look(number)
        except Exception as error:  # whatever it does not see from here on is no proof of anything
            self.stuck.append(f"the watch ended: {error!r}")
            raise

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    def note(self, fault: str) -> None:
        """What is done from now on, for the messages."""
        self._fault = fault
        for one in list(self._ready_at):
            self._met[one].add(fault)

    def pids(self) -> list[int]:
        """Of the workers that run."""
        processes = (self._workers._processes[number] for number in self._workers.started)
        return [process.pid for process in processes if process is not None and process.pid is not None]

    def growth(self, what: str) -> float | None:
        """By how much the one that grew most has grown since its stores were full, as a share; None: none lived long.

        The last third of its life since then against the first, by the medians: what leaks raises them, and for moments
        there are more descriptors (a connection that is made anew before the old one is let go of), or fewer.
        """
        column = {"rss": 0, "descriptors": 1}[what]
        grown = []
        for sizes in self._sizes.values():
            if len(sizes) >= _ENOUGH:
                third = len(sizes) // 3
                first, last = (
                    statistics.median(one[column] for one in part) for part in (sizes[:third], sizes[-third:])
                )
                grown.append(last / max(1, first) - 1.0)
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
        now, one = time.monotonic(), _identity(pid)
        self._measure(number, pid, one, now)
        if self._alive(number, one):
            self._silent_since.pop(number, None)
        elif now - self._silent_since.setdefault(number, now) > _SILENT_S:
            self._report(one, f"worker {number} did not say that it is alive for {_SILENT_S:.0f} s at {self._fault!r}")

    def _measure(self, number: int, pid: int, one: str, now: float) -> None:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        ready_at = self._ready_at.get(one)
        if ready_at is not None and now - ready_at > _FILLED_S and self._met[one] >= self.kinds:
            self._sizes.setdefault(one, []).append((pages, descriptors))
        line = {"at": round(now, 1), "worker": number, "pid": pid, "rss_mb": pages // 256, "descriptors": descriptors}
        with self._file.open("a") as file:
            print(json.dumps({**line, "ready": ready_at is not None, "fault": self._fault}), file=file)

    def _report(self, one: str, what: str) -> None:
        """Once for each process."""
        if one not in self._reported:
            self._reported.add(one)
            self.stuck.append(what)

    def _alive(self, number: int, one: str) -> bool:
        """Whether `/healthz` answers 200; a process that was just started has not said yet where it listens."""
        port = self._workers._port(number)
        if port is None:
            return True
        try:
            with open_loopback(f"http://127.0.0.1:{port}/healthz", 5) as answer:
                alive = bool(json.loads(answer.read())["alive"])
            if one not in self._ready_at:
                with contextlib.suppress(urllib.error.HTTPError):
                    open_loopback(f"http://127.0.0.1:{port}/startupz", 5).close()
                    self._ready_at[one] = time.monotonic()
            return alive
        except urllib.error.HTTPError as error:
            self._report(one, f"worker {number}: /healthz says {error.code} at {self._fault!r}")
            return True
        except (OSError, http.client.HTTPException):  # it may be killed in the midst of its answer
            return False


def _identity(pid: int) -> str:
    """A process, by when it was started as well: in two hours numbers come again."""
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{pid}, started at {started}"


def _is_uncaught(line: str) -> bool:
    return line.startswith("Traceback") or _UNFORESEEN in line
