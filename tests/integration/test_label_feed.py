"""How a worker reads labels and what waits for them: the beginning of a new owner, on a real Kafka."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kafka import KafkaProducer

from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import POSITION_KEY
from stream_adapter.transport.base import Record
from stream_adapter.transport.kafka.labels import KafkaLabelFeed
from stream_adapter.transport.kafka.transport import KafkaTransport
from stream_adapter.transport.labels import write_positions
from tests.integration.cluster import Cluster, wait_for


@contextmanager
def transaction(cluster: Cluster, key: bytes, partition: int) -> Iterator[KafkaProducer]:
    """A record of the waiting topic, in a transaction that the caller ends, or the end of the block."""
    producer = KafkaProducer(bootstrap_servers=cluster.config.bootstrap_servers, transactional_id=key.decode())
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(cluster.config.topics.waiting, b"{}", key, partition=partition).get(timeout=30)
    try:
        yield producer
    finally:
        producer.close()


@pytest.fixture
def feed(cluster: Cluster) -> Iterator[KafkaLabelFeed]:
    KafkaTransport(cluster.config).write([LabelEvent.new("/s", f"{n}", "cat").to_output() for n in range(40)])
    feed = KafkaLabelFeed(cluster.config)
    yield feed
    feed.close()


class Read:
    """What a feed has given."""

    def __init__(self, feed: KafkaLabelFeed) -> None:
        self._feed = feed
        self.restored: set[int] = set()
        self.waiting: list[Record] = []
        self.labels: list[Record] = []

    def poll(self) -> None:
        arrivals = self._feed.poll()
        self.restored |= arrivals.restored
        self.waiting += arrivals.waiting
        self.labels += arrivals.labels

    def until_restored(self, *numbers: int) -> None:
        wait_for(lambda: self.poll() or self.restored >= set(numbers), what=f"partitions {numbers}")


def test_what_was_committed_behind_an_open_transaction_is_waited_for(cluster: Cluster, feed: KafkaLabelFeed) -> None:
    """A worker that was killed has left a transaction open when another one takes over."""
    with transaction(cluster, b"killed", 0) as killed:
        with transaction(cluster, b"label/1", 0) as other:
            other.commit_transaction()
        feed.assign(frozenset({0, 1}))
        read = Read(feed)
        read.until_restored(1)
        for _ in range(100):
            read.poll()
        assert 0 not in read.restored and not read.labels, "nobody knows yet what was learned of partition 0"
        killed.abort_transaction()
        read.until_restored(0)
    assert [record.key for record in read.waiting] == [b"label/1"]
    wait_for(lambda: read.poll() or len(read.labels) == 40, what="labels")


def test_labels_of_a_partition_that_stays_are_read_though_another_leaves_meanwhile(
    cluster: Cluster, feed: KafkaLabelFeed
) -> None:
    applied = dict.fromkeys(range(len(feed._labels._partitions)), 1)
    producer = KafkaProducer(bootstrap_servers=cluster.config.bootstrap_servers)
    producer.send(cluster.config.topics.waiting, write_positions(applied), POSITION_KEY.encode(), partition=0)
    producer.close()
    with transaction(cluster, b"open", 1):
        feed.assign(frozenset({0, 1}))
        read = Read(feed)
        read.until_restored(0)
        assert not read.labels
        feed.assign(frozenset({0}))
        wait_for(lambda: read.poll() or len(read.labels) == 40 - len(applied), what="labels that were not applied")
        for _ in range(20):
            read.poll()
    assert len(read.labels) == 40 - len(applied) and all(record.offset >= 1 for record in read.labels)
