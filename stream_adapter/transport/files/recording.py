"""A recorded topic: JSON lines of whole records, see `recorded.py`."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import structlog

from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.recorded import from_line

log = structlog.get_logger(__name__)


class RecordedInput:
    """The records of a recording, in its order, read one by one.

    A record's partition and offset are its place in the file: several recorded partitions become one. A last line
    without line end that is no record was torn by a writer that died, and is left out.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.partition = Partition(path.name, 0)
        self._length = sum(1 for _ in self._lines())

    def __len__(self) -> int:
        return self._length

    def records(self, start: int) -> Iterator[Record]:
        """The records from line `start` on (the first one is 0)."""
        for offset, line in enumerate(itertools.islice(self._lines(), start, None), start):
            yield replace(record_in(self._path, offset + 1, line), partition=self.partition, offset=offset)

    def mark(self, offset: int) -> str | None:
        """None: the line number says it all."""

    def place(self, offset: int, mark: str | None) -> int:
        """The line at which a run goes on that stopped at `offset`."""
        return min(offset, self._length)

    def _lines(self) -> Iterator[bytes]:
        return whole_lines(self._path)


def record_in(path: Path, number: int, line: bytes) -> Record:
    """The record in a line of a file."""
    try:
        return from_line(line)
    except MalformedEvent as error:
        raise TransportError(
            f"{path} line {number} is not a recorded record: {error}; `stream-adapter record` writes them"
        ) from error


def size_of(path: Path) -> int | None:
    """How many bytes a file has; None where there is none."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TransportError(f"cannot read {path}: {error.strerror}") from error


def whole_lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """The lines of a file from byte `start` on, without a last one that was torn."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            for line in file:
                if line.endswith(b"\n") or _is_record(line):
                    yield line
                else:
                    log.warning("left out a torn last line", path=str(path), bytes=len(line))
    except OSError as error:
        raise TransportError(f"cannot read {path}: {error.strerror}") from error


def _is_record(line: bytes) -> bool:
    try:
        from_line(line)
    except MalformedEvent:
        return False
    return True
