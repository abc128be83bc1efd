"""`KafkaChangelog`: the compacted anchors topic, read by every worker as a whole."""

from collections.abc import Iterator, Mapping, Sequence

from stream_adapter.config import KafkaConfig
from stream_adapter.transport.base import Record
from stream_adapter.transport.changelog import Change, changes_of
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.reading import TopicReader
from stream_adapter.transport.kafka.topics import topic_identity, topic_setting


class KafkaChangelog:
    """Reads the whole anchors topic, outside of any group.

    Args:
        writer: the `writer` that this process puts into what it writes; must be unique to the process, because it knows
            its own records by it.
        start_timeout_s: seconds to wait for a first answer from the cluster.
        deadline_s: seconds without progress until `read_to_end` gives up.

    Raises:
        TransportError: no broker answers, or the topic does not exist.
    """

    def __init__(
        self, config: KafkaConfig, *, writer: str, start_timeout_s: float = 15.0, deadline_s: float = 45.0
    ) -> None:
        self._connection = connection = Connection(config, start_timeout_s=start_timeout_s, deadline_s=deadline_s)
        self._reader = TopicReader(connection, config.topics.anchors)
        self.identity = topic_identity(connection, config.topics.anchors)
        self._writer = writer
        self._positions: dict[int, int] = {}

    def read_to_end(self) -> Iterator[Sequence[Change]]:
        """All changes up to the end of the topic as it is now; see `Changelog.read_to_end`."""
        for records in self._reader.portions():
            yield self._changes(records)

    def poll(self) -> Sequence[Change]:
        """What was written since; see `Changelog.poll`."""
        return self._changes(self._reader.new())

    @property
    def positions(self) -> dict[int, int]:
        """For each partition the offset after the last record that was delivered."""
        return dict(self._positions)

    @property
    def deletions_kept_ms(self) -> int:
        """The topic's `delete.retention.ms`; asked for here, because only snapshots need it and the right to ask."""
        return topic_setting(self._connection, self._connection.config.topics.anchors, "delete.retention.ms")

    def go_on_from(self, positions: Mapping[int, int]) -> bool:
        """Begin at these offsets; see `Changelog.go_on_from`."""
        if not self._reader.seek(positions):
            return False
        self._positions = dict(positions)
        return True

    def close(self) -> None:
        """Release the consumer."""
        self._reader.close()

    def _changes(self, records: Sequence[Record]) -> list[Change]:
        self._positions.update((record.partition.number, record.offset + 1) for record in records)
        return changes_of(records, self._writer)
