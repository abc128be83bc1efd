import time

import numpy as np
import pytest
from kafka import KafkaProducer

from stream_adapter.config import KafkaConfig
from stream_adapter.events import AnchorRecord, anchor_tombstone, round_through_float16
from stream_adapter.transport.changelog import Change, Unusable
from stream_adapter.transport.kafka import KafkaChangelog, write_outputs
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import TopicSpec, create_topics
from tests.integration.cluster import Cluster, wait_for


def anchor(number: int, label: str = "cat") -> AnchorRecord:
    vector = round_through_float16(np.eye(8, dtype=np.float32)[number % 8])
    return AnchorRecord(f"{number:032x}", vector, label, 1_000, "/s", str(number), "images", 0, number, "fp")


def state(changes: list[Change]) -> dict[str, str]:
    """What is there after these changes: label by anchor."""
    labels: dict[str, str] = {}
    for change in changes:
        if change.content is None:
            labels.pop(change.key, None)
        else:
            assert isinstance(change.content, AnchorRecord)
            labels[change.key] = change.content.label
    return labels


def restored(config: KafkaConfig) -> list[Change]:
    changelog = KafkaChangelog(config, writer="reader")
    changes = [change for portion in changelog.read_to_end() for change in portion]
    changelog.close()
    return changes


def test_an_empty_topic_restores_nothing_and_at_once(cluster: Cluster) -> None:
    started = time.monotonic()
    assert restored(cluster.config) == []
    assert time.monotonic() - started < 5.0


def test_the_last_word_about_each_anchor_is_restored(cluster: Cluster) -> None:
    outputs = [anchor(n).to_record("w") for n in range(2_500)]
    outputs += [anchor(7, "dog").to_record("w"), anchor_tombstone(anchor(8).anchor_id, "w")]
    write_outputs(cluster.config, outputs)
    changes = restored(cluster.config)
    assert len(changes) == len(outputs)
    labels = state(changes)
    assert len(labels) == 2_499 and labels[anchor(7).anchor_id] == "dog" and anchor(8).anchor_id not in labels
    first = changes[0].content
    assert isinstance(first, AnchorRecord)
    np.testing.assert_array_equal(first.vector, anchor(0).vector)


def test_gaps_that_compaction_leaves_do_not_end_or_hang_the_restore(cluster: Cluster) -> None:
    """Most offsets are gone, the last ones of the closed segments among them."""
    topic = cluster.config.topics.anchors + "-small"
    settings = {
        "cleanup.policy": "compact",
        "segment.bytes": str(2**20),
        "segment.ms": "500",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "0",
    }
    config = cluster.but(topics=cluster.config.topics.model_copy(update={"anchors": topic}))
    create_topics(Connection(config), [TopicSpec(topic, 1, settings)])
    for round_ in range(20):
        write_outputs(config, [anchor(n, f"round {round_}").to_record("w") for n in range(100)])
    write_outputs(config, [anchor_tombstone(anchor(n).anchor_id, "w") for n in range(50)])

    def compacted() -> bool:
        time.sleep(0.6)
        write_outputs(config, [anchor(999).to_record("w")])  # closes the segment, so that it can be compacted
        return len(restored(config)) < 400

    wait_for(compacted, timeout_s=60, what="the log cleaner")
    labels = state(restored(config))
    assert labels == {anchor(n).anchor_id: "round 19" for n in range(50, 100)} | {anchor(999).anchor_id: "cat"}


def test_what_is_written_is_followed_and_what_this_process_wrote_is_told_apart(cluster: Cluster) -> None:
    write_outputs(cluster.config, [anchor(1).to_record("me")])
    changelog = KafkaChangelog(cluster.config, writer="me")
    assert [change.own for change in next(iter(changelog.read_to_end()))] == [True]
    assert list(changelog.poll()) == []
    write_outputs(cluster.config, [anchor(2).to_record("me"), anchor(3).to_record("other")])
    write_outputs(cluster.config, [anchor_tombstone(anchor(1).anchor_id, "other")])
    changes: list[Change] = []
    wait_for(lambda: changes.extend(changelog.poll()) or len(changes) >= 3)
    assert state(changes) == {anchor(2).anchor_id: "cat", anchor(3).anchor_id: "cat"}
    assert [(change.key, change.own) for change in changes] == [
        (anchor(2).anchor_id, True),
        (anchor(3).anchor_id, False),
        (anchor(1).anchor_id, False),
    ]
    changelog.close()


def test_a_reader_goes_on_where_another_one_was_and_catches_up_again_and_again(cluster: Cluster) -> None:
    write_outputs(cluster.config, [anchor(n).to_record("w") for n in range(5)])
    first = KafkaChangelog(cluster.config, writer="a")
    assert sum(map(len, first.read_to_end())) == 5 and list(first.read_to_end()) == []
    write_outputs(cluster.config, [anchor(n).to_record("w") for n in range(5, 8)])
    assert [change.key for portion in first.read_to_end() for change in portion] == [
        anchor(n).anchor_id for n in range(5, 8)
    ]
    second = KafkaChangelog(cluster.config, writer="b")
    assert not second.go_on_from({0: 99}) and not second.go_on_from({7: 0})
    assert second.go_on_from({0: 6}) and second.positions == {0: 6}
    assert [change.key for portion in second.read_to_end() for change in portion] == [
        anchor(n).anchor_id for n in (6, 7)
    ]
    assert second.positions == first.positions == {0: 8}
    assert second.identity == first.identity
    for changelog in (first, second):
        changelog.close()


@pytest.mark.parametrize("end", ["aborted", "open"])
def test_what_was_never_committed_is_not_restored(cluster: Cluster, end: str) -> None:
    write_outputs(cluster.config, [anchor(1).to_record("w")])
    producer = KafkaProducer(
        bootstrap_servers=cluster.config.bootstrap_servers, transactional_id=cluster.config.group_id + end
    )
    producer.init_transactions()
    producer.begin_transaction()
    lost = anchor(2).to_record("w")
    producer.send(cluster.config.topics.anchors, lost.value, key=lost.key, headers=list(lost.headers))
    producer.flush()
    if end == "aborted":
        producer.abort_transaction()
    assert state(restored(cluster.config)) == {anchor(1).anchor_id: "cat"}
    producer.close(timeout=1)


def test_a_record_that_is_no_anchor_is_given_on_as_unusable(cluster: Cluster) -> None:
    producer = KafkaProducer(bootstrap_servers=cluster.config.bootstrap_servers)
    producer.send(cluster.config.topics.anchors, b"hello", key=b"world")
    producer.close()
    write_outputs(cluster.config, [anchor(1).to_record("w")])
    unusable, good = restored(cluster.config)
    assert isinstance(unusable.content, Unusable) and unusable.content.reason == "garbage"
    assert state([good]) == {anchor(1).anchor_id: "cat"}
