"""Topics that lose records, are deleted or made anew while a group has a place in them."""

from typing import Any, Literal

import pytest
from kafka import KafkaAdminClient, TopicPartition
from structlog.testing import capture_logs

from stream_adapter.errors import Unreachable
from stream_adapter.transport.kafka import KafkaSink, KafkaSource
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import create_topics, topic_specs
from tests.integration.cluster import Cluster, close, commit_of, poll_until, positions_only, wait_for


def admin_of(cluster: Cluster) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=cluster.config.bootstrap_servers)


def delete_up_to(cluster: Cluster, offset: int) -> None:
    """What a shorter retention does, at once."""
    admin = admin_of(cluster)
    admin.delete_records({TopicPartition(cluster.config.topics.images, 0): offset})
    admin.close()


def said(lines: list[Any]) -> list[tuple[str, Any, Any]]:
    return [(line["event"], line.get("first"), line.get("before")) for line in lines if "deleted" in line["event"]]


@pytest.mark.parametrize("reset", ["earliest", "latest"])
def test_what_retention_left_is_read_and_what_it_took_is_said(cluster: Cluster, reset: str) -> None:
    config = cluster.but(auto_offset_reset=reset)
    first = KafkaSource(config)
    wait_for(lambda: first.poll(9, 0.1) or len(first.assigned) == 2)
    cluster.put([b"%d" % n for n in range(10)], partition=0)
    sink = KafkaSink(first)
    sink.commit(positions_only(poll_until(first, 10)))
    close(sink, first)
    cluster.put([b"%d" % n for n in range(10, 30)], partition=0)
    delete_up_to(cluster, 25)
    with capture_logs() as lines:
        second = KafkaSource(config)
        assert [record.value for record in poll_until(second, 5)] == [b"%d" % n for n in range(25, 30)]
    (only,) = said(lines)
    assert only[0].startswith("events were deleted before they were read; keep them for longer")
    assert only[1:] == (10, 25)
    close(second)


def test_what_is_taken_under_a_reader_that_lags_is_said(cluster: Cluster) -> None:
    source = KafkaSource(cluster.but(consumer={**cluster.config.consumer, "max_partition_fetch_bytes": 10_000}))
    cluster.put([b"%04d" % n * 1_000 for n in range(60)], partition=0)
    with capture_logs() as lines:
        read = poll_until(source, 2)
        source.pause()
        delete_up_to(cluster, 50)
        source.resume()
        wait_for(lambda: read.extend(source.poll(9, 0.1)) or read[-1].offset == 59)
    offsets = [record.offset for record in read]
    assert offsets == sorted(offsets) and set(range(50, 60)) <= set(offsets)
    before = max(offset for offset in offsets if offset < 50)
    assert [one[1:] for one in said(lines)] == [(before + 1, 50)]
    close(source)


def test_a_topic_that_is_made_anew_under_the_reader_is_read_from_its_beginning(cluster: Cluster) -> None:
    topic = cluster.config.topics.images
    source = KafkaSource(cluster.but(consumer={**cluster.config.consumer, "metadata_max_age_ms": 1_000}))
    sink = KafkaSink(source)
    cluster.put([b"old"] * 30)
    sink.commit(positions_only(poll_until(source, 30)))
    admin = admin_of(cluster)
    admin.delete_topics([topic])
    wait_for(lambda: source.poll(9, 0.1) or not source.assigned, what="the topic to be gone, here as well")
    wait_for(lambda: topic not in admin.list_topics(), what="the topic to be gone")
    create_topics(Connection(cluster.config), topic_specs(cluster.config.topics, partitions=2))
    cluster.put([b"new"] * 8)
    records = poll_until(source, 8, timeout_s=60.0)
    assert {record.value for record in records} == {b"new"}
    sink.commit(positions_only(records))
    assert cluster.committed() == {0: 4, 1: 4}
    close(sink, source)


@pytest.mark.parametrize(("reset", "number"), [("earliest", 8), ("latest", 100)])
def test_a_topic_that_is_made_anew_before_its_reader_sees_it_gone_is_read_from_its_beginning(
    cluster: Cluster, reset: Literal["earliest", "latest"], number: int
) -> None:
    topic = cluster.config.topics.images
    source = KafkaSource(
        cluster.but(auto_offset_reset=reset, consumer={**cluster.config.consumer, "metadata_max_age_ms": 1_000})
    )
    sink = KafkaSink(source)
    wait_for(lambda: source.poll(9, 0.1) or len(source.assigned) == 2)
    cluster.put([b"old"] * 30)
    old = positions_only(poll_until(source, 30))
    admin = admin_of(cluster)
    admin.delete_topics([topic])
    wait_for(lambda: topic not in admin.list_topics(), what="the topic to be gone")
    create_topics(Connection(cluster.config), topic_specs(cluster.config.topics, partitions=2))
    sink.commit(old)  # too late, but the broker takes it
    written = [b"%d" % n for n in range(number)]
    cluster.put(written)
    seen, ends = list[bytes | None](), {0: number // 2, 1: number // 2}
    with capture_logs() as lines:
        for _ in range(400):
            if set(written) <= set(seen) and cluster.committed() == ends:  # what was read too early comes twice
                break
            records = source.poll(9, 0.1)
            seen += [record.value for record in records]
            sink.commit(positions_only([record for record in records if record.partition in source.assigned]))
    assert set(written) <= set(seen), "events of the new topic are lost"
    assert cluster.committed() == ends
    assert [line["was"] for line in lines if "made anew" in line["event"]]
    close(sink, source)


def test_an_images_topic_that_is_gone_is_waited_for_and_said(cluster: Cluster) -> None:
    source = KafkaSource(cluster.but(consumer={**cluster.config.consumer, "metadata_max_age_ms": 1_000}))
    wait_for(lambda: source.poll(9, 0.1) or len(source.assigned) == 2)
    admin = admin_of(cluster)
    admin.delete_topics([cluster.config.topics.images])
    wait_for(lambda: source.poll(9, 0.1) or source.trouble, what="a word about it")
    assert f"about topic {cluster.config.topics.images!r}" in str(source.trouble)
    for _ in range(30):  # and it stays a word
        assert source.poll(9, 0.1) == [] and source.trouble
    create_topics(Connection(cluster.config), topic_specs(cluster.config.topics, partitions=2))
    wait_for(lambda: source.poll(9, 0.1) or source.trouble is None, what="the end of the trouble")
    cluster.put([b"new"] * 4)
    assert [record.value for record in poll_until(source, 4)] == [b"new"] * 4
    close(source)


@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_an_output_topic_that_is_gone_is_waited_for_and_nothing_is_lost(
    cluster: Cluster, delivery: Literal["at_least_once", "exactly_once"]
) -> None:
    cluster.put([b"%d" % n for n in range(4)])
    source = KafkaSource(cluster.but(delivery=delivery), deadline_s=3.0)
    sink = KafkaSink(source)
    commit = commit_of(poll_until(source, 4))
    admin = admin_of(cluster)
    admin.delete_topics([cluster.config.topics.predictions])
    wait_for(lambda: cluster.config.topics.predictions not in admin.list_topics(), what="the topic to be gone")
    for _ in range(2):
        with pytest.raises(Unreachable):
            sink.commit(commit)
        assert source.poll(9, 0.1) == []
    create_topics(Connection(cluster.config), topic_specs(cluster.config.topics, partitions=2))
    sink.commit(commit)
    written = [record.value for record in cluster.read(cluster.config.topics.predictions)]
    assert sorted(written) == [b"0", b"1", b"2", b"3"]
    assert cluster.committed() == {0: 2, 1: 2}
    close(sink, source)
