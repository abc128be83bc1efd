import random
import re
import time

import pytest

from stream_adapter.demo.broker import LocalKafka
from stream_adapter.errors import MalformedEvent, Unreachable
from stream_adapter.transport.base import Commit, OutputTooLarge, OutRecord, Partition, Record
from stream_adapter.transport.dead_letters import VALUE_OMITTED, dead_letter, undo
from stream_adapter.transport.kafka import KafkaSink, KafkaSource
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import TopicSpec, create_topics
from stream_adapter.transport.kafka.transport import KafkaTransport
from stream_adapter.transport.transport import read_all
from tests.integration.cluster import Cluster, Member, close, commit_of, poll_until, wait_for

OUTAGE_S = 3.0


def test_outputs_go_to_the_topics_of_their_channels(cluster: Cluster) -> None:
    source = KafkaSource(cluster.config)
    sink = KafkaSink(source)
    for channel in ("predictions", "dead_letters", "anchors", "drift"):
        headers = (("a", b"\x00"), ("a", b""))
        sink.commit(Commit([OutRecord(channel, b"key", channel.encode(), headers, timestamp_ms=1_600_000_000_000)]))
        (record,) = cluster.read(getattr(cluster.config.topics, channel))
        assert (record.key, record.value, tuple(record.headers)) == (b"key", channel.encode(), headers)
        if channel in ("predictions", "dead_letters"):  # the others have the broker's time
            assert record.timestamp == 1_600_000_000_000
    close(sink, source)


def test_a_time_in_the_future_becomes_now(cluster: Cluster) -> None:
    source = KafkaSource(cluster.config)
    sink = KafkaSink(source)
    sink.commit(Commit([OutRecord("dead_letters", b"k", b"v", timestamp_ms=int((time.time() + 10 * 86_400) * 1000))]))
    (record,) = cluster.read(cluster.config.topics.dead_letters)
    assert abs(record.timestamp / 1000 - time.time()) < 60
    close(sink, source)


def test_a_dead_letter_survives_kafka_byte_for_byte(cluster: Cluster) -> None:
    originals = [
        Record(
            Partition("images", 3), 9, 1_600_000_000_000, b"\x00\xff", bytes(range(256)), (("h", b"\xff"), ("h", b""))
        ),
        Record(Partition("images", 3), 10, 1_600_000_000_001, None, b"", ()),
        Record(Partition("images", 3), 11, 1_600_000_000_002, b"k", None, (("ü", "é".encode()),)),
    ]
    source = KafkaSource(cluster.config)
    sink = KafkaSink(source)
    sink.commit(Commit([dead_letter(record, MalformedEvent("bad: ü")) for record in originals]))
    assert [undo(letter) for letter in read_all(KafkaTransport(cluster.config), "dead_letters")] == originals
    close(sink, source)


def test_an_output_that_is_too_large_is_an_error_and_no_position_is_recorded(cluster: Cluster) -> None:
    cluster.put([b"x"] * 2)
    source = KafkaSource(cluster.config)
    sink = KafkaSink(source)
    commit = commit_of(poll_until(source, 2))
    large = OutRecord("predictions", b"k", bytes(2 * 2**20))
    with pytest.raises(OutputTooLarge, match=f"topic '{cluster.config.topics.predictions}'") as caught:
        sink.commit(Commit([*commit.outputs, large], commit.positions))
    assert caught.value.output is large
    assert cluster.committed() == {0: None, 1: None}
    sink.commit(commit)
    assert cluster.committed() == {0: 1, 1: 1}
    close(sink, source)


def test_a_dead_letter_that_is_too_large_for_its_topic_goes_without_its_value(cluster: Cluster) -> None:
    source = KafkaSource(cluster.config)
    sink = KafkaSink(source)
    huge = Record(Partition("images", 0), 0, 0, b"k", bytes(21 * 2**20))
    fits = Record(Partition("images", 0), 1, 0, b"k", bytes(20 * 2**20))
    sink.commit(Commit([dead_letter(huge, MalformedEvent("bad")), dead_letter(fits, MalformedEvent("bad"))]))
    first, second = read_all(KafkaTransport(cluster.config), "dead_letters")
    assert first.value == b"" and first.headers[-1][0] == VALUE_OMITTED
    assert undo(second) == fits
    close(sink, source)


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
@pytest.mark.parametrize(("channel", "sizes"), [("anchors", [300]), ("predictions", [1_500] * 20)])
def test_an_output_that_is_larger_than_its_topic_takes_names_both(
    cluster: Cluster, delivery: str, channel: str, sizes: list[int]
) -> None:
    """And is the only one that is left out."""
    small = f"small-{cluster.config.group_id}"
    create_topics(Connection(cluster.config), [TopicSpec(small, 1, {"max.message.bytes": "2000"})])
    topics = cluster.config.topics.model_copy(update={channel: small})
    cluster.put([b"x"] * 2)
    source = KafkaSource(cluster.but(delivery=delivery, topics=topics))
    sink = KafkaSink(source)
    records = poll_until(source, 2)
    fitting = [OutRecord(channel, b"%d" % n, random.Random(n).randbytes(size)) for n, size in enumerate(sizes)]
    sink.commit(Commit(fitting, {}))  # together they are larger; that is no reason
    wait_for(lambda: len(cluster.read(small)) == len(sizes))  # a transaction shows a moment after its commit
    large = OutRecord(channel, b"key", random.Random(0).randbytes(3_000))
    with pytest.raises(OutputTooLarge, match=rf"topic '{small}'.* 3\d\d\d bytes.*`max\.message\.bytes`") as caught:
        sink.commit(Commit([*fitting, large], commit_of(records).positions))
    assert caught.value.output is large
    assert cluster.committed() == {0: None, 1: None}
    sink.commit(Commit(fitting, commit_of(records).positions))
    wait_for(lambda: cluster.committed() == {0: 1, 1: 1})
    close(sink, source)


def test_a_broker_that_restarts_during_commits_is_waited_for(local_kafka: LocalKafka) -> None:
    """At least once and exactly once, side by side because a restart takes seconds."""
    deliveries = ("at_least_once", "exactly_once")
    clusters = {delivery: Cluster(local_kafka.bootstrap_servers) for delivery in deliveries}
    for cluster in clusters.values():
        cluster.put(b"%d" % n for n in range(600))
    members = {delivery: Member(clusters[delivery].but(delivery=delivery), copy=True) for delivery in deliveries}
    wait_for(lambda: all(member.records for member in members.values()), what="a first batch each")
    local_kafka.halt()
    local_kafka.start()
    for delivery, member in members.items():
        wait_for(lambda m=member: len({record.value for record in m.records}) == 600, timeout_s=60, what=delivery)
        member.stop()
        written = [record.value for record in clusters[delivery].read(clusters[delivery].config.topics.predictions)]
        assert set(written) == {b"%d" % n for n in range(600)}
        assert len(written) == 600 or delivery == "at_least_once"
        assert clusters[delivery].committed() == {0: 300, 1: 300}


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_a_broker_that_stays_away_is_trouble_and_the_same_commit_is_asked_for_again(
    cluster: Cluster, local_kafka: LocalKafka, delivery: str
) -> None:
    cluster.put([b"x"] * 2)
    source = KafkaSource(cluster.but(delivery=delivery), deadline_s=OUTAGE_S)
    sink = KafkaSink(source)
    commit = commit_of(poll_until(source, 2))
    servers = local_kafka.bootstrap_servers
    local_kafka.kill()
    assert not local_kafka.running
    try:
        started = time.monotonic()
        with pytest.raises(Unreachable):
            sink.commit(commit)
        assert time.monotonic() - started < OUTAGE_S + 8.0
        wait_for(lambda: source.poll(10, 0.1) or source.trouble, timeout_s=15.0)
        assert re.search(r"no broker has answered for \d+ s about topic", source.trouble or "")
        started = time.monotonic()
        with pytest.raises(Unreachable, match="no broker has answered"):
            sink.commit(commit)
        assert time.monotonic() - started < 0.5, "what is known is not waited for"
    finally:
        local_kafka.start()
    wait_for(lambda: source.poll(10, 0.1) or source.trouble is None)
    sink.commit(commit)
    written = cluster.read(cluster.config.topics.predictions)
    assert len(written) == 2 or delivery == "at_least_once"
    assert sum(offset or 0 for offset in cluster.committed().values()) == 2
    close(sink, source)
    # The local broker keeps its port and its data through a crash.
    assert local_kafka.bootstrap_servers == servers
    assert len(cluster.read(cluster.config.topics.images)) == 2
