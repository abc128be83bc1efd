"""`KafkaAnchorChangelog`: the compacted anchors topic, read by every worker as a whole."""

import time
from collections.abc import Iterator, Sequence

from kafka import TopicPartition

from stream_adapter.config import KafkaConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.changelog import AnchorChange, change_of, writer_of
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.source import record_of
from stream_adapter.transport.kafka.topics import require_topics

_PORTION = 1_000
_POLL_MS = 500


class KafkaAnchorChangelog:
    """Reads the whole anchors topic, outside of any group.

    Args:
        config: connection and topics.
        writer: the `writer` that this process puts into what it writes; must be unique to the process, because what it
            wrote is left out while following (not while restoring).
        start_timeout_s: seconds to wait for a first answer from the cluster.
        deadline_s: seconds without progress until `restore` gives up.

    Raises:
        TransportError: no broker answers, or the topic does not exist.
    """

    def __init__(
        self, config: KafkaConfig, *, writer: str, start_timeout_s: float = 15.0, deadline_s: float = 45.0
    ) -> None:
        self._connection = Connection(config, start_timeout_s=start_timeout_s, deadline_s=deadline_s)
        self._topic = config.topics.anchors
        self._writer = writer
        number = require_topics(self._connection, [self._topic])[self._topic]
        self._partitions = [TopicPartition(self._topic, partition) for partition in range(number)]
        self._consumer = self._connection.consumer(group_id=None, auto_offset_reset="earliest")
        self._consumer.assign(self._partitions)

    def restore(self) -> Iterator[Sequence[AnchorChange]]:
        """All changes up to the end of the topic as it is now; see `AnchorChangelog.restore`.

        The end is a position, not a number of records: compaction and transactions leave gaps in the offsets.
        """
        timeout_ms = int(self._connection.deadline_s * 1000)
        with self._connection.errors_of(f"cannot find the end of topic {self._topic!r}"):
            ends = self._consumer.end_offsets(self._partitions, timeout_ms=timeout_ms)
            self._consumer.seek_to_beginning(*self._partitions)
        progress_at, positions = time.monotonic(), self._positions()
        while any((positions[at] or 0) < end for at, end in ends.items()):
            changes = self._changes(_POLL_MS)
            if changes:
                yield [change for _, change in changes]
            before, positions = positions, self._positions()
            if positions != before:
                progress_at = time.monotonic()
            elif time.monotonic() - progress_at > self._connection.deadline_s:
                raise TransportError(
                    f"topic {self._topic!r} at {self._connection.servers} gave nothing for "
                    f"{self._connection.deadline_s:.0f} s at positions {self._readable(positions)} of "
                    f"{self._readable(ends)}; is the broker up? The restore starts again with the worker"
                )

    def poll(self) -> Sequence[AnchorChange]:
        """What others wrote since; see `AnchorChangelog.poll`."""
        return [change for record, change in self._changes(0) if writer_of(record) != self._writer]

    def close(self) -> None:
        """Release the consumer."""
        with self._connection.errors_of("cannot close the changelog"):
            self._consumer.close(timeout_ms=1_000)

    def _changes(self, timeout_ms: int) -> list[tuple[Record, AnchorChange]]:
        with self._connection.errors_of(f"cannot read topic {self._topic!r}"):
            polled = self._consumer.poll(timeout_ms=timeout_ms, max_records=_PORTION)
        records = (record_of(Partition(*at), record) for at, batch in polled.items() for record in batch)
        read = ((record, change_of(record)) for record in records)
        return [(record, change) for record, change in read if change is not None]

    def _positions(self) -> dict[TopicPartition, int | None]:
        with self._connection.errors_of(f"cannot tell the position in topic {self._topic!r}"):
            return {at: self._consumer.position(at, timeout_ms=_POLL_MS) for at in self._partitions}

    @staticmethod
    def _readable(positions: dict[TopicPartition, int | None]) -> str:
        return ", ".join(f"{at.partition}: {offset}" for at, offset in sorted(positions.items()))
