"""When a snapshot is due, and writing it while the stream goes on."""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import structlog

from stream_adapter.errors import SnapshotError
from stream_adapter.snapshots.folder import SnapshotFolder
from stream_adapter.snapshots.snapshot import Snapshot

log = structlog.get_logger(__name__)

# Called by the thread that owns the state: copies it, and returns what makes a snapshot of the copy, anywhere.
Take = Callable[[], Callable[[], Snapshot]]


@dataclass(frozen=True, slots=True)
class Written:
    """A snapshot that is complete.

    Attributes:
        seconds: what packing and writing took, in the background.
        bytes: size of the file.
    """

    seconds: float
    bytes: int


class Snapshotter:
    """Takes a snapshot every so often: copied by the thread that owns the state, packed and written by another.

    A snapshot that fails (a full disk) does not end the worker: the topic has everything, only the next start will
    take longer. It is logged, reported, and tried again after the same interval.

    Args:
        folder: where to.
        every_s: seconds between two snapshots, from one copy to the next.
        executor: packs and writes, one snapshot at a time.
        now_s: when the worker started, by the caller's monotonic clock.
        written: told of a snapshot that is complete.
        failed: told of one that is not.
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
        self._running: Future[Written] | None = None
        self._running_since_s = now_s
        self._newest_s: float | None = None

    def turn(self, now_s: float, take: Take) -> None:
        """Report what was finished and begin what is due; called between batches by the thread that owns the state.

        Args:
            now_s: the caller's monotonic clock, in seconds.
            take: copies the state; called at once if a snapshot is due and none is being written.

        Raises:
            BaseException: whatever `take` raised, or packing that did not end in a `SnapshotError`.
        """
        if self._running is not None:
            if not self._running.done():
                return
            self._report(self._running)
            self._running = None
        if now_s >= self._due_at_s:
            self._due_at_s = now_s + self._every_s
            self._running_since_s = now_s
            self._running = self._executor.submit(self._write, take())

    def finish(self, now_s: float, take: Take) -> None:
        """Wait for the snapshot that is being written, then write a last one; for the end of a worker.

        Raises:
            BaseException: as `turn`.
        """
        if self._running is not None:
            self._running.exception()  # waits
        self._due_at_s = now_s
        self.turn(now_s, take)
        if self._running is not None:
            self._running.exception()
            self._report(self._running)
            self._running = None

    def age_s(self, now_s: float) -> float | None:
        """Seconds since the state was copied that the newest complete snapshot holds; None before the first."""
        return None if self._newest_s is None else now_s - self._newest_s

    def _write(self, pack: Callable[[], Snapshot]) -> Written:
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
        self._newest_s = self._running_since_s
        self._written(written)
