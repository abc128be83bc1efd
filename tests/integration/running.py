"""Workers as processes on the test's topics, and pictures for them."""

import io
import json
import subprocess
import sys
import urllib.error
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from kafka import KafkaProducer

from stream_adapter.demo.browser import open_loopback
from stream_adapter.demo.pictures import draw
from stream_adapter.demo.scenes import class_scene
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS
from stream_adapter.demo.worker_process import WorkerProcess
from stream_adapter.events import image_event_headers
from stream_adapter.transport.base import Headers
from tests.integration.cluster import Cluster, wait_for

CLASSES = ("red circle", "blue star", "green triangle", "yellow diamond")
CANARY = "blue star"


def write_config(folder: Path, cluster: Cluster, **sections: Mapping[str, Any]) -> Path:
    """A configuration on the bundled small CLIP and the cluster's topics; `sections` replace or add whole sections."""
    kafka = cluster.config.model_dump(mode="json") | {"delivery": "exactly_once"}
    document: dict[str, Any] = {
        "encoder": {
            "model": MODEL_NAME,
            "model_config_file": str(CONFIG),
            "pretrained": str(WEIGHTS),
            "precision": "float32",  # on every processor the same
        },
        "vocabulary": {"classes": list(CLASSES), "templates": "simple"},
        "adapter": {"canaries": [CANARY]},
        "batch": {"max_batch": 16, "max_wait_ms": 20},
        "kafka": kafka,
        "service": {"port": 0},
        **sections,
    }
    path = folder / "worker.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@contextmanager
def running(config: Path, environment: Mapping[str, str] | None = None) -> Iterator[WorkerProcess]:
    """A worker in a process of its own; its log is shown where the test fails."""
    scratch = config.parent / "worker"
    scratch.mkdir(exist_ok=True)
    worker = WorkerProcess(config, dict(environment or {}), scratch)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
        print(worker.log_tail(60))


def http_port(worker: WorkerProcess) -> int:
    """The port that the worker said it listens on; the last one, where it was restarted."""

    def said() -> int:
        lines = worker.log.read_text().splitlines() if worker.log.exists() else []
        ports = [json.loads(line)["port"] for line in lines if '"event": "http"' in line]
        return ports[-1] if ports else 0

    return int(wait_for(said, timeout_s=60.0, what="the worker's HTTP port"))


def get(worker: WorkerProcess, path: str) -> tuple[int, str]:
    """Status and body; 0 and nothing while the worker starts again."""
    try:
        with open_loopback(f"http://127.0.0.1:{http_port(worker)}{path}", 10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""


def metric(worker: WorkerProcess, series: str) -> float | None:
    """The value of one series, such as `stream_adapter_anchors` or one with labels."""
    for line in get(worker, "/metrics")[1].splitlines():
        if line.startswith(series + " "):
            return float(line.rpartition(" ")[2])
    return None


def stream_adapter(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command, as a user runs it."""
    command = [sys.executable, "-m", "stream_adapter", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def drawn(number: int, *, seed: int = 0) -> list[tuple[str, bytes]]:
    """Pictures of the classes in turn, with their class."""
    rng = np.random.default_rng(seed)
    pictures = []
    for position in range(number):
        name = CLASSES[position % len(CLASSES)]
        buffer = io.BytesIO()
        draw(class_scene(name, rng), "plain", rng).save(buffer, "JPEG", quality=92)
        pictures.append((name, buffer.getvalue()))
    return pictures


def event(id: str, label: str | None = None, content_type: str = "image/jpeg", **more: Any) -> Headers:
    return image_event_headers(source="/test", id=id, content_type=content_type, label=label, **more)


def send(cluster: Cluster, events: Iterable[tuple[bytes, Headers]]) -> None:
    """Put events on the images topic, in turn on all partitions."""
    producer = KafkaProducer(
        bootstrap_servers=cluster.config.bootstrap_servers, linger_ms=5, max_request_size=21 * 2**20
    )
    for number, (value, headers) in enumerate(events):
        producer.send(
            cluster.config.topics.images,
            value,
            key=dict(headers).get("ce_id"),
            headers=list(headers),
            partition=number % cluster.partitions,
        )
    producer.flush()
    producer.close()


def predictions(cluster: Cluster) -> list[dict[str, Any]]:
    """All predictions that are there now."""
    return [json.loads(record.value) for record in cluster.read(cluster.config.topics.predictions)]


def predicted_ids(cluster: Cluster) -> set[str]:
    return {prediction["event"]["id"] for prediction in predictions(cluster)}


def anchor_records(cluster: Cluster) -> list[Any]:
    """The anchors that were written; what the workers' traffic shows is on their topic too."""
    return [record for record in cluster.read(cluster.config.topics.anchors) if "label" in dict(record.headers)]
