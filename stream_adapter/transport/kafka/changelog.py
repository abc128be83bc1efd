"""`KafkaAnchorChangelog`: the compacted anchors topic, read by every worker as a whole."""

from collections.abc import Iterator, Sequence

from stream_adapter.config import KafkaConfig
from stream_adapter.transport.changelog import AnchorChange, change_of, writer_of
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.reading import TopicReader


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
        connection = Connection(config, start_timeout_s=start_timeout_s, deadline_s=deadline_s)
        self._reader = TopicReader(connection, config.topics.anchors)
        self._writer = writer

    def restore(self) -> Iterator[Sequence[AnchorChange]]:
        """All changes up to the end of the topic as it is now; see `AnchorChangelog.restore`."""
        for records in self._reader.portions():
            yield [change for change in map(change_of, records) if change is not None]

    def poll(self) -> Sequence[AnchorChange]:
        """What others wrote since; see `AnchorChangelog.poll`."""
        foreign = (record for record in self._reader.new() if writer_of(record) != self._writer)
        return [change for change in map(change_of, foreign) if change is not None]

    def close(self) -> None:
        """Release the consumer."""
        self._reader.close()
