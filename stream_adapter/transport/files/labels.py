"""Labels from a file of JSON lines, and waiting events from the output folder."""

import stat
from collections.abc import Iterator
from pathlib import Path

from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.events.payloads import json_object
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files.recording import record_in


class _Tail:
    """The lines of a file that grows, from a number on; asked for in order, or from the first one again."""

    key = ""
    """Of the configuration, where the path comes from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._line = self._bytes = 0

    def lines(self, start: int) -> Iterator[tuple[int, bytes]]:
        if start < self._line:
            self._line = self._bytes = 0
        try:
            found = self.path.stat()
            if stat.S_ISDIR(found.st_mode) or stat.S_ISFIFO(found.st_mode):
                kind = "folder" if stat.S_ISDIR(found.st_mode) else "pipe"
                raise TransportError(f"{self.key}{self.path} is a {kind}, and must be a file; name another, or none")
            if found.st_size <= self._bytes:
                return
            with self.path.open("rb") as file:
                file.seek(self._bytes)
                for line in file:
                    if not line.endswith(b"\n") and not _is_whole(line):
                        return  # somebody is writing it
                    self._line += 1
                    self._bytes += len(line)
                    if self._line > start:
                        yield self._line - 1, line
        except (FileNotFoundError, NotADirectoryError):
            return  # nobody has written it
        except OSError as error:
            raise TransportError(f"cannot read {self.key}{self.path}: {error.strerror}") from error


class WaitingLines(_Tail):
    """Records as the sink wrote them."""

    def __call__(self, start: int) -> Iterator[Record]:
        """The records from line `start` on (the first one is 0)."""
        at = Partition(self.path.name, 0)
        for number, line in self.lines(start):
            record = record_in(self.path, number + 1, line)
            yield Record(at, number, record.timestamp_ms, record.key, record.value, record.headers)


class LabelLines(_Tail):
    """A line is a label as plain JSON, or a whole label event in structured mode."""

    key = "`files.labels_file` "

    def __call__(self, start: int) -> Iterator[Record]:
        """The label events from line `start` on (the first one is 0)."""
        at = Partition(self.path.name, 0)
        for number, line in self.lines(start):
            yield Record(at, number, -1, None, line.strip(), ())


def _is_whole(line: bytes) -> bool:
    try:
        json_object(line, "the line")
    except MalformedEvent:
        return False
    return True
