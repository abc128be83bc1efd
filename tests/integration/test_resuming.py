"""A group that knows positions of long ago, as a broker's that answered before it had read its log: Kafka 4.3.1."""

import pytest
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaTimeoutError

from stream_adapter.config import KafkaConfig
from stream_adapter.errors import Unreachable
from stream_adapter.events.waiting import InputPosition, waiting_record
from stream_adapter.transport.kafka import KafkaSink, KafkaSource, exactly_once
from stream_adapter.transport.kafka.internals import end_transaction
from stream_adapter.transport.kafka.positions import Positions
from stream_adapter.transport.kafka.producing import write_outputs
from tests.integration.cluster import Cluster, Member, close, commit_of, poll_until, settled, wait_for

MARK = "as a worker leaves one with each commit"


@pytest.fixture
def exactly(cluster: Cluster) -> KafkaConfig:
    return cluster.but(delivery="exactly_once")


def work(config: KafkaConfig, number: int) -> None:
    """What a worker does that reads so many records and ends."""
    source = KafkaSource(config)
    sink = KafkaSink(source)
    sink.commit(commit_of(poll_until(source, number)))
    close(sink, source)


def set_back(cluster: Cluster, offset: int, metadata: str) -> None:
    """Put the group, which has no members, back."""
    consumer = KafkaConsumer(bootstrap_servers=cluster.config.bootstrap_servers, group_id=cluster.config.group_id)
    topic = cluster.config.topics.images
    early = {TopicPartition(topic, n): OffsetAndMetadata(offset, metadata, -1) for n in range(cluster.partitions)}
    consumer.commit(early)
    consumer.close()
    assert set(cluster.committed().values()) == {offset}


def next_offsets(config: KafkaConfig, number: int) -> dict[int, int]:
    """By partition the first offset that a worker is given that starts now."""
    source = KafkaSource(config)
    records = poll_until(source, number)
    source.close()
    return {n: min(one.offset for one in records if one.partition.number == n) for n in (0, 1)}


def test_a_worker_that_starts_does_not_read_again_what_another_one_committed(
    cluster: Cluster, exactly: KafkaConfig
) -> None:
    cluster.put(b"%d" % n for n in range(40))
    work(exactly, 40)
    set_back(cluster, 3, MARK)
    cluster.put(b"%d" % n for n in range(40, 44))
    assert next_offsets(exactly, 4) == {0: 20, 1: 20}


def test_where_to_begin_may_come_from_a_coordinator_that_knows_better_when_it_is_asked_again(
    cluster: Cluster, exactly: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had read its log to the end in between."""
    cluster.put(b"%d" % n for n in range(40))
    work(exactly, 40)
    set_back(cluster, 3, MARK)
    monkeypatch.setattr(Positions, "_look_up", lambda *_: OffsetAndMetadata(20, MARK, -1))
    cluster.put(b"%d" % n for n in range(40, 44))
    assert next_offsets(exactly, 4) == {0: 20, 1: 20}


def test_a_partition_that_moves_is_read_on_where_its_former_owner_was(cluster: Cluster, exactly: KafkaConfig) -> None:
    """All of it through workers that go on: what is committed, and what comes out."""
    cluster.put(b"%d" % n for n in range(40))
    work(exactly, 40)
    set_back(cluster, 3, MARK)
    first, second = Member(exactly, copy=True), Member(exactly, copy=True)
    wait_for(lambda: settled(first, second))
    cluster.put(b"%d" % n for n in range(40, 60))
    wait_for(lambda: len(first.records) + len(second.records) == 20, what="what came afterwards")
    wait_for(lambda: cluster.committed() == {0: 30, 1: 30}, what="positions")
    first.stop()
    cluster.put(b"%d" % n for n in range(60, 70))
    wait_for(lambda: cluster.committed() == {0: 35, 1: 35}, what="positions")
    second.stop()
    written = [int(record.value) for record in cluster.read(cluster.config.topics.predictions)]
    assert sorted(written) == list(range(70))


def test_positions_that_somebody_sets_back_are_obeyed(cluster: Cluster, exactly: KafkaConfig) -> None:
    """By `kafka-consumer-groups.sh --reset-offsets`, which leaves no mark."""
    cluster.put(b"%d" % n for n in range(40))
    work(exactly, 40)
    set_back(cluster, 3, "")
    assert next_offsets(exactly, 34) == {0: 3, 1: 3}


def test_a_position_is_found_behind_what_waits_since(cluster: Cluster, exactly: KafkaConfig) -> None:
    cluster.put(b"%d" % n for n in range(4))
    work(exactly, 4)
    others = [waiting_record(f"{n:032x}", b"{}\nvector", n % 2) for n in range(2_000)]
    write_outputs(cluster.config, others)
    set_back(cluster, 1, MARK)
    cluster.put(b"%d" % n for n in range(4, 8))
    assert next_offsets(exactly, 4) == {0: 2, 1: 2}


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b'{"offset": 7}', b'{"offset": 7, "topic_id": "another topic of this name", "mark": "m"}'],
)
def test_what_is_no_position_in_this_topic_is_passed_over(
    cluster: Cluster, exactly: KafkaConfig, value: bytes | None
) -> None:
    cluster.put(b"%d" % n for n in range(40))
    work(exactly, 40)
    key = InputPosition.key(exactly.group_id, cluster.at(0))
    write_outputs(cluster.config, [waiting_record(key, value, 0)])
    set_back(cluster, 3, MARK)
    cluster.put(b"%d" % n for n in range(40, 44))
    assert next_offsets(exactly, 4) == {0: 20, 1: 20}


def test_a_commit_whose_answer_was_lost_is_known_though_the_group_lost_its_position(
    cluster: Cluster, exactly: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is killed in the midst of a commit is also the one that may come back with an earlier state."""
    cluster.put(b"%d" % n for n in range(10))
    source = KafkaSource(exactly)
    sink = KafkaSink(source)
    commit = commit_of(poll_until(source, 10))

    def lost(producer: KafkaProducer, *, commit: bool, timeout_s: float) -> None:
        end_transaction(producer, commit=commit, timeout_s=timeout_s)
        raise KafkaTimeoutError("the answer is lost")

    with monkeypatch.context() as patch, pytest.raises(Unreachable, match="answer is lost"):
        patch.setattr(exactly_once, "end_transaction", lost)
        sink.commit(commit)
    monkeypatch.setattr(source.positions, "marks", lambda partitions: dict.fromkeys(partitions, MARK))
    sink.commit(commit)
    assert len(cluster.read(cluster.config.topics.predictions)) == 10
    close(sink, source)
