"""A worker's state from a snapshot and the tail of a real topic is the state from the topic alone."""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.config import AdapterConfig, AnchorsConfig, KafkaConfig
from stream_adapter.events import anchor_tombstone
from stream_adapter.journey.replica import Replica
from stream_adapter.metrics import Metrics
from stream_adapter.snapshots import Snapshot, SnapshotFolder
from stream_adapter.transport.base import OutRecord
from stream_adapter.transport.kafka import KafkaChangelog, write_outputs
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import TopicSpec, create_topics
from tests.adapter.anchor_sets import random_unit
from tests.integration.cluster import Cluster
from tests.operations.anchor_records import fingerprint, record

LABELS = ("cat", "dog")


class Worker:
    """What of a worker holds anchors, and how it begins."""

    def __init__(self, kafka: KafkaConfig, folder: SnapshotFolder | None = None) -> None:
        config = AdapterConfig(anchors=AnchorsConfig(index="exact"))
        self.adapter = Adapter(random_unit(2, 64), LABELS, 100.0, config)
        self.replica = Replica(self.adapter, fingerprint=fingerprint(), writer="w", metrics=Metrics())
        self.changelog = KafkaChangelog(kafka, writer="w")
        self.restored = False
        if folder is not None:
            found = folder.newest(fingerprint=fingerprint(), changelog=self.changelog.identity)
            if found is not None and self.changelog.go_on_from(found.offsets):
                self.adapter.restore(found.arrays)
                self.restored = True
        self.records = self.follow()

    def follow(self) -> int:
        """Read what is new; returns how many records that were."""
        number = 0
        for changes in self.changelog.read_to_end():
            number += len(changes)
            self.replica.follow(changes)
        return number

    def save(self, folder: SnapshotFolder, unconfirmed: Mapping[str, Anchor | None] | None = None) -> None:
        arrays = self.adapter.copy().finish(unconfirmed=unconfirmed).arrays()
        at, now_ms = self.changelog.positions, int(time.time() * 1000)
        folder.save(Snapshot(fingerprint(), "", now_ms, self.changelog.identity, at, {}, arrays))


def learned(number: int, label: int = 0, time_ms: int | None = None) -> OutRecord:
    return record(number, LABELS[(number + label) % 2], time_ms).to_record("other")


def test_a_snapshot_and_the_tail_are_the_topic(cluster: Cluster, tmp_path: Path) -> None:
    kafka, folder = cluster.config, SnapshotFolder(tmp_path)
    write_outputs(kafka, [learned(n) for n in range(50)])
    Worker(kafka).save(folder)
    write_outputs(kafka, [learned(n, label=1, time_ms=1_000) for n in range(5)])
    write_outputs(kafka, [learned(n, label=1, time_ms=0) for n in range(5, 10)])  # older labels, written later
    write_outputs(kafka, [anchor_tombstone(record(n).anchor_id, "other") for n in range(10, 15)])
    write_outputs(kafka, [learned(60)])
    restored, fresh = Worker(kafka, folder), Worker(kafka)
    assert restored.restored and (restored.records, fresh.records) == (16, 66)
    assert restored.adapter.anchors_digest == fresh.adapter.anchors_digest
    assert restored.adapter.n_anchors == 46


def test_what_this_worker_wrote_and_nobody_confirmed_is_not_believed(cluster: Cluster, tmp_path: Path) -> None:
    """Its transaction may have been undone with the process: the changelog alone decides."""
    kafka, folder = cluster.config, SnapshotFolder(tmp_path)
    write_outputs(kafka, [learned(1), learned(2)])
    worker = Worker(kafka)
    new, corrected = record(3, "cat"), record(1, "cat", time_ms=99)
    worker.replica.learn((), np.zeros((0, 64), np.float32), [new, corrected], EVERYTHING)
    assert worker.adapter.n_anchors == 3
    worker.save(folder, worker.replica.unconfirmed)
    restored = Worker(kafka, folder)
    assert restored.restored
    assert restored.adapter.anchors_digest == Worker(kafka).adapter.anchors_digest


@pytest.mark.parametrize("new_name", [False, True])
def test_a_snapshot_of_a_topic_that_was_made_anew_is_not_used(cluster: Cluster, tmp_path: Path, new_name: bool) -> None:
    kafka, folder = cluster.config, SnapshotFolder(tmp_path)
    write_outputs(kafka, [learned(n) for n in range(5)])
    Worker(kafka).save(folder)
    connection = Connection(kafka)
    if new_name:
        topics = kafka.topics.model_copy(update={"anchors": kafka.topics.anchors + "-new"})
        kafka = cluster.but(topics=topics)
    else:
        with connection.admin() as admin:
            admin.delete_topics([kafka.topics.anchors])
        time.sleep(1.0)
    create_topics(connection, [TopicSpec(kafka.topics.anchors, 1, {"cleanup.policy": "compact"})])
    write_outputs(kafka, [learned(n) for n in range(5, 15)])
    worker = Worker(kafka, folder)
    assert not worker.restored
    assert worker.adapter.anchors_digest == Worker(kafka).adapter.anchors_digest
