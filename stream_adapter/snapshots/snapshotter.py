"""When a snapshot is due, and writing it while the stream goes on."""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Protocol

import structlog

from stream_adapter.errors import SnapshotError
from stream_adapter.snapshots.folder import SnapshotFolder
from stream_adapter.snapshots.snapshot import Snapshot

log = structlog.get_logger(__name__)


class Copying(Protocol):
    """A copy of the state in the making."""

    def run(self) -> None:
        """Copy what can be copied while the state goes on changing; in the background."""

    def finish(self) -> Callable[[], Snapshot]:
        """Copy the rest, in the thread that owns the state; what is returned packs it, in the background."""


Begin = Callable[[], Copying]


@dataclass(frozen=True, slots=True)
class Written:
    """A snapshot that is complete: seconds of packing and writing, in the background, and the file's size."""

    seconds: float
    bytes: int


class Snapshotter:
    """Takes a snapshot every so often, and keeps the thread that owns the state for as short as can be.

    That thread begins and finishes the copy; copying the bulk, packing and writing are done in the background.

    A snapshot that fails (a full disk) does not end the worker: the topic has everything, only the next start will
    take longer. It is logged, reported, and tried again after the same interval.

    Args:
        every_s: seconds from the beginning of one snapshot to that of the next.
        executor: packs and writes, one snapshot at a time.
        now_s: when the worker started, by the caller's monotonic clock.
        written: called for a snapshot that is complete.
        failed: called for one that is not.
    """

    def __init__(
        self,
        folder: SnapshotFolder,
        every_s: float,
        executor: Executor,
        now_s: float,
        *,
        written: Callable[[Written], None] = lambda _: None,
        failed: Callable[[SnapshotError], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._every_s = every_s
        self._executor = executor
        self._written = written
        self._failed = failed
        self._due_at_s = now_s + every_s
        self._copying: Copying | None = None
        self._copied: Future[None] | None = None
        self._saved: Future[Written] | None = None
        self._taken_at_s = now_s
        self._newest_s: float | None = None

    def step(self, now_s: float, begin: Begin) -> None:
        """Go on with what the background has finished, or begin what is due; between batches, by the state's owner.

        Args:
            now_s: the caller's monotonic clock, in seconds.
            begin: called if a snapshot is due and none is under way.

        Raises:
            BaseException: whatever copying raised, or packing that did not end in a `SnapshotError`.
        """
        if self._copying is not None and self._copied is not None:
            if self._copied.done():
                self._copied.result()
                self._taken_at_s = now_s
                self._saved = self._executor.submit(self._save, self._copying.finish())
                self._copying = self._copied = None
        elif self._saved is not None:
            if self._saved.done():
                saved, self._saved = self._saved, None
                self._report(saved)
        elif now_s >= self._due_at_s:
            self._due_at_s = now_s + self._every_s
            self._copying = begin()
            self._copied = self._executor.submit(self._copying.run)

    def finish(self, now_s: float, begin: Begin) -> None:
        """Finish the snapshot that is under way, then take a last one; for the end of a worker.

        Raises:
            BaseException: as `step`.
        """
        self._complete(now_s, begin)
        self._due_at_s = now_s
        self.step(now_s, begin)
        self._complete(now_s, begin)

    def _complete(self, now_s: float, begin: Begin) -> None:
        self._due_at_s = float("inf")
        while (under_way := self._copied or self._saved) is not None:
            under_way.exception()  # waits
            self.step(now_s, begin)

    def age_s(self, now_s: float) -> float | None:
        """Seconds since the newest complete snapshot was the state; None before the first."""
        return None if self._newest_s is None else now_s - self._newest_s

    def _save(self, pack: Callable[[], Snapshot]) -> Written:
        started = time.perf_counter()
        size = self._folder.save(pack())
        return Written(time.perf_counter() - started, size)

    def _report(self, finished: "Future[Written]") -> None:
        try:
            written = finished.result()
        except SnapshotError as error:
            log.warning("could not write a snapshot", error=str(error))
            self._failed(error)
            return
        self._newest_s = self._taken_at_s
        self._written(written)
