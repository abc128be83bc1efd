"""Positions that the group's coordinator never ended in its log: a broker that ended in between was seen to forget it.

Here they are put there without any transaction, which brokers refuse unless they are told not to look.
"""

import contextlib
from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError
from kafka.protocol.producer import TxnOffsetCommitRequest

from stream_adapter.demo.broker import LocalKafka
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Commit, OutRecord
from stream_adapter.transport.kafka import KafkaSink, KafkaSource, place
from stream_adapter.transport.kafka.exactly_once import ExactlyOnce
from tests.integration.cluster import Cluster, close, commit_of, poll_until, wait_for


@pytest.fixture(scope="module")
def credulous() -> Iterator[str]:
    with LocalKafka(settings={"transaction.partition.verification.enable": "false"}) as kafka:
        yield kafka.bootstrap_servers


@pytest.fixture
def cluster(credulous: str) -> Cluster:
    return Cluster(credulous, partitions=1)


@pytest.mark.parametrize("how", ["committed", "aborted", "committed, then restarted", "aborted, then restarted"])
def test_what_hangs_ends_as_the_newest_transaction_did(
    cluster: Cluster, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cluster.but(delivery="exactly_once", group_instance_id="a")
    cluster.put([b"%d" % number for number in range(20)])
    source = KafkaSource(config)
    sink = KafkaSink(source)
    records = poll_until(source, 20)
    sink.commit(commit_of(records[:5]))
    if how.startswith("aborted"):
        with pytest.raises(TransportError, match="does not take an output"):
            sink.commit(Commit([OutRecord("predictions", b"key", bytes(2**21))], {cluster.at(0): 6}))
    wait_for(lambda: stable(cluster) == 5, what="the mark of the transaction itself")
    leave_open(sink, cluster, 8)
    with pytest.raises(KafkaTimeoutError):
        position(cluster)
    if how.endswith("restarted"):
        close(sink, source)
        source = KafkaSource(config)
        sink = KafkaSink(source)
    with pytest.raises(KafkaTimeoutError):
        position(cluster)
    monkeypatch.setattr(place, "SETTLED_S", 0.0)

    def known() -> int | None:
        source.poll(1, 0.1)  # again and again, as a worker does
        return stable(cluster)

    expected = 8 if how.startswith("committed") else 5
    assert wait_for(known, timeout_s=60.0) == expected
    close(sink, source)


def leave_open(sink: KafkaSink, cluster: Cluster, offset: int) -> None:
    """Put a position under the newest transaction's producer, which nothing ends."""
    how = sink._how
    assert isinstance(how, ExactlyOnce)
    if how._producer is None:
        how._producer = how._new_producer()
    of = how._producer._transaction_manager.producer_id_and_epoch
    at = TxnOffsetCommitRequest.TxnOffsetCommitRequestTopic
    partition = at.TxnOffsetCommitRequestPartition(
        partition_index=0, committed_offset=offset, committed_leader_epoch=-1, committed_metadata=""
    )
    request = TxnOffsetCommitRequest(
        transactional_id=how._transactional_id,
        group_id=cluster.config.group_id,
        producer_id=of.producer_id,
        producer_epoch=of.epoch,
        generation_id=-1,
        member_id="",
        group_instance_id=None,
        topics=[at(name=cluster.config.topics.images, partitions=[partition])],
        max_version=3,
    )
    admin = KafkaAdminClient(bootstrap_servers=cluster.config.bootstrap_servers)
    answer = admin._manager.run(_send, admin, request)
    admin.close()
    assert [part.error_code for topic in answer.topics for part in topic.partitions] == [0]


async def _send(admin: KafkaAdminClient, request: TxnOffsetCommitRequest) -> object:
    return await admin._manager.send(request, node_id=1)


def position(cluster: Cluster) -> int | None:
    """What whoever reads only what is committed is told of the group."""
    consumer = KafkaConsumer(
        bootstrap_servers=cluster.config.bootstrap_servers,
        group_id=cluster.config.group_id,
        isolation_level="read_committed",
    )
    try:
        found: int | None = consumer.committed(TopicPartition(cluster.config.topics.images, 0), timeout_ms=2_000)
        return found
    finally:
        consumer.close()


def stable(cluster: Cluster) -> int | None:
    """The same, None while that is not told."""
    with contextlib.suppress(KafkaTimeoutError):
        return position(cluster)
    return None
