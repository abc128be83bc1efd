"""CloudEvents through JavaScript's client of Kafka: what it sends is read, and it reads what a worker writes."""

import base64
import json
import shutil
import subprocess
from typing import Any

import pytest

from stream_adapter.events import parse_image_event
from stream_adapter.transport.base import Record
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.producing import write_outputs
from stream_adapter.transport.kafka.reading import TopicReader
from tests.events.test_sdks import ATTRIBUTES, JAVASCRIPT, PICTURE, PREDICTED, ROOT, TIME, check_attributes, check_read
from tests.integration.cluster import Cluster


def kafkajs(task: str, cluster: Cluster, topic: str, *more: str, given: Any = None) -> str:
    node = shutil.which("node")
    if node is None or not (JAVASCRIPT / "node_modules" / "kafkajs").is_dir():
        pytest.skip(f"no KafkaJS here: run `npm install` in {JAVASCRIPT.relative_to(ROOT)}")
    command = [node, "kafkajs.mjs", task, cluster.config.bootstrap_servers, topic, *more]
    done = subprocess.run(
        command, cwd=JAVASCRIPT, input=json.dumps(given), capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_kafkajs_sends_is_read(cluster: Cluster) -> None:
    given = {**ATTRIBUTES, "time": TIME.isoformat(), "data_base64": base64.b64encode(PICTURE).decode()}
    kafkajs("send", cluster, cluster.config.topics.images, given=given)
    reader = TopicReader(Connection(cluster.config), cluster.config.topics.images)
    records: list[Record] = [record for portion in reader.portions() for record in portion]
    reader.close()
    assert len(records) == 2
    for record in records:
        assert parse_image_event(record).source == "/camera/1"
        check_read(record)


def test_kafkajs_reads_what_a_worker_writes(cluster: Cluster) -> None:
    write_outputs(cluster.config, [PREDICTED])
    assert PREDICTED.value
    (event,) = json.loads(kafkajs("read", cluster, cluster.config.topics.predictions, "1"))
    check_attributes(event, PREDICTED)
    assert event["data"] == json.loads(PREDICTED.value)
