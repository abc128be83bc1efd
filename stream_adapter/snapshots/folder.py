"""A folder of snapshots that belongs to one worker."""

import contextlib
import errno
import fcntl
import os
import re
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import structlog

from stream_adapter.errors import SnapshotError
from stream_adapter.snapshots.file import LaterVersion
from stream_adapter.snapshots.snapshot import Snapshot

log = structlog.get_logger(__name__)

_NAME = "snapshot-{:08d}.bin"
_NAMES = "snapshot-*.bin"
_NUMBERED = re.compile(r"snapshot-([0-9]{8}|[1-9][0-9]{8,11})\.bin", re.ASCII)  # as `_NAME` writes them
_MOST = 10**12 - 1
_SET_ASIDE = ".unusable"
_LOCK = ".lock"
_SHOWN = 10


class SnapshotFolder:
    """The newest snapshots of one worker, numbered as they were written; a clock that is set back changes nothing.

    The folder is locked as long as this object is open: a snapshot is one worker's place in the changelog, and two
    that wrote here would remove each other's. A lock, and not a subfolder for each worker: where a worker finds its
    snapshots again must be decided by whoever starts it, by a name that lasts (`${POD_NAME}`).

    A snapshot that cannot be used is set aside under another name, so that it is looked at only once, and deleted when
    the next one is complete: until then it may be worth a look, afterwards only the disk is worth something.

    What has the name of a snapshot and is no regular file, or has a number that none gets here, is somebody else's: it
    is never opened, which may wait for ever on a pipe, and never removed.
    """

    def __init__(self, path: Path, keep: int = 2) -> None:
        self._path = path
        self._keep = keep
        self._newest: int | None = None  # that was given; later ones are of a newer version
        self._discarded = set[int]()  # those that could not be renamed
        try:
            self._lock = _open_lock(path)
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise SnapshotError(
                f"another worker keeps its snapshots in {path}; give each one its own `snapshots.folder`, such as "
                f"{path}/${{POD_NAME}}"
            ) from error
        # Half a file that a killed writer left; nobody else writes here.
        with contextlib.suppress(OSError):
            for scratch in path.glob(f".{_NAMES}.new"):
                scratch.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # whoever reads or writes here says it
            own = {_NAME.format(number) for number in self._numbers()}
            if others := sorted({one.name for one in path.glob(_NAMES)} - own):
                log.warning("passed over what is no snapshot of a worker", folder=str(path), names=others[:_SHOWN])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def save(self, snapshot: Snapshot) -> int:
        """Write a snapshot, then delete those that it makes superfluous; returns its size in bytes.

        Raises:
            SnapshotError: it cannot be written, or what it makes superfluous not be deleted.
        """
        try:
            numbers = self._numbers()
            number = self._free(1 + max(numbers, default=0))
        except OSError as error:
            raise self._unusable(error) from error
        self._newest = None
        self._discarded.discard(number)  # somebody deleted that one
        size = snapshot.write(self._path / _NAME.format(number))
        try:
            for superfluous in sorted([*numbers, number])[: -self._keep]:
                (self._path / _NAME.format(superfluous)).unlink(missing_ok=True)
            for unusable in self._path.glob(f"{_NAMES}{_SET_ASIDE}"):
                if unusable.is_file():
                    unusable.unlink(missing_ok=True)
        except OSError as error:
            raise SnapshotError(f"cannot delete old snapshots in {self._path}: {error.strerror or error}") from error
        return size

    def newest(self, *, fingerprint: str, changelog: str, oldest_ms: int | None = None) -> Snapshot | None:
        """The newest snapshot that can be used; those that cannot are set aside with a line in the log.

        Args:
            fingerprint: the encoder that the worker runs.
            changelog: the changelog that it follows, see `Snapshot.changelog`.
            oldest_ms: how old it may be, milliseconds since the epoch. The topic forgets deletions after its
                `delete.retention.ms`; an older state may hold anchors whose deletion cannot be read any more.
        """
        try:
            numbers = sorted(set(self._numbers()) - self._discarded, reverse=True)
        except OSError as error:  # without one a start takes longer, and ends no worse
            log.warning("could not look for snapshots", error=str(self._unusable(error)))
            return None
        for number in numbers:
            try:
                snapshot = Snapshot.read(self._path / _NAME.format(number))
                reason = _misfit(snapshot, fingerprint, changelog, oldest_ms)
            except LaterVersion as error:
                log.warning("left a snapshot of a newer version alone", error=str(error))
                continue
            except SnapshotError as error:
                reason = str(error)
            else:
                if reason is None:
                    self._newest = number
                    return snapshot
            self._discard(number, reason)
        return None

    def discard_newest(self, reason: str) -> None:
        """Set the newest snapshot aside, the one that `newest` just gave, so that it gives the one before it."""
        if self._newest is not None:
            self._discard(self._newest, reason)

    def _discard(self, number: int, reason: str) -> None:
        self._newest = None
        path = self._path / _NAME.format(number)
        log.warning("discarded a snapshot", file=str(path), reason=reason)
        try:
            path.replace(path.with_name(path.name + _SET_ASIDE))
        except OSError as error:
            self._discarded.add(number)
            log.warning("could not set a snapshot aside; delete it", file=str(path), error=error.strerror or str(error))

    def close(self) -> None:
        """Let another worker have the folder."""
        self._lock.close()

    def _numbers(self) -> list[int]:
        with os.scandir(self._path) as entries:  # `glob` of later Pythons takes a folder that it cannot read for empty
            named = [(found, entry) for entry in entries if (found := _NUMBERED.fullmatch(entry.name)) is not None]
            return [int(found[1]) for found, entry in named if Path(entry.path).is_file()]

    def _free(self, number: int) -> int:
        """The first number from there on by whose name there is nothing of any kind."""
        while os.path.lexists(self._path / _NAME.format(number)):
            number += 1
        if number > _MOST:
            raise OSError(f"there is no number left after {_NAME.format(_MOST)}: delete that file")
        return number

    def _unusable(self, error: OSError) -> SnapshotError:
        return SnapshotError(f"cannot use the folder of snapshots {self._path}: {error}; see `snapshots.folder`")


def _open_lock(path: Path) -> IO[str]:
    """The folder's lock file; on a disk that is read-only for now the one that is there, and nothing is written."""
    lock = path / _LOCK
    try:
        path.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(lock) and not lock.is_file():
            lock.replace(lock.with_name(_LOCK + _SET_ASIDE))
            log.warning("set aside what is no lock file", file=str(lock))
        return lock.open("a")
    except OSError as error:
        if error.errno != errno.EROFS or not lock.is_file():
            raise
        log.warning("the folder of snapshots is read-only", folder=str(path))
        return lock.open()


def _misfit(snapshot: Snapshot, fingerprint: str, changelog: str, oldest_ms: int | None) -> str | None:
    """Why a sound snapshot cannot be used here; None where it can."""
    if snapshot.fingerprint != fingerprint:
        return f"its vectors are of encoder {snapshot.fingerprint}, this worker runs {fingerprint}"
    if snapshot.changelog != changelog:
        return f"it is a state of changelog {snapshot.changelog!r}, this worker follows {changelog!r}"
    if oldest_ms is not None and snapshot.created_at_ms < oldest_ms:
        return (
            f"it was taken {oldest_ms - snapshot.created_at_ms} ms before the oldest deletion that the topic is "
            "sure to have"
        )
    return None
