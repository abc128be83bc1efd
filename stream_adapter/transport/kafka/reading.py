"""A topic as it is now, from its beginning or from where a group left off, to its end; for commands, not the worker."""

import time
from collections.abc import Iterator

from kafka import OffsetAndMetadata, TopicPartition

from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.source import record_of
from stream_adapter.transport.kafka.topics import require_topics

_POLL_MS = 500
_PORTION = 500


class TopicReader:
    """Reads one topic up to the end that it has when reading begins.

    Args:
        connection: the cluster.
        topic: the topic.
        group_id: go on where this group left off; None reads from the beginning and commits nothing.

    Raises:
        TransportError: no broker answers, or the topic does not exist.
    """

    def __init__(self, connection: Connection, topic: str, group_id: str | None = None) -> None:
        self._connection = connection
        self._topic = topic
        number = require_topics(connection, [topic])[topic]
        self._partitions = [TopicPartition(topic, partition) for partition in range(number)]
        self._consumer = connection.consumer(group_id=group_id, auto_offset_reset="earliest")
        self._consumer.assign(self._partitions)

    def portions(self) -> Iterator[list[Record]]:
        """The records in portions, in order within each partition.

        Raises:
            TransportError: the topic gives nothing for the connection's deadline.
        """
        with self._connection.errors_of(f"cannot read topic {self._topic!r}"):
            ends = self._consumer.end_offsets(self._partitions)
        heard_at = time.monotonic()
        # The end is a position, not a number of records: compaction and transactions leave gaps in the offsets.
        while any(self._position(at) < end for at, end in ends.items()):
            with self._connection.errors_of(f"cannot read topic {self._topic!r}"):
                polled = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_PORTION)
            records = [
                record_of(Partition(*at), record)
                for at, batch in polled.items()
                for record in batch
                if record.offset < ends[at]
            ]
            if records:
                heard_at = time.monotonic()
                yield records
            elif time.monotonic() - heard_at > self._connection.deadline_s:
                raise TransportError(
                    f"topic {self._topic!r} at {self._connection.servers} gave nothing for "
                    f"{self._connection.deadline_s:g} s; is the broker up?"
                )

    def commit(self, records: list[Record]) -> None:
        """Commit that these records are dealt with; needs a group."""
        positions: dict[Partition, int] = {}
        for record in records:
            positions[record.partition] = max(record.offset + 1, positions.get(record.partition, 0))
        offsets = {TopicPartition(*at): OffsetAndMetadata(offset, "", -1) for at, offset in positions.items()}
        with self._connection.errors_of(f"cannot commit positions in topic {self._topic!r}"):
            self._consumer.commit(offsets)

    def close(self) -> None:
        """Release the consumer."""
        self._consumer.close()

    def _position(self, at: TopicPartition) -> int:
        with self._connection.errors_of(f"cannot tell the position in topic {self._topic!r}"):
            return self._consumer.position(at, timeout_ms=_POLL_MS) or 0
