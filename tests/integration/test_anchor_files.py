"""Going back in time and moving to another topic, on a real Kafka, as seen by workers that follow the changelog."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from click.testing import Result
from kafka import KafkaProducer
from typer.testing import CliRunner

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.cli import app
from stream_adapter.config import AdapterConfig, AnchorsConfig, load
from stream_adapter.events import PresenceRecord, anchor_tombstone
from stream_adapter.events.headers import format_time
from stream_adapter.journey.replica import Replica
from stream_adapter.metrics import Metrics
from stream_adapter.operations.history import Point, anchors_at
from stream_adapter.transport.base import OutRecord
from stream_adapter.transport.kafka import KafkaChangelog, write_outputs
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import TopicSpec, create_topics
from tests.adapter.anchor_sets import random_unit
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import CLASSES, write_config
from tests.operations.anchor_records import fingerprint, record

NUMBERS = range(30)


class Follower:
    """What a worker knows that follows the changelog."""

    def __init__(self, cluster: Cluster) -> None:
        config = AdapterConfig(anchors=AnchorsConfig(index="exact"))
        self._adapter = Adapter(random_unit(len(CLASSES), 64), CLASSES, 100.0, config)
        self._replica = Replica(self._adapter, fingerprint=fingerprint(), writer="follower", metrics=Metrics())
        self._changelog = KafkaChangelog(cluster.config, writer="follower")

    def digest(self) -> str:
        """Of all anchors, when everything is read."""
        for changes in self._changelog.read_to_end():
            self._replica.follow(change for change in changes if not change.key.startswith("presence/"))
        return self._adapter.anchors_digest

    def close(self) -> None:
        self._changelog.close()


def fresh_digest(cluster: Cluster) -> str:
    follower = Follower(cluster)
    try:
        return follower.digest()
    finally:
        follower.close()


def anchors(*arguments: object) -> Result:
    """Call `stream-adapter anchors` in this process."""
    return CliRunner().invoke(app, ["anchors", *map(str, arguments)])


def put(config: Path, records: Iterable[OutRecord]) -> int:
    """Write to the anchors, and return the topic's end."""
    loaded = load(config)
    write_outputs(loaded.kafka, list(records))
    return anchors_at(loaded, Point()).offsets[0]


def learned(number: int, label: int = 0, time_ms: int | None = None) -> OutRecord:
    return record(number, CLASSES[(number + label) % 4], time_ms).to_record("w")


def test_learned_then_corrected_then_back(cluster: Cluster, tmp_path: Path) -> None:
    config = write_config(tmp_path, cluster)
    survivor = Follower(cluster)
    end = put(config, [*map(learned, NUMBERS), PresenceRecord("evidence/slot", b"1", "f", "v").to_record("w")])
    before = survivor.digest()
    time.sleep(0.05)
    moment = format_time(int(time.time() * 1000))
    time.sleep(0.05)
    put(config, [learned(n, label=1, time_ms=1_000) for n in range(10)])
    put(config, [anchor_tombstone(record(n).anchor_id, "w") for n in range(20, 25)])
    put(config, [learned(99)])
    after = survivor.digest()
    assert after != before

    for at in (str(end), f"0:{end}", moment):
        done = anchors("export", config, tmp_path / "then", "--at", at)
        assert done.exit_code == 0, done.output
        assert "30 anchors of 4 classes" in done.stdout
        assert "warning" not in done.stderr, "nothing of the last day is compacted"
    assert anchors("export", config, tmp_path / "now").exit_code == 0

    tried = anchors("import", config, tmp_path / "then", "--replace", "--dry-run")
    assert tried.stdout.strip() == "5 new, 10 changed, 15 unchanged, 1 to delete", tried.output
    assert survivor.digest() == after, "a dry run writes nothing"
    done = anchors("import", config, tmp_path / "then", "--replace", "--yes")
    assert done.exit_code == 0, done.output
    assert "26 records written" in done.stdout
    assert survivor.digest() == before, "a running worker follows"
    assert fresh_digest(cluster) == before, "and a restored one is the same"

    assert anchors("import", config, tmp_path / "now", "--replace", "--yes").exit_code == 0
    assert survivor.digest() == after == fresh_digest(cluster)
    survivor.close()


def test_anchors_move_to_another_topic_and_back(cluster: Cluster, bootstrap_servers: str, tmp_path: Path) -> None:
    one, other = cluster, Cluster(bootstrap_servers)
    (tmp_path / "there").mkdir()
    here, there = write_config(tmp_path, one), write_config(tmp_path / "there", other)
    put(here, map(learned, NUMBERS))
    for source, target in ((here, there), (there, here)):
        assert anchors("export", source, tmp_path / "out").exit_code == 0
        done = anchors("import", target, tmp_path / "out")
        assert done.exit_code == 0, done.output
    assert "0 new, 0 changed, 30 unchanged, 0 to delete" in done.stdout
    assert fresh_digest(one) == fresh_digest(other)
    listed = anchors("list", there, "--json", "--limit", "1000")
    ids = {json.loads(line)["id"] for line in listed.stdout.splitlines()}
    assert ids == {record(n).anchor_id for n in NUMBERS}


def test_what_compaction_may_have_taken_is_said(cluster: Cluster, tmp_path: Path) -> None:
    topic = cluster.config.topics.anchors + "-small"
    cluster.config = cluster.but(topics=cluster.config.topics.model_copy(update={"anchors": topic}))
    settings = {"cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.01"}
    create_topics(Connection(cluster.config), [TopicSpec(topic, 1, settings)])
    config = write_config(tmp_path, cluster)
    end = put(config, map(learned, NUMBERS))

    def exported() -> str:
        done = anchors("export", config, tmp_path / "out", "--at", str(end))
        assert done.exit_code == 0, done.output
        return done.stdout + done.stderr

    put(config, [learned(n, label=1, time_ms=1_000) for n in range(10)])
    assert "warning" not in exported(), "every offset has its record"

    def compacted() -> bool:
        time.sleep(0.6)
        write_outputs(cluster.config, [learned(99, time_ms=2_000)])  # closes the segment, so that it can be compacted
        return len(anchors_at(load(config), Point.parse(str(end))).anchors) == 20

    wait_for(compacted, timeout_s=60, what="the log cleaner")
    assert "warning" in (said := exported()) and "was compacted since" in said
    assert anchors("export", config, tmp_path / "out").stderr == "", "the present is always whole"


def test_several_partitions_need_an_offset_each(cluster: Cluster, tmp_path: Path) -> None:
    topic = cluster.config.topics.anchors + "-two"
    cluster.config = cluster.but(topics=cluster.config.topics.model_copy(update={"anchors": topic}))
    create_topics(Connection(cluster.config), [TopicSpec(topic, 2, {"cleanup.policy": "compact"})])
    config = write_config(tmp_path, cluster)
    producer = KafkaProducer(bootstrap_servers=cluster.config.bootstrap_servers)
    for number in NUMBERS:
        output = learned(number)
        producer.send(topic, output.value, output.key, list(output.headers), partition=number % 2)
    producer.close()
    wrong = anchors("export", config, tmp_path / "out", "--at", "5")
    assert wrong.exit_code == 1
    assert "in 2 partitions; give an offset for each, such as 0:15,1:15" in str(wrong.exception)
    state = anchors_at(load(config), Point.parse("0:5,1:10"))
    assert sorted(int(key, 16) for key in state.anchors) == sorted([*range(0, 10, 2), *range(1, 20, 2)])
    (vector,) = (anchor.vector for key, anchor in state.anchors.items() if int(key, 16) == 4)
    np.testing.assert_array_equal(vector, record(4).vector.astype(np.float16))
