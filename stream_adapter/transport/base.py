"""What travels in and out, and the two protocols at the seam: `Source` and `Sink`.

The processor knows nothing else of the outside world. `kafka` and `files` implement both protocols; the
in-memory twins for tests are in `memory.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from stream_adapter.errors import TransportError

Headers = tuple[tuple[str, bytes], ...]

# The header by which a transport says why a record has no value: it could not be read. Such a record ends as a dead
# letter, which has the reason and the place, though not the bytes.
UNREADABLE = "stream_adapter.unreadable"


class Partition(NamedTuple):
    """One ordered part of the input: a Kafka topic partition, or a file."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.number}"


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read, untouched; a dead letter is made from exactly this.

    Attributes:
        partition: where it came from.
        offset: its position there; the next one to read is `offset + 1`.
        timestamp_ms: the transport's time, milliseconds since the epoch.
        value: the record's payload; None is a Kafka tombstone.
        headers: names and raw values, in order, duplicates included. A null value, which Kafka knows beside the empty
            one, is read as empty.
    """

    partition: Partition
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class OutRecord:
    """One record to be written to an output.

    Attributes:
        channel: the output's role: "predictions", "anchors", "classes", "dead_letters", "drift", "waiting", "to_label"
            or, from beside a worker, "labels"; the transport maps roles to topics or files.
        value: the payload; None deletes the key in a compacted output.
        timestamp_ms: milliseconds since the epoch, or None for the time of writing.
        source: the input partition of the event that it comes from, None where no single event is behind it. An output
            whose partition moved to another worker must not be written here.
        partition: of the output, where it is not left to the key.
    """

    channel: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None
    source: Partition | None = None
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """All that one batch has to say: its outputs and how far the input was consumed.

    It becomes visible as a whole or, at least once, outputs first and positions last.

    Attributes:
        outputs: records to write, in order.
        positions: for each partition that the batch touched, the offset to read next.
    """

    outputs: Sequence[OutRecord]
    positions: dict[Partition, int] = field(default_factory=dict)


class CommitAborted(TransportError):
    """An exactly-once commit was undone as a whole: no output is visible, no position was recorded.

    The sink is ready for the next commit. Whoever processed the batch commits it again, without what belongs to
    partitions that moved away meanwhile, or stops and lets its successor process the events again.
    """


class OutputTooLarge(CommitAborted):
    """A commit was undone because of an output that its topic does not take; it can be committed without that.

    Attributes:
        output: the one that is too large; there may be more.
    """

    def __init__(self, message: str, output: OutRecord) -> None:
        super().__init__(message)
        self.output = output


class Source(Protocol):
    """Where events come from. Used by one thread."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """The next records, at most `max_records`, waiting at most `timeout_s` seconds for the first one.

        Must be called regularly even while paused: that is what keeps a Kafka consumer in its group. With
        `max_records` 0 it does only that.

        Raises:
            TransportError: the input cannot be read any more.
        """

    def pause(self) -> None:
        """Deliver nothing until `resume`; `poll` goes on serving the group."""

    def resume(self) -> None:
        """Deliver again."""

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions that this worker owns now; changes in `poll` only.

        Records of a partition that left this set are to be dropped, even those that are being processed: the new owner
        reads them again. A partition that came back is missing here after at least one `poll`, so that nobody who
        looks after each one misses the change.
        """

    @property
    def partition_count(self) -> int:
        """How many partitions the input has, whoever owns them."""

    @property
    def exhausted(self) -> bool:
        """True when nothing will ever come any more (a file that was read to its end); never for a topic."""

    @property
    def trouble(self) -> str | None:
        """Why nothing comes at present though `poll` raises nothing, for people; None where all is well.

        A worker whose source is in trouble is not ready, and goes on polling.
        """

    def lag(self) -> dict[Partition, int]:
        """Records per owned partition that are not yet read, as of the last fetch."""

    def close(self) -> None:
        """Leave the group, release all handles."""


class Sink(Protocol):
    """Where results go. Used by one thread, the same that uses the source."""

    def commit(self, commit: Commit) -> None:
        """Write the outputs and record the positions; returns when both are durable.

        Positions of partitions that are no longer owned are left out: their new owner reads the events again. A sink
        that delivers exactly once undoes the whole commit instead, because the outputs of those events are in it.

        Raises:
            TransportError: the outputs could not be written; no position was recorded.
            CommitAborted: the commit was undone; the batch can be processed again.
            OutputTooLarge: that, and it would be again with this output in it.
            Unreachable: nobody answers, or nobody can say what became of it; the same commit, or what is left of it
                when partitions move away, and be it nothing, is to be asked for again.
            Fenced: another worker took over this one's identity.
        """

    def close(self) -> None:
        """Flush and release all handles."""
