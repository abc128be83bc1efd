"""A transport over one SQLite file: outputs and the position of a batch are one transaction, so it is exactly once."""

import contextlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stream_adapter.config import FilePath, Section
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Commit, Headers, OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change, change_of
from stream_adapter.transport.single_log import SingleLog
from stream_adapter.transport.transport import Progress, Role

_TABLES = """
CREATE TABLE IF NOT EXISTS records (
    role TEXT, number INTEGER, time_ms INTEGER, key BLOB, value BLOB, headers TEXT, PRIMARY KEY (role, number)
);
CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 0), next INTEGER);
"""


class SqliteSettings(Section):
    """The keys of `transports.sqlite`."""

    file: FilePath
    follow: bool = True


class SqliteTransport:
    """What `transport: sqlite` is."""

    Settings = SqliteSettings

    def __init__(self, settings: SqliteSettings) -> None:
        self._settings = settings

    @property
    def worker_name(self) -> str | None:
        return "sqlite"

    def connect(self, stack: contextlib.ExitStack) -> tuple["SqliteSource", "SqliteSink"]:
        file = stack.enter_context(contextlib.closing(Table(self._settings.file)))
        return SqliteSource(file, follow=self._settings.follow), SqliteSink(file)

    def open_changelog(self, writer: str) -> "SqliteChangelog":
        return SqliteChangelog(Table(self._settings.file), writer)

    def open_labels(self) -> None:
        """Labels come with their events alone."""

    def open_log(self, role: Role, reader: str | None = None) -> SingleLog:
        def read() -> Iterator[Record]:
            with contextlib.closing(Table(self._settings.file)) as file:
                yield from file.read(role, 0)

        return SingleLog(f"{self._settings.file.name}/{role}", read)

    def write(self, outputs: Sequence[OutRecord]) -> None:
        with contextlib.closing(Table(self._settings.file)) as file:
            SqliteSink(file).commit(Commit(outputs))

    def produce(self, records: Iterable[Record], *, rate: float | None = None) -> Iterator[Progress]:
        refused = Counter[str]()
        sent = 0
        with contextlib.closing(Table(self._settings.file)) as file:
            for record in records:
                if record.value is None:
                    refused["no value"] += 1
                    continue
                time.sleep(1.0 / rate if rate else 0.0)
                with file.transaction():
                    file.append("images", record.timestamp_ms, record.key, record.value, record.headers)
                sent += 1
                yield Progress(sent, refused, finished=False)
        yield Progress(sent, refused, finished=True)

    @contextlib.contextmanager
    def resend(self) -> Iterator[Callable[[Sequence[Record]], None]]:
        with contextlib.closing(Table(self._settings.file)) as file:

            def send(records: Sequence[Record]) -> None:
                with file.transaction():
                    for record in records:
                        file.append("images", record.timestamp_ms, record.key, record.value, record.headers)

            yield send


class Table:
    """The file: records by role, numbered from 0."""

    def __init__(self, path: Path) -> None:
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.executescript(_TABLES)
        except sqlite3.Error as error:
            raise TransportError(f"cannot open `transports.sqlite.file` {path}: {error}") from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it, durably, or nothing."""
        try:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise TransportError(f"SQLite: {error}; nothing was written") from error

    def append(self, role: str, time_ms: int, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        text = json.dumps([[name, data.hex()] for name, data in headers])
        row = (role, self.end(role), time_ms, key, value, text)
        self._database.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", row)

    def read(self, role: str, start: int, limit: int = -1) -> Iterator[Record]:
        query = (
            "SELECT number, time_ms, key, value, headers FROM records WHERE role = ? AND number >= ? ORDER BY number"
        )
        for number, time_ms, key, value, headers in self._all(f"{query} LIMIT ?", (role, start, limit)):
            pairs = tuple((name, bytes.fromhex(data)) for name, data in json.loads(headers))
            yield Record(Partition(role, 0), number, time_ms, key, value, pairs)

    def end(self, role: str) -> int:
        ((count,),) = self._all("SELECT COUNT(*) FROM records WHERE role = ?", (role,))
        return int(count)

    @property
    def next(self) -> int:
        """The first image that is not consumed."""
        return next((int(row[0]) for row in self._all("SELECT next FROM position", ())), 0)

    @next.setter
    def next(self, offset: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO position VALUES (0, ?)", (offset,))

    def close(self) -> None:
        self._database.close()

    def _all(self, query: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise TransportError(f"SQLite: {error}") from error


class SqliteSource:
    """See `stream_adapter.transport.base.Source`."""

    partition_count = 1
    trouble = None
    assigned = frozenset({Partition("images", 0)})

    def __init__(self, file: Table, *, follow: bool) -> None:
        self._file = file
        self._next = file.next
        self._follow = follow
        self._paused = False

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        records = [] if self._paused else list(self._file.read("images", self._next, max_records))
        if not records:
            time.sleep(timeout_s)
        self._next += len(records)
        return records

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    @property
    def exhausted(self) -> bool:
        return not self._follow and self._next >= self._file.end("images")

    def lag(self) -> dict[Partition, int]:
        return {Partition("images", 0): self._file.end("images") - self._next}

    def close(self) -> None:
        """The file is closed by whoever opened it."""


class SqliteSink:
    """See `stream_adapter.transport.base.Sink`."""

    def __init__(self, file: Table) -> None:
        self._file = file

    def commit(self, commit: Commit) -> None:
        with self._file.transaction():
            for output in commit.outputs:
                time_ms = int(time.time() * 1000) if output.timestamp_ms is None else output.timestamp_ms
                self._file.append(output.channel, time_ms, output.key, output.value, output.headers)
            for offset in commit.positions.values():
                self._file.next = offset

    def close(self) -> None:
        """The file is closed by whoever opened it."""


class SqliteChangelog:
    """See `stream_adapter.transport.changelog.Changelog`."""

    identity = "sqlite"
    deletions_kept_ms = None

    def __init__(self, file: Table, writer: str) -> None:
        self._file = file
        self._writer = writer
        self._next = 0

    def read_to_end(self) -> Iterator[Sequence[Change]]:
        yield self.poll()

    def poll(self) -> Sequence[Change]:
        records = list(self._file.read("anchors", self._next))
        self._next += len(records)
        return [change_of(record, self._writer) for record in records]

    @property
    def positions(self) -> dict[int, int]:
        return {0: self._next}

    def go_on_from(self, positions: Mapping[int, int]) -> bool:
        there = positions.get(0, 0) <= self._file.end("anchors")
        self._next = positions.get(0, 0) if there else 0
        return there

    def close(self) -> None:
        self._file.close()
