"""Polling kafka-python's consumer so that neither the group nor a broken record stalls it."""

import time

import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CorruptRecordError, FencedInstanceIdError, KafkaError

from stream_adapter.errors import Unreachable
from stream_adapter.transport.base import UNREADABLE, Partition, Record
from stream_adapter.transport.kafka import internals
from stream_adapter.transport.kafka.answers import Answers
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.place import Place

log = structlog.get_logger(__name__)

_JOIN_MS = 10_000  # well below `service.stuck_after_s`
_POSITION_MS = 1_000
_BREATH_S = 0.01  # less than a heartbeat's delay matters


class Poller:
    """Polls a consumer that is a member of a group."""

    def __init__(
        self, consumer: KafkaConsumer, connection: Connection, topic: str, answers: Answers, place: Place
    ) -> None:
        self._consumer = consumer
        self._place = place
        self._connection = connection
        self._topic = topic
        self._answers = answers
        self._corrupt: tuple[TopicPartition, int] | None = None

    def poll(self, max_records: int, timeout_s: float) -> dict[TopicPartition, list[Record]]:
        """The next records by partition; nothing where an error may pass by itself.

        Raises:
            TransportError: the topic cannot be read.
            Fenced: another worker joined with this one's `group_instance_id`.
        """
        try:
            polled = self._join_and_poll(max_records, timeout_s)
        except CorruptRecordError as error:
            return self._pass_over(error)
        except KafkaError as error:
            if isinstance(error, FencedInstanceIdError) and self._place.take_back():
                return {}
            failed = self._connection.error_of(f"cannot read topic {self._topic!r}", error)
            if not isinstance(failed, Unreachable):
                raise failed from error
            self._answers.failed(failed)
            return {}
        return polled

    def _join_and_poll(self, max_records: int, timeout_s: float) -> dict[TopicPartition, list[Record]]:
        internals.finish_join(self._consumer, _JOIN_MS)
        if internals.is_fenced(self._consumer):
            raise FencedInstanceIdError(self._consumer.group_metadata().group_instance_id)
        if internals.would_spin(self._consumer):
            time.sleep(min(timeout_s, _BREATH_S))
            timeout_s = 0.0
        return self._consumer.poll(  # type: ignore[no-any-return]
            timeout_ms=int(timeout_s * 1000), max_records=max_records
        )

    def _pass_over(self, error: CorruptRecordError) -> dict[TopicPartition, list[Record]]:
        """A record that cannot be read, such as one with a header name that is not UTF-8, becomes one that says so.

        kafka-python raises once and then looks at the same bytes for ever, so they are taken away from it. They are
        fetched a second time, in case they were damaged on the way. What follows in the same record batch is behind
        the bad bytes, and passed over in the same way.
        """
        what = f"cannot read topic {self._topic!r}"
        at = internals.take_away_bad_bytes(self._consumer)
        if at is None:
            raise self._connection.error_of(what, error) from error
        with self._connection.errors_of(what):
            offset = self._consumer.position(at, timeout_ms=_POSITION_MS)
        if self._corrupt != (at, offset):
            self._corrupt = (at, offset)
            return {}
        log.warning("passed over a record that cannot be read", partition=str(Partition(*at)), offset=offset)
        self._consumer.seek(at, offset + 1)
        return {at: [Record(Partition(*at), offset, -1, None, None, ((UNREADABLE, str(error).encode()),))]}
