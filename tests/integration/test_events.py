"""Records as they really come, through Kafka and a real worker: none stops it, and what it says are CloudEvents."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings import kafka as sdk

from tests.events.test_cloudevents import TRACE
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import drawn, event, metric, predicted_ids, running, send, stream_adapter, write_config

pytestmark = pytest.mark.kafka
PICTURES = [data for _, data in drawn(8)]


def structured(id: str, data: bytes) -> bytes:
    document = {"specversion": "1.0", "type": "stream_adapter.image", "source": "/test", "id": id}
    return json.dumps({**document, "data_base64": base64.b64encode(data).decode()}).encode()


def test_no_record_stops_a_worker_and_predictions_are_cloud_events(cluster: Cluster, tmp_path: Path) -> None:
    last = (*event("late", "red circle"), ("ce_time", b"9999-12-31T23:59:59-14:00"))
    tombstones: list[tuple[Any, Any]] = [(None, event("gone"))] * 200
    odd = [
        *tombstones,
        (PICTURES[0], last),
        (PICTURES[1], (*event("traced"), ("traceparent", TRACE.encode()))),
        (structured("structured", PICTURES[2]), (("content-type", b"image/jpeg"),)),
        (PICTURES[3], event("spaced", " red circle ")),
        (PICTURES[4], event("loud", "RED circle")),
        (b'{"id": 7}', ()),
    ]
    send(cluster, odd)
    topics = cluster.config.topics
    with running(write_config(tmp_path, cluster, dead_letters={"min_events": 1})) as worker:
        wait_for(lambda: len(predicted_ids(cluster)) == 4, timeout_s=60.0, what="four predictions")
        wait_for(lambda: len(cluster.read(topics.dead_letters)) == 2, what="two dead letters")
        assert predicted_ids(cluster) == {"late", "traced", "structured", "spaced"}
        # Good ones came, so a flood ends nothing.
        send(cluster, [(b"no picture", event(f"bad-{number}")) for number in range(300)])
        wait_for(lambda: len(cluster.read(topics.dead_letters)) == 302, timeout_s=60.0, what="the flood")
        assert worker.ended() is None
        assert metric(worker, "stream_adapter_tombstones_total") == 200
        assert metric(worker, "stream_adapter_event_times_ahead_total") == 1
        assert metric(worker, "stream_adapter_dead_letters_flood") == 1
    for record in cluster.read(topics.predictions):
        read = sdk.from_binary_event(sdk.KafkaMessage(dict(record.headers), record.key, record.value))
        body = json.loads(record.value)
        assert read.get_type() == "stream_adapter.prediction"
        assert read.get_subject() == body["event"]["id"]
        assert read.get_data() == body
        assert read.get_extension("traceparent") == (TRACE if read.get_subject() == "traced" else None)


def test_plain_json_is_tried_and_then_predicted(cluster: Cluster, tmp_path: Path) -> None:
    bodies = [{"nr": number, "image": base64.b64encode(data).decode()} for number, data in enumerate(PICTURES)]
    send(cluster, [(json.dumps(body).encode(), ()) for body in bodies])
    unread = stream_adapter("events", "try", write_config(tmp_path, cluster))
    assert unread.returncode == 1
    assert "`events.format: json`" in unread.stdout
    config = write_config(tmp_path, cluster, events={"format": "json", "fields": {"id": "nr", "picture": "image"}})
    tried = stream_adapter("events", "try", config, "--limit", "3")
    assert (tried.returncode, tried.stdout.splitlines()[-1]) == (0, "3 events, 0 refused, 0 tombstones")
    with running(config):
        wait_for(lambda: len(predicted_ids(cluster)) == len(PICTURES), timeout_s=60.0, what="the predictions")
    assert predicted_ids(cluster) == {str(number) for number in range(len(PICTURES))}
