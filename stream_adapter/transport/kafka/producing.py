"""Putting records on topics from outside the worker: pictures to classify, deletions, replays."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from stream_adapter.config import KafkaConfig
from stream_adapter.transport.base import UNREADABLE, OutRecord, Record
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.internals import close_producer
from stream_adapter.transport.kafka.topics import require_topics, topic_setting
from stream_adapter.transport.kafka.writing import Writer, topics_by_channel
from stream_adapter.transport.transport import Progress

# kafka-python holds any amount of unsent records; this is what may wait in memory.
_IN_FLIGHT_BYTES = 32 * 2**20
_PROGRESS_EVERY_S = 0.25


def write_outputs(config: KafkaConfig, outputs: Sequence[OutRecord]) -> None:
    """Write outputs to the topics of their channels, as a command does; see `Transport.write`."""
    connection = Connection(config)
    topics = topics_by_channel(config.topics)
    channels = {output.channel for output in outputs}
    require_topics(connection, sorted(topics[channel] for channel in channels), "Write")
    room = None
    if "dead_letters" in channels:
        room = topic_setting(connection, topics["dead_letters"], "max.message.bytes")
    producer = connection.producer()
    try:
        Writer(connection, topics, room).send(producer, outputs)
    finally:
        close_producer(producer, connection.deadline_s)


def produce(
    config: KafkaConfig,
    records: Iterable[Record],
    topic: str,
    *,
    rate: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Progress]:
    """Send records to a topic, the partition follows from the key; see `Transport.produce`.

    A record that is too large for the topic, or whose file could not be read, is refused and counted.
    """
    connection = Connection(config)
    require_topics(connection, [topic], "Write")
    # kafka-python's idempotent producer is dead after the first record that a broker refuses. Without it a record may
    # be sent twice after an outage; an event that is seen twice teaches once.
    producer = connection.producer(enable_idempotence=False)
    production = _Production(connection, topic)
    started = shown_at = clock()
    try:
        for number, record in enumerate(records):
            if rate is not None:
                sleep(max(0.0, started + number / rate - clock()))
            production.send(producer, record)
            if clock() - shown_at >= _PROGRESS_EVERY_S:
                shown_at = clock()
                yield production.progress(finished=False)
        producer.flush(timeout=connection.deadline_s + 5.0)
        production.settle(down_to_bytes=0)
        yield production.progress(finished=True)
    finally:
        close_producer(producer, connection.deadline_s)


@contextmanager
def resending(config: KafkaConfig) -> Iterator[Callable[[Sequence[Record]], None]]:
    """Sends records back to the topics that they came from; see `Transport.resend`."""
    connection = Connection(config)
    producer = connection.producer()

    def send(records: Sequence[Record]) -> None:
        futures = []
        for record in records:
            topic = record.partition.topic
            with connection.errors_of(f"cannot send to topic {topic!r}", "Write"):
                futures.append(producer.send(topic, key=record.key, value=record.value, headers=list(record.headers)))
        with connection.errors_of("cannot send records back", "Write"):
            for future in futures:
                future.get(timeout=connection.deadline_s)

    try:
        yield send
    finally:
        close_producer(producer, connection.deadline_s)


class _Production:
    """Counts what was sent and refused, and bounds what is on its way."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._sent = 0
        self._refused: Counter[str] = Counter()
        self._in_flight: deque[tuple[Any, int]] = deque()
        self._in_flight_bytes = 0

    def send(self, producer: Any, record: Record) -> None:
        if record.value is None:
            reason = dict(record.headers).get(UNREADABLE)
            self._refused["no value" if reason is None else "unreadable file"] += 1
            return
        try:
            with self._connection.errors_of(f"cannot write to topic {self._topic!r}", "Write"):
                future = producer.send(
                    self._topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    timestamp_ms=record.timestamp_ms if record.timestamp_ms > 0 else None,
                )
        except Exception as error:
            if not self._is_too_large(error.__cause__):
                raise
            return
        self._in_flight.append((future, len(record.value)))
        self._in_flight_bytes += len(record.value)
        self.settle(down_to_bytes=_IN_FLIGHT_BYTES)

    def settle(self, down_to_bytes: int) -> None:
        """Wait for the oldest records until no more than this is on its way."""
        while self._in_flight and (self._in_flight_bytes > down_to_bytes or self._in_flight[0][0].is_done):
            future, size = self._in_flight.popleft()
            self._in_flight_bytes -= size
            try:
                with self._connection.errors_of(f"cannot write to topic {self._topic!r}", "Write"):
                    future.get(timeout=self._connection.deadline_s + 5.0)
                self._sent += 1
            except Exception as error:
                if not self._is_too_large(error.__cause__):
                    raise

    def progress(self, *, finished: bool) -> Progress:
        return Progress(self._sent, Counter(self._refused), finished)

    def _is_too_large(self, error: BaseException | None) -> bool:
        too_large = isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError)
        self._refused["too large"] += too_large
        return too_large
