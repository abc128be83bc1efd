"""Only references in Kafka: predicted, learned from, and embedded anew for another encoder while predictions go on."""

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import create_topics, topic_specs
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import (
    anchor_records,
    drawn,
    metric,
    predicted_ids,
    predictions,
    running,
    stream_adapter,
    write_config,
)
from tests.tiny_clip import write_tiny_clip

pytestmark = pytest.mark.kafka


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and where it is served."""
    folder = tmp_path / "bucket"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def manifest(folder: Path, url: str, first: int, number: int) -> Path:
    lines = []
    for position, (label, data) in enumerate(drawn(number), first):
        (folder / f"{position}.png").write_bytes(data)
        lines.append({"path": f"{url}/{position}.png", "id": f"e{position}", "label": label if position % 3 else None})
    path = folder.parent / f"list-{first}.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_a_stream_of_references_and_a_change_of_the_encoder(
    cluster: Cluster, tmp_path: Path, bucket: tuple[Path, str]
) -> None:
    folder, url = bucket
    allowed = {"allow": [url], "networks": ["127.0.0.0/8"]}
    old = write_config(tmp_path, cluster, references=allowed)
    stream_adapter("produce", old, manifest(folder, url, 0, 24))
    (tmp_path / "new").mkdir()
    changed = cluster.config.topics.model_copy(
        update={role: f"{getattr(cluster.config.topics, role)}-new" for role in ("predictions", "anchors", "drift")}
    )
    create_topics(Connection(cluster.config), topic_specs(changed, partitions=2))
    encoder = write_tiny_clip(tmp_path / "new").model_dump(mode="json", exclude_defaults=True)
    new = write_config(tmp_path / "new", cluster, references=allowed, encoder=encoder)
    document = yaml.safe_load(new.read_text())
    document["kafka"] |= {
        "topics": changed.model_dump(),
        "group_id": f"{cluster.config.group_id}-new",
        "auto_offset_reset": "latest",
    }
    new.write_text(yaml.safe_dump(document))
    with running(old) as serving:
        wait_for(lambda: len(predicted_ids(cluster)) == 24, timeout_s=60.0, what="24 predictions")
        wait_for(lambda: len(anchor_records(cluster)) == 12, what="16 labels, 4 of them a canary's")
        assert metric(serving, 'stream_adapter_references_total{outcome="fetched",scheme="http"}') == 24
        with running(new) as next_one:
            wait_for(lambda: metric(next_one, "stream_adapter_ready") == 1, timeout_s=60.0, what="the new worker")
            (folder / "2.png").unlink()
            done = stream_adapter("anchors", "reembed", old, new)
            assert "11 written, 0 there already, 1 could not be embedded" in done.stdout, done.stderr
            wait_for(lambda: metric(next_one, "stream_adapter_anchors") == 11, what="anchors in force")
            stream_adapter("produce", old, manifest(folder, url, 100, 4))
            wait_for(lambda: len(predicted_ids(cluster)) == 28, what="the old one's predictions")
            wait_for(lambda: len(cluster.read(changed.predictions)) == 4, what="the new one's predictions")
    assert len(predictions(cluster)) == 28
