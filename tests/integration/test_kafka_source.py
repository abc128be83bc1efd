import random
import time

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from stream_adapter.errors import ConfigError, Fenced, TransportError
from stream_adapter.transport.base import UNREADABLE
from stream_adapter.transport.kafka import KafkaSink, KafkaSource, record_batches
from tests.integration.cluster import Cluster, Member, close, poll_until, positions_only, settled, wait_for


def test_the_next_reader_goes_on_where_the_last_one_was_committed(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(20))
    first = KafkaSource(cluster.config)
    sink = KafkaSink(first)
    records = poll_until(first, 20)
    assert {record.value for record in records} == {b"%d" % n for n in range(20)}
    sink.commit(positions_only([record for record in records if record.offset < 6]))
    assert first.lag() == {cluster.at(0): 0, cluster.at(1): 0}
    close(sink, first)

    second = KafkaSource(cluster.config)
    again = poll_until(second, 8)
    assert sorted((record.partition.number, record.offset) for record in again) == [
        (part, offset) for part in (0, 1) for offset in (6, 7, 8, 9)
    ]
    assert second.poll(10, 0.3) == []
    close(second)


def test_nothing_is_committed_but_by_the_sink(cluster: Cluster) -> None:
    cluster.put([b"x"] * 4)
    source = KafkaSource(cluster.config)
    poll_until(source, 4)
    for _ in range(3):
        source.poll(1, 0.1)
    close(source)
    assert cluster.committed() == {0: None, 1: None}


def test_lag_counts_what_is_not_yet_read(cluster: Cluster) -> None:
    cluster.put([b"x"] * 10, partition=1)
    source = KafkaSource(cluster.config)
    poll_until(source, 4)
    assert source.lag()[cluster.at(1)] == 6
    close(source)


def test_without_room_the_group_is_served_and_nothing_comes(cluster: Cluster) -> None:
    cluster.put([b"x"] * 4)
    source = KafkaSource(cluster.config)
    wait_for(lambda: source.poll(0, 0.1) or len(source.assigned) == 2)
    assert source.poll(0, 0.5) == []
    assert len(poll_until(source, 4)) == 4
    close(source)


def test_two_members_lose_nothing_when_partitions_move(bootstrap_servers: str) -> None:
    """One reads alone, a second one joins in the midst, the first one leaves: every record is processed."""
    cluster = Cluster(bootstrap_servers, partitions=4)
    cluster.put(b"%d" % n for n in range(400))
    a = Member(cluster.config, copy=True)
    wait_for(lambda: len(a.records) >= 100, what="the first hundred")
    b = Member(cluster.config, copy=True)
    wait_for(lambda: settled(a, b, partitions=4), what="the second member's share")
    assert len(a.assigned) == len(b.assigned) == 2
    assert a.generation <= 4, "the group must settle at once, not after many rounds"
    cluster.put(b"%d" % n for n in range(400, 500))
    wait_for(lambda: len({record.value for record in a.records + b.records}) == 500, what="500 records")
    assert b.records
    a.stop()
    cluster.put(b"%d" % n for n in range(500, 520))
    wait_for(lambda: len(b.assigned) == 4 and len({record.value for record in a.records + b.records}) == 520)
    b.stop()

    processed = a.records + b.records
    assert {record.value for record in processed} == {b"%d" % n for n in range(520)}
    assert len(cluster.read(cluster.config.topics.predictions)) == len(processed)
    assert len(processed) - 520 <= 2 * 7 * 4, "only what was under way when a partition moved may be repeated"
    assert sum(cluster.committed().values()) == 520


def test_positions_of_partitions_that_moved_are_not_committed(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(20))
    a = Member(cluster.config)
    wait_for(lambda: len(a.records) == 20)
    a.do(lambda source, _: source.pause())
    b = Member(cluster.config, paused=True)
    wait_for(lambda: settled(a, b))
    (kept,), (moved,) = a.assigned, b.assigned

    a.do(lambda _, sink: sink.commit(positions_only(a.records)))
    wait_for(lambda: cluster.committed()[kept.number] == 10)
    assert cluster.committed()[moved.number] is None
    b.do(lambda source, _: source.resume())
    wait_for(lambda: len(b.records) == 10)
    a.stop()
    b.stop()


def test_a_partition_assigned_while_paused_is_paused(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(10))
    a = Member(cluster.config)
    b = Member(cluster.config, paused=True)
    wait_for(lambda: settled(a, b))
    a.stop()
    wait_for(lambda: len(b.assigned) == 2, what="the other's partition")
    time.sleep(0.5)
    assert not b.records
    b.do(lambda source, _: source.resume())
    wait_for(lambda: len(b.records) == 10)
    b.stop()


def test_a_paused_member_stays_in_the_group(cluster: Cluster) -> None:
    """Paused for longer than `max_poll_interval_ms`, but polled: it keeps its partitions."""
    config = cluster.but(max_poll_interval_ms=2_000, session_timeout_ms=2_000)
    cluster.put([b"x"] * 10)
    source = KafkaSource(config)
    first = poll_until(source, 4)
    generation = source.group_metadata().generation_id
    source.pause()
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        assert source.poll(10, 0.1) == []
        assert len(source.assigned) == 2
    source.resume()
    assert len(first + poll_until(source, 6)) == 10
    assert source.group_metadata().generation_id == generation
    close(source)


def test_a_member_that_does_not_poll_loses_its_partitions_and_its_say(cluster: Cluster) -> None:
    """It falls out of the group and joins again: old offsets are not committed, and it sees the partitions gone."""
    config = cluster.but(max_poll_interval_ms=1_500, session_timeout_ms=1_500)
    cluster.put([b"x"] * 8)
    source = KafkaSource(config)
    sink = KafkaSink(source)
    old = poll_until(source, 8)
    time.sleep(4.0)
    sink.commit(positions_only(old))  # nobody takes it now; it is not an error
    gaps = []
    again: list[object] = []

    def back() -> bool:
        again.extend(source.poll(8, 0.05))
        gaps.append(not source.assigned)
        return len(again) == 8

    wait_for(back, what="the same records again")
    assert any(gaps), "the worker must see that its partitions were gone"
    assert cluster.committed() == {0: None, 1: None}
    close(sink, source)


def test_new_partitions_of_the_topic_are_read(cluster: Cluster) -> None:
    """The number of partitions is a reason to join again of its own, with a trap of its own in the client."""
    config = cluster.but(consumer={**cluster.config.consumer, "metadata_max_age_ms": 300})
    a, b = Member(config), Member(config)
    wait_for(lambda: settled(a, b))
    admin = KafkaAdminClient(bootstrap_servers=config.bootstrap_servers)
    admin.create_partitions({config.topics.images: 4})
    admin.close()
    wait_for(lambda: settled(a, b, partitions=4), what="the new partitions")
    cluster.put([b"new"], partition=3)
    wait_for(lambda: a.records + b.records)
    a.stop()
    b.stop()


def add_partitions(cluster: Cluster, number: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=cluster.config.bootstrap_servers)
    admin.create_partitions({cluster.config.topics.images: number})
    admin.close()


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_new_partitions_are_read_from_their_beginning_within_half_a_minute(cluster: Cluster, reset: str) -> None:
    """With the intervals of life, and whatever a new group does with old records."""
    cluster.put([b"old"] * 4)
    source = KafkaSource(cluster.but(auto_offset_reset=reset))
    old = poll_until(source, 4) if reset == "earliest" else []
    wait_for(lambda: source.poll(9, 0.1) or len(source.assigned) == 2)
    add_partitions(cluster, 3)
    cluster.put([b"new"] * 5, partition=2)
    assert [record.value for record in poll_until(source, 5, timeout_s=30.0)] == [b"new"] * 5
    assert len(old) == (4 if reset == "earliest" else 0)
    close(source)


def test_latest_is_the_moment_at_which_the_group_begins(cluster: Cluster) -> None:
    """What comes while no worker runs is read, also in a partition that had nothing to commit so far."""
    cluster.put([b"old"] * 4)
    config = cluster.but(auto_offset_reset="latest")
    first = KafkaSource(config)
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        assert first.poll(9, 0.1) == []
    assert cluster.committed() == {0: 2, 1: 2}
    close(first)
    cluster.put([b"meanwhile"] * 4)
    add_partitions(cluster, 3)
    cluster.put([b"meanwhile"] * 2, partition=2)
    second = KafkaSource(config)
    assert [record.value for record in poll_until(second, 6)] == [b"meanwhile"] * 6
    assert second.poll(9, 0.5) == []
    close(second)


def test_of_two_idle_workers_with_one_name_the_first_ends_and_burns_nothing(cluster: Cluster) -> None:
    config = cluster.but(group_instance_id="twin")
    first, second = Member(config), None
    wait_for(lambda: first.assigned)
    second = Member(config)
    wait_for(lambda: not first.is_alive(), timeout_s=10.0, what="the end of the first")
    with pytest.raises(Fenced, match=r"another worker took over .* its own `kafka.group_instance_id`"):
        first.records  # noqa: B018 - raises what ended it
    wait_for(lambda: second.assigned)
    before = time.process_time()
    time.sleep(3.0)
    assert time.process_time() - before < 1.5
    second.stop()


def test_a_static_member_that_restarts_moves_no_partition(cluster: Cluster) -> None:
    a = Member(cluster.but(group_instance_id="a"))
    b = Member(cluster.but(group_instance_id="b"))
    wait_for(lambda: settled(a, b))
    time.sleep(1.5)  # the last round of a cooperative rebalance moves nothing, but counts
    before, generation = a.assigned, b.generation
    a.stop()
    a = Member(cluster.but(group_instance_id="a"))
    wait_for(lambda: a.assigned, what="the old partition")
    assert a.assigned == before
    assert b.generation == generation
    a.stop()
    b.stop()


def test_a_second_worker_with_the_same_name_fences_the_first(cluster: Cluster) -> None:
    cluster.put([b"x"] * 4)
    config = cluster.but(group_instance_id="twin")
    first = KafkaSource(config)
    sink = KafkaSink(first)
    records = poll_until(first, 4)
    second = KafkaSource(config)
    wait_for(lambda: second.poll(1, 0.1) or second.assigned)
    with pytest.raises(Fenced, match=r"another worker took over .* its own `kafka.group_instance_id`"):
        sink.commit(positions_only(records))
    close(sink, first, second)


class NotUtf8(str):
    """A header name as clients in other languages may write it."""

    def encode(self, *_: str) -> bytes:
        return b"\xff\xfe"


def test_a_record_that_cannot_be_read_is_passed_over_and_says_so(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_batches, "_decoded_name", bytes.decode)  # a broker takes hardly anything that is broken
    producer = KafkaProducer(bootstrap_servers=cluster.config.bootstrap_servers)
    topic = cluster.config.topics.images
    for number in range(3):
        headers = [(NotUtf8("x"), b"v")] if number == 1 else [("x", b"v")]
        producer.send(topic, b"%d" % number, partition=0, headers=headers).get(10)  # a record batch each
    producer.close()
    source = KafkaSource(cluster.config)
    sink = KafkaSink(source)
    first, second, third = poll_until(source, 3)
    assert (first.value, second.value, third.value) == (b"0", None, b"2")
    assert second.offset == 1 and b"'utf-8' codec can't decode" in dict(second.headers)[UNREADABLE]
    sink.commit(positions_only([first, second, third]))
    assert cluster.committed()[0] == 3
    close(sink, source)


@pytest.mark.parametrize(
    ("codec", "library"), [("gzip", "gzip"), ("snappy", "snappy"), ("lz4", "lz4"), ("zstd", "zstandard")]
)
def test_compressed_topics_are_read(cluster: Cluster, codec: str, library: str) -> None:
    pytest.importorskip(library)
    producer = KafkaProducer(bootstrap_servers=cluster.config.bootstrap_servers, compression_type=codec)
    value = random.Random(0).randbytes(300_000) + bytes(600_000)
    producer.send(cluster.config.topics.images, value).get(10)
    producer.close()
    source = KafkaSource(cluster.config)
    assert [record.value for record in poll_until(source, 1)] == [value]
    close(source)


def test_a_missing_topic_is_an_error_at_the_start(cluster: Cluster) -> None:
    topics = cluster.config.topics.model_copy(update={"images": "no-such-topic"})
    with pytest.raises(TransportError, match=r"'no-such-topic' not found at .* `stream-adapter topics create`"):
        KafkaSource(cluster.but(topics=topics))
    source = KafkaSource(cluster.config)
    source.connection.config = cluster.but(topics=cluster.config.topics.model_copy(update={"anchors": "none"}))
    with pytest.raises(TransportError, match="topic 'none' not found"):
        KafkaSink(source)
    close(source)


def test_a_broker_that_is_not_there_is_an_error_within_the_time_given(cluster: Cluster) -> None:
    started = time.monotonic()
    with pytest.raises(TransportError, match=r"no Kafka broker answered at 127\.0\.0\.1:9 within 2 s"):
        KafkaSource(cluster.but(bootstrap_servers="127.0.0.1:9"), start_timeout_s=2.0)
    assert time.monotonic() - started < 6.0


def test_wrong_options_are_named(cluster: Cluster) -> None:
    with pytest.raises(TransportError, match=r"an option in `kafka.security` or `kafka.consumer` is wrong: .*colour"):
        KafkaSource(cluster.but(consumer={"colour": "red"}))
    with pytest.raises(ConfigError, match=r"kafka.consumer.enable_auto_commit: cannot be set"):
        KafkaSource(cluster.but(consumer={"enable_auto_commit": True}))
