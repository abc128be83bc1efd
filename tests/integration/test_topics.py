"""Topics as they are made, and what is found to be wrong with them, on a real broker."""

import json
import uuid
from pathlib import Path

import pytest
from kafka.admin import ConfigResource

from stream_adapter.config import KafkaTopics, load
from stream_adapter.errors import TransportError
from stream_adapter.transport.kafka import ensure_topics
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topic_check import check_topics
from stream_adapter.transport.kafka.topics import TopicSpec, create_topics, topic_setting
from tests.integration.cluster import Cluster
from tests.integration.running import stream_adapter, write_config


def test_what_we_create_is_what_we_want(cluster: Cluster, tmp_path: Path) -> None:
    """A broker alone has one replica of everything, which is all that there is to say."""
    file = write_config(tmp_path, cluster)
    found = check_topics(load(file), str(file))
    assert {(finding.severity, finding.what) for finding in found} == {("warning", "replicas")}
    assert len(found) == len(KafkaTopics.model_fields)
    done = stream_adapter("topics", "check", file)
    assert done.returncode == 0, done.stderr
    assert f"0 errors, {len(found)} warnings" in done.stdout


def test_what_is_wrong_is_said_with_what_repairs_it(cluster: Cluster, tmp_path: Path) -> None:
    topics = KafkaTopics(**{role: f"{role}-{uuid.uuid4().hex[:8]}" for role in KafkaTopics.model_fields})
    file = write_config(tmp_path, cluster)
    file.write_text(file.read_text().replace(cluster.config.topics.anchors, topics.anchors))
    missing = stream_adapter("topics", "check", file, "--json")
    assert missing.returncode == 1
    faults = [json.loads(line) for line in missing.stdout.splitlines()]
    assert faults[0] == {
        "severity": "error", "topic": topics.anchors, "what": "existence", "found": "missing",
        "why": "the worker does not start without it", "repair": f"stream-adapter topics create {file}",
    }  # fmt: skip

    connection = Connection(cluster.config)
    create_topics(connection, [TopicSpec(topics.anchors, 1, {"delete.retention.ms": "1000"})])
    wrong = {(one.severity, one.what) for one in check_topics(load(file), str(file)) if one.topic == topics.anchors}
    assert {("error", "cleanup.policy"), ("warning", "delete.retention.ms"), ("warning", "segment.ms")} <= wrong
    assert topic_setting(connection, topics.anchors, "delete.retention.ms") == 1_000

    with connection.admin() as admin:
        admin.alter_configs([ConfigResource("topic", topics.anchors, {"cleanup.policy": "compact"})])
    assert stream_adapter("topics", "check", file).returncode == 0, "warnings alone are no failure"


def test_existing_topics_are_left_as_they_are(cluster: Cluster) -> None:
    assert ensure_topics(cluster.config, partitions=9) == []
    connection, anchors = Connection(cluster.config), cluster.config.topics.anchors
    assert topic_setting(connection, anchors, "delete.retention.ms") == 7 * 24 * 3_600_000
    with pytest.raises(TransportError, match=r"cannot read delete\.retention\.ms of topic .no-such-topic."):
        topic_setting(connection, "no-such-topic", "delete.retention.ms")
