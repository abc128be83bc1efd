"""`FileChangelog`: the anchors that this run and earlier ones left in the output folder."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from stream_adapter.config import FilesConfig
from stream_adapter.transport.changelog import Change, changes_of
from stream_adapter.transport.files.recording import record_in, size_of, whole_lines
from stream_adapter.transport.files.sink import ANCHORS

_PORTION = 1_000


class FileChangelog:
    """Reads `anchors.jsonl`, in which only this process writes while it runs. Its positions are line numbers."""

    def __init__(self, config: FilesConfig, writer: str) -> None:
        self._path = config.output / ANCHORS
        self._writer = writer
        self._lines = 0
        self._bytes = 0

    def read_to_end(self) -> Iterator[Sequence[Change]]:
        """All changes that follow, oldest first; see `Changelog.read_to_end`."""
        if size_of(self._path) is None:
            return
        lines = whole_lines(self._path, self._bytes)
        while portion := list(islice(lines, _PORTION)):
            yield self._changes(portion)

    def poll(self) -> Sequence[Change]:
        """What was committed since; see `Changelog.poll`."""
        if (size_of(self._path) or 0) <= self._bytes:
            return ()
        return self._changes(list(whole_lines(self._path, self._bytes)))

    @property
    def positions(self) -> dict[int, int]:
        """The lines that were read, as those of one partition."""
        return {0: self._lines}

    @property
    def identity(self) -> str:
        """A hash of the first line: another run's file begins differently."""
        first = next(_lines(self._path), b"")
        return hashlib.blake2b(first, digest_size=8).hexdigest() if first else ""

    @property
    def deletions_kept_ms(self) -> int | None:
        """For ever."""
        return None

    def go_on_from(self, positions: Mapping[int, int]) -> bool:
        """Begin after so many lines; see `Changelog.go_on_from`."""
        wanted = positions.get(0, 0)
        skipped = [len(line) for line in islice(_lines(self._path), wanted)]
        if len(skipped) < wanted:
            return False
        self._lines, self._bytes = wanted, sum(skipped)
        return True

    def close(self) -> None:
        """Nothing is held open."""

    def _changes(self, lines: Sequence[bytes]) -> list[Change]:
        records = [record_in(self._path, number, line) for number, line in enumerate(lines, self._lines + 1)]
        self._lines += len(lines)
        self._bytes += sum(map(len, lines))
        return changes_of(records, self._writer)


def _lines(path: Path) -> Iterator[bytes]:
    return iter(()) if size_of(path) is None else whole_lines(path)
