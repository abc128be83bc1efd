"""`KafkaSink`: predictions, anchors and dead letters to their topics, and the consumed positions with them."""

import uuid

from kafka import KafkaProducer

from stream_adapter.errors import TransportError, Unreachable
from stream_adapter.transport.base import Commit
from stream_adapter.transport.kafka.exactly_once import ExactlyOnce
from stream_adapter.transport.kafka.internals import close_producer
from stream_adapter.transport.kafka.source import KafkaSource
from stream_adapter.transport.kafka.topics import require_topics, topic_setting
from stream_adapter.transport.kafka.writing import Writer, topics_by_channel


class KafkaSink:
    """Writes outputs to the topics of their channels and commits positions, as one unit.

    `at_least_once`: outputs first, acknowledged by all replicas; positions last. A crash in between repeats outputs.
    `exactly_once`: outputs and positions in one Kafka transaction, visible together or not at all to readers of what
    was committed (`isolation_level: read_committed`).

    Used by the thread that uses the source.

    Args:
        source: reads what is committed here; shares its cluster, topics, deadline and `kafka.delivery`.
            `kafka.transactional_id` is this worker's identity towards Kafka: the same after a restart, different from
            every other worker's; a second one with the same identity fences the first. By default it is made of the
            group's and the member's names, or drawn for a member without a name.

    Raises:
        TransportError: no broker answers, or an output topic does not exist.
    """

    def __init__(self, source: KafkaSource) -> None:
        self._source = source
        connection = source.connection
        topics = topics_by_channel(connection.config.topics)
        # Most workers only read the classes.
        require_topics(connection, [topic for channel, topic in topics.items() if channel != "classes"], "Write")
        writer = Writer(connection, topics, topic_setting(connection, topics["dead_letters"], "max.message.bytes"))
        self._how: ExactlyOnce | _AtLeastOnce
        if connection.config.delivery == "exactly_once":
            member = connection.config.group_instance_id or uuid.uuid4().hex
            identity = connection.config.transactional_id or f"{connection.config.group_id}-{member}"
            self._how = ExactlyOnce(source, writer, identity)
        else:
            self._how = _AtLeastOnce(source, writer)

    def commit(self, commit: Commit) -> None:
        """Write the outputs and commit the positions; see `Sink.commit`."""
        if not (commit.outputs or commit.positions or self._how.in_doubt):
            return
        if self._source.trouble is not None:  # what is known needs not be waited for
            raise Unreachable(self._source.trouble)
        self._how.commit(commit)

    def close(self) -> None:
        """Flush and release the producer."""
        self._how.close()


class _AtLeastOnce:
    """Outputs first, positions last; what has no answer is written again."""

    in_doubt = False

    def __init__(self, source: KafkaSource, writer: Writer) -> None:
        self._source = source
        self._writer = writer
        self._producer: KafkaProducer | None = source.connection.producer()

    def commit(self, commit: Commit) -> None:
        if self._producer is None:
            self._producer = self._source.connection.producer()
        try:
            self._writer.send(self._producer, commit.outputs)
        except TransportError:
            # kafka-python's idempotent producer answers everything with its first fatal error from then on.
            close_producer(self._producer)
            self._producer = None
            raise
        self._source.commit(commit.positions)

    def close(self) -> None:
        if self._producer is not None:
            close_producer(self._producer, self._source.connection.deadline_s)
