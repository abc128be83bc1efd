"""What the tests on a real Kafka share: topics of their own, and plain clients beside the code under test."""

import contextlib
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from stream_adapter.config import KafkaConfig, KafkaTopics
from stream_adapter.errors import Unreachable
from stream_adapter.transport.base import Commit, CommitAborted, OutRecord, Partition, Record
from stream_adapter.transport.kafka import KafkaSink, KafkaSource
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import create_topics, topic_specs

T = TypeVar("T")


class Cluster:
    """A cluster, and topics in it that no other test uses.

    Attributes:
        config: topics and group of this test; small intervals, so that what takes a minute in life takes seconds here.
    """

    def __init__(self, bootstrap_servers: str, *, partitions: int = 2) -> None:
        unique = uuid.uuid4().hex[:8]
        roles = (
            "images",
            "predictions",
            "anchors",
            "classes",
            "dead_letters",
            "drift",
            "labels",
            "waiting",
            "to_label",
        )
        self.config = KafkaConfig(
            bootstrap_servers=bootstrap_servers,
            topics=KafkaTopics(**{role: f"{role}-{unique}" for role in roles}),
            group_id=f"group-{unique}",
            delivery="at_least_once",
            session_timeout_ms=6_000,
            max_poll_interval_ms=10_000,
            consumer={"fetch_max_wait_ms": 100},
        )
        self.partitions = partitions
        create_topics(Connection(self.config), topic_specs(self.config.topics, partitions=partitions))

    def but(self, **changes: Any) -> KafkaConfig:
        """The configuration with other values."""
        return self.config.model_copy(update=changes)

    def at(self, number: int) -> Partition:
        """A partition of the images topic."""
        return Partition(self.config.topics.images, number)

    def put(self, values: Iterable[bytes], *, partition: int | None = None) -> None:
        """Write images, in turn to all partitions or all to one."""
        producer = KafkaProducer(bootstrap_servers=self.config.bootstrap_servers, linger_ms=5)
        for number, value in enumerate(values):
            at = number % self.partitions if partition is None else partition
            producer.send(self.config.topics.images, value, partition=at)
        producer.flush()
        producer.close()

    def read(self, topic: str, *, committed_only: bool = True) -> list[Any]:
        """All that is in a topic now, by an independent consumer."""
        level = "read_committed" if committed_only else "read_uncommitted"
        consumer = KafkaConsumer(
            bootstrap_servers=self.config.bootstrap_servers, auto_offset_reset="earliest", isolation_level=level
        )
        parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        records = []
        while any(consumer.position(part) < ends[part] for part in parts):
            records += [record for batch in consumer.poll(timeout_ms=200).values() for record in batch]
        consumer.close()
        return records

    def committed(self) -> dict[int, int | None]:
        """The group's committed positions in the images topic, asked by somebody else."""
        consumer = KafkaConsumer(bootstrap_servers=self.config.bootstrap_servers, group_id=self.config.group_id)
        topic = self.config.topics.images
        found = {n: consumer.committed(TopicPartition(topic, n)) for n in range(self.partitions)}
        consumer.close()
        return found


def wait_for(condition: Callable[[], Any], *, timeout_s: float = 30.0, what: str = "it") -> Any:
    """Call until the answer is true; fail after a while."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.005)
    raise AssertionError(f"waited {timeout_s} s for {what}")


def poll_until(source: KafkaSource, number: int, *, timeout_s: float = 30.0) -> list[Record]:
    """Poll until so many records have come."""
    records: list[Record] = []

    def enough() -> bool:
        records.extend(source.poll(number - len(records), 0.1))
        return len(records) >= number

    wait_for(enough, timeout_s=timeout_s, what=f"{number} records")
    return records


class Member(threading.Thread):
    """A worker's loop in a thread of its own: members of one group must not wait for each other in one thread."""

    def __init__(self, config: KafkaConfig, *, copy: bool = False, paused: bool = False) -> None:
        super().__init__(daemon=True)
        self._records: list[Record] = []
        self._copy = copy
        self._source = KafkaSource(config)
        self._sink = KafkaSink(self._source)
        self._jobs: queue.SimpleQueue[tuple[Callable[[KafkaSource, KafkaSink], Any], Future[Any]]] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None
        if paused:
            self._source.pause()
        self.start()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                while not self._jobs.empty():
                    job, answer = self._jobs.get()
                    answer.set_result(job(self._source, self._sink))
                records = [record for record in self._source.poll(7, 0.02) if record.partition in self._source.assigned]
                while self._copy:
                    try:
                        self._sink.commit(commit_of(records))
                        break
                    except (CommitAborted, Unreachable):  # again, without what moved to another member
                        self._source.poll(0, 0.02)
                        records = [record for record in records if record.partition in self._source.assigned]
                self._records += records
        except BaseException as error:
            self._failure = error
        finally:
            close(self._sink, self._source)

    def do(self, job: Callable[[KafkaSource, KafkaSink], T]) -> T:
        """Run something in the member's thread, between two polls."""
        answer: Future[T] = Future()
        self._jobs.put((job, answer))
        while self._failure is None:
            with contextlib.suppress(TimeoutError):
                return answer.result(0.1)
        raise self._failure

    @property
    def records(self) -> list[Record]:
        """Everything that was delivered and owned, in order."""
        if self._failure is not None:
            raise self._failure
        return list(self._records)

    @property
    def assigned(self) -> frozenset[Partition]:
        return self.do(lambda source, _: source.assigned)

    @property
    def generation(self) -> int:
        return int(self.do(lambda source, _: source.group_metadata().generation_id))

    def stop(self) -> None:
        """Leave in order."""
        self._stopping.set()
        self.join(30)
        if self._failure is not None:
            raise self._failure


def settled(*members: Member, partitions: int = 2) -> bool:
    """Whether every partition has an owner, and every member a partition."""
    counts = [len(member.assigned) for member in members]
    return sum(counts) == partitions and min(counts) > 0


def commit_of(records: Sequence[Record]) -> Commit:
    """A commit that copies the records to the predictions."""
    positions: dict[Partition, int] = {}
    for record in records:
        positions[record.partition] = record.offset + 1
    return Commit([OutRecord("predictions", record.key, record.value) for record in records], positions)


def positions_only(records: Sequence[Record]) -> Commit:
    """A commit of the records' positions."""
    return Commit([], commit_of(records).positions)


def close(*things: KafkaSource | KafkaSink) -> None:
    """Close all."""
    for thing in things:
        thing.close()
