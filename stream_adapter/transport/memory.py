"""In-memory twins of the transport, for tests: yours too, they are public API."""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import ClassVar

from pydantic import BaseModel

from stream_adapter.transport.base import Commit, Headers, OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change, change_of
from stream_adapter.transport.labels import SingleLabelFeed
from stream_adapter.transport.single_log import SingleLog
from stream_adapter.transport.transport import Progress, Role

IMAGES = Partition("images", 0)


class MemorySource:
    """A source that delivers the records it is given, in order, and rebalances when it is told to.

        source = MemorySource()
        source.add(b"first")
        source.revoke(IMAGES)

    Args:
        endless: whether more records may come when all were delivered; if not, it is then `exhausted`.
    """

    def __init__(self, partitions: Iterable[Partition] = (IMAGES,), *, endless: bool = False) -> None:
        self._logs: dict[Partition, list[Record]] = {partition: [] for partition in partitions}
        self._next: dict[Partition, int] = dict.fromkeys(self._logs, 0)
        self._assigned = set(self._logs)
        self._endless = endless
        self.paused = False
        self.closed = False
        self.polls = 0
        self.trouble: str | None = None

    def add(
        self,
        value: bytes | None,
        *,
        headers: Headers = (),
        key: bytes | None = None,
        partition: Partition = IMAGES,
        timestamp_ms: int = 0,
    ) -> Record:
        """Append a record to a partition; returns it."""
        log = self._logs.setdefault(partition, [])
        record = Record(partition, len(log), timestamp_ms, key, value, headers)
        log.append(record)
        self._next.setdefault(partition, 0)
        return record

    def log(self, partition: Partition = IMAGES) -> Iterator[Record]:
        """Every record of a partition that was added, delivered or not."""
        yield from self._logs.get(partition, ())

    def assign(self, partition: Partition, position: int = 0) -> None:
        """Give a partition to this worker, to be read from `position` on, as a rebalance does."""
        self._logs.setdefault(partition, [])
        self._next[partition] = position
        self._assigned.add(partition)

    def revoke(self, partition: Partition) -> None:
        """Take a partition away, as a rebalance does."""
        self._assigned.discard(partition)

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """The next records of the assigned partitions, one partition after the other; never waits."""
        self.polls += 1
        records: list[Record] = []
        if self.paused:
            return records
        for partition in sorted(self._assigned):
            start = self._next[partition]
            taken = self._logs[partition][start : start + max(0, max_records - len(records))]
            self._next[partition] = start + len(taken)
            records += taken
        return records

    def pause(self) -> None:
        """Deliver nothing until `resume`."""
        self.paused = True

    def resume(self) -> None:
        """Deliver again."""
        self.paused = False

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions that this worker owns now."""
        return frozenset(self._assigned)

    @property
    def partition_count(self) -> int:
        """How many partitions there are, owned or not."""
        return len(self._logs)

    @property
    def exhausted(self) -> bool:
        """Whether everything was delivered and nothing more may come."""
        return not self._endless and not any(self.lag().values())

    def lag(self) -> dict[Partition, int]:
        """Records per owned partition that are not yet read."""
        return {partition: len(self._logs[partition]) - self._next[partition] for partition in sorted(self._assigned)}

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class MemorySink:
    """A sink that keeps what is committed, by channel, and fails when it is told to.

    Attributes:
        records: what was written, by channel.
        positions: the newest committed position of each partition.
        commits: every commit, in order.
        error: raised by the next commit, once, in place of doing it.
    """

    def __init__(self) -> None:
        self.records: defaultdict[str, list[OutRecord]] = defaultdict(list)
        self.positions: dict[Partition, int] = {}
        self.commits: list[Commit] = []
        self.error: Exception | None = None
        self.closed = False

    def commit(self, commit: Commit) -> None:
        """Keep outputs and positions, or raise `error`."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        for output in commit.outputs:
            self.records[output.channel].append(output)
        self.positions.update(commit.positions)
        self.commits.append(commit)

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class MemoryChangelog:
    """A changelog that delivers what is there at the start, then what is written, as a topic does.

    Args:
        written: what is there already, oldest first.
        sink: where the worker commits; what it writes there comes back, as `writer`'s own.
    """

    def __init__(self, written: Iterable[Change] = (), sink: MemorySink | None = None, writer: str = "") -> None:
        self._changes = list(written)
        self._sink = sink
        self._writer = writer
        self._echoed = 0
        self._next = 0
        self.identity = "memory"
        self.closed = False

    def write(self, change: Change) -> None:
        """A change by somebody else."""
        self._take_echoes()
        self._changes.append(change)

    def read_to_end(self) -> Iterator[Sequence[Change]]:
        """What follows, as one portion."""
        changes = self.poll()
        if changes:
            yield changes

    def poll(self) -> Sequence[Change]:
        """What was written since."""
        self._take_echoes()
        new = self._changes[self._next :]
        self._next = len(self._changes)
        return new

    @property
    def positions(self) -> dict[int, int]:
        """How many changes were delivered."""
        return {0: self._next}

    @property
    def deletions_kept_ms(self) -> int | None:
        """For ever."""
        return None

    def go_on_from(self, positions: Mapping[int, int]) -> bool:
        """Begin after so many changes."""
        if positions.get(0, 0) > len(self._changes):
            return False
        self._next = positions.get(0, 0)
        return True

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _take_echoes(self) -> None:
        written = self._sink.records["anchors"] if self._sink is not None else []
        for output in written[self._echoed :]:
            record = Record(Partition("anchors", 0), len(self._changes), 0, output.key, output.value, output.headers)
            self._changes.append(change_of(record, self._writer))
        self._echoed = len(written)


class MemoryTransport:
    """All of the above as one `Transport`, for programs that have their worker inside.

    Attributes:
        source: what `connect` gives; add records here.
        sink: what `connect` gives; read results here.
    """

    Settings: ClassVar[type[BaseModel]] = BaseModel

    def __init__(self, source: MemorySource | None = None, sink: MemorySink | None = None) -> None:
        self.source = source or MemorySource()
        self.sink = sink or MemorySink()

    @property
    def worker_name(self) -> str | None:
        """Always the same: there is one worker."""
        return "memory"

    def connect(self, stack: contextlib.ExitStack) -> tuple[MemorySource, MemorySink]:
        """The source and the sink."""
        stack.callback(self.source.close)
        stack.callback(self.sink.close)
        return self.source, self.sink

    def open_changelog(self, writer: str) -> MemoryChangelog:
        """The anchors that were written to the sink."""
        return MemoryChangelog(sink=self.sink, writer=writer)

    def open_labels(self) -> SingleLabelFeed:
        """What was written to the channels `labels` and `waiting` of the sink."""
        return SingleLabelFeed(
            lambda start: islice(self._written("waiting"), start, None),
            lambda start: islice(self._written("labels"), start, None),
        )

    def open_log(self, role: Role, reader: str | None = None) -> SingleLog:
        """What was added to the source, or written to the sink."""
        return SingleLog(role, self.source.log if role == "images" else lambda: self._written(role))

    def write(self, outputs: Sequence[OutRecord]) -> None:
        """Put them to what the worker wrote."""
        self.sink.commit(Commit(outputs))

    def produce(self, records: Iterable[Record], *, rate: float | None = None) -> Iterator[Progress]:
        """Add records to the source, at once whatever the rate."""
        sent, refused = 0, Counter[str]()
        for record in records:
            if record.value is None:
                refused["no value"] += 1
            else:
                self._add(record)
                sent += 1
        yield Progress(sent, refused, finished=True)

    @contextlib.contextmanager
    def resend(self) -> Iterator[Callable[[Sequence[Record]], None]]:
        """Add records to the source once more."""

        def send(records: Sequence[Record]) -> None:
            for record in records:
                self._add(record)

        yield send

    def _add(self, record: Record) -> None:
        self.source.add(record.value, headers=record.headers, key=record.key, timestamp_ms=record.timestamp_ms)

    def _written(self, role: str) -> Iterator[Record]:
        for number, output in enumerate(self.sink.records[role]):
            time_ms = -1 if output.timestamp_ms is None else output.timestamp_ms
            yield Record(Partition(role, 0), number, time_ms, output.key, output.value, output.headers)
