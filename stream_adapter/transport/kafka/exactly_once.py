"""Outputs and positions in one Kafka transaction (KIP-98, KIP-447): visible together or not at all."""

import contextlib
import time
import uuid
from collections.abc import Mapping

import structlog
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    AuthorizationError,
    FencedInstanceIdError,
    InvalidRecordError,
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    UnsupportedVersionError,
)

from stream_adapter.errors import Fenced, TransportError, Unreachable
from stream_adapter.transport.base import Commit, CommitAborted, Partition
from stream_adapter.transport.kafka.doubt import Doubt
from stream_adapter.transport.kafka.internals import add_offsets, close_producer, end_transaction, watch_init
from stream_adapter.transport.kafka.source import KafkaSource
from stream_adapter.transport.kafka.writing import Writer

# A second attempt would fail in the same way.
_PERMANENT = (
    AuthorizationError,
    InvalidRecordError,
    InvalidTimestampError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    UnsupportedVersionError,
    ValueError,
)

log = structlog.get_logger(__name__)


class ExactlyOnce:
    """Commits a batch in a transaction of its own.

    Its mark goes with the positions, so that it can be found out what became of it. Outputs without positions, which
    late labels leave, go with the positions of their partitions as they are: whoever fell out of the group is fenced.

    After any failure the producer is thrown away: kafka-python keeps offsets of an aborted transaction and would add
    them to the next one. Its successor has the same identity, so making it ends whatever the old one left open.

    Once the group's coordinator has settled after it was away, a transaction without anything is ended as the one
    before it was: `_end_what_hangs`.
    """

    def __init__(self, source: KafkaSource, writer: Writer, transactional_id: str) -> None:
        assert source.resuming is not None  # as delivery is exactly once
        self._source = source
        self._resuming = source.resuming
        self._connection = source.connection
        self._writer = writer
        self._transactional_id = transactional_id
        self._doubt = Doubt()
        self._committed_last = False  # the newest transaction under this name
        self._producer: KafkaProducer | None = self._new_producer()
        self._in_doubt: tuple[str, dict[Partition, int]] | None = None  # a commit of which nobody knows the end
        source.before_poll = self._end_what_hangs

    def commit(self, commit: Commit) -> None:
        """See `Sink.commit`; where nobody can say what became of a commit, the next call finds out."""
        if self._in_doubt is not None and self._was_committed(*self._in_doubt):
            return
        if not (commit.outputs or commit.positions):  # nothing of what was in doubt is left to be written
            return
        foreign = commit.positions.keys() - self._source.committable(commit.positions).keys()
        if foreign:
            raise CommitAborted(
                f"{', '.join(sorted(map(str, foreign)))} moved to another worker, which reads these events again; "
                "nothing was written"
            )
        if self._source.group_metadata().generation_id < 0:
            # The broker takes positions of somebody who is in no group, and then nobody is fenced.
            raise CommitAborted("this worker fell out of its group, nothing was written; it joins again by polling")
        if self._producer is None:
            self._producer = self._new_producer()
        mark, positions = uuid.uuid4().hex, dict(commit.positions)
        if not positions:
            sources = {output.source for output in commit.outputs if output.source is not None}
            positions = self._source.positions.committed(sources & self._source.assigned)
        began = time.monotonic()
        try:
            self._transact(self._producer, commit, positions, mark)
        except (KafkaError, TransportError) as error:
            self._drop_producer()
            unsure = isinstance(error, Unreachable)
            fenced = isinstance(error, Fenced) and not self._fenced_itself(error, time.monotonic() - began)
            if fenced or (isinstance(error.__cause__, _PERMANENT) and not unsure):
                raise
            self._in_doubt = mark, positions
            if unsure:
                raise
            if not self._was_committed(*self._in_doubt):
                raise CommitAborted(f"the transaction was aborted, nothing of it is visible: {error}") from error
        else:
            self._committed_last = True
            self._source.positions.remember(positions)

    @property
    def in_doubt(self) -> bool:
        """Whether nobody knows yet what became of the newest commit."""
        return self._in_doubt is not None

    def close(self) -> None:
        """Release the producer; what was not committed is aborted."""
        self._drop_producer()

    def _transact(self, producer: KafkaProducer, commit: Commit, positions: Mapping[Partition, int], mark: str) -> None:
        give_up_at = time.monotonic() + self._connection.deadline_s
        producer.begin_transaction()
        sending = self._writer.start(producer, [*commit.outputs, *self._resuming.outputs(positions, mark)])
        try:
            with self._connection.errors_of("cannot commit a transaction"):
                if positions:  # while the outputs are on their way: that saves one of three waits
                    offsets = {TopicPartition(*at): OffsetAndMetadata(to, mark, -1) for at, to in positions.items()}
                    metadata = self._source.group_metadata()
                    add_offsets(producer, offsets, metadata, self._connection.deadline_s)
        finally:
            sending.wait(max(1.0, give_up_at - time.monotonic()))
        with self._connection.errors_of("cannot commit a transaction"):
            end_transaction(producer, commit=True, timeout_s=self._connection.deadline_s)

    def _end_what_hangs(self) -> None:
        """End in the group's log what its coordinator has forgotten to end there.

        Kafka 4.3.1 was seen to count a transaction as committed that it never marked so in that log: it ended before,
        and led the log anew while it saw to the rest. Nobody is told the positions of such partitions then, for as long
        as whoever has this name commits nothing, which it cannot if it waits for them. The next mark under a name ends
        all that is open under it, so it must say what became of the last one. Where all is well nothing is open.
        """
        if not self._source.place.spend_return():
            return
        try:
            producer = self._producer = self._producer or self._new_producer()
            producer.begin_transaction()
            with self._connection.errors_of("cannot end what hangs in the group's log"):
                add_offsets(producer, {}, self._connection.config.group_id, self._connection.deadline_s)
                end_transaction(producer, commit=self._committed_last, timeout_s=self._connection.deadline_s)
        except (KafkaError, TransportError) as error:
            self._drop_producer()
            if isinstance(error, Fenced) and not self._fenced_itself(error, 0.0):
                raise
            self._source.place.put_return_off()

    def _fenced_itself(self, error: Fenced, open_s: float) -> bool:
        """Whether no other worker needs to be there: a request was lost, or the transaction was open for too long.

        A broker undoes such a transaction, and fences whoever began it.
        """
        if isinstance(error.__cause__, FencedInstanceIdError):
            return self._source.place.take_back()
        return open_s * 1000 >= self._connection.config.transaction_timeout_ms or self._doubt.spend()

    def _was_committed(self, mark: str, positions: Mapping[Partition, int]) -> bool:
        """Whether a transaction was committed in spite of an error.

        A commit whose answer got lost may have happened. A new producer with the same identity ends the transaction one
        way or the other, and the mark at the positions, which are part of it, tells which: the group's, or, where the
        group's coordinator has lost them again, those that were written with the outputs.
        """
        if self._producer is None:
            self._producer = self._new_producer()
        # A partition that moved may have been read on by its new owner: those that stayed tell.
        decisive = positions.keys() & self._source.assigned or positions.keys()
        found = _all_are(mark, self._source.positions.marks(decisive))
        if not found:
            written = self._resuming.written(decisive)
            found = _all_are(mark, {at: position.mark for at, position in written.items()})
        self._in_doubt = None
        if found:
            self._source.positions.remember(positions)
            log.warning("transaction was committed though its answer was lost")
        return found

    def _new_producer(self) -> KafkaProducer:
        producer = self._connection.producer(
            transactional_id=self._transactional_id,
            # The broker aborts a dead worker's transaction after this; until then readers wait behind it.
            transaction_timeout_ms=self._connection.config.transaction_timeout_ms,
        )
        watch_init(producer, self._doubt.lost)
        self._committed_last = self._was_newest_committed()
        try:
            with self._connection.errors_of(f"cannot begin transactions as {self._transactional_id!r}"):
                producer.init_transactions()
        except TransportError:
            self._doubt.lost()
            close_producer(producer)
            raise
        self._doubt.answered()
        return producer

    def _was_newest_committed(self) -> bool:
        """Whether the newest transaction under this name was, or will be; what nobody can tell was not."""
        with contextlib.suppress(TransportError, KafkaError), self._connection.admin() as admin:
            state = admin.describe_transactions([self._transactional_id])[self._transactional_id].state
            if state != "Empty":  # as of `init_transactions`: none since
                return state in ("PrepareCommit", "CompleteCommit")
            return self._committed_last
        return False

    def _drop_producer(self) -> None:
        if self._producer is not None:
            close_producer(self._producer)
            self._producer = None


def _all_are(mark: str, found: Mapping[Partition, str]) -> bool:
    return bool(found) and all(one == mark for one in found.values())
