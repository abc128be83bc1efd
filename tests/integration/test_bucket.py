"""docs/bucket.md as somebody follows it: pictures in moto's S3, references on a real Kafka, labels by ids alone."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import anchor_records, drawn, metric, predicted_ids, running, write_config
from tests.ports import free_port
from tests.references.test_stores import put
from tests.references.test_stores import running as serving

PAGE = (Path(__file__).parents[2] / "docs" / "bucket.md").read_text()
MORNING, HOUR_LATER, NOON, EVENING, AGAIN = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
BIN = Path(sys.executable).parent


def typed(folder: Path, commands: str) -> str:
    """What these print."""
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    done = subprocess.run(["bash", "-ec", commands], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def anchors(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Label and annotator of the anchors that there are, by event id; each with where its picture is."""
    found = {}
    for record in cluster.read(cluster.config.topics.anchors):
        headers = {name: value.decode() for name, value in record.headers}
        found.pop(record.key, None)
        if record.value is not None and "label" in headers:
            assert headers["reference"] == f"s3://shelves/{headers['event_id']}.jpg"
            found[record.key] = headers
    return {one["event_id"]: (one["label"], one["annotator"]) for one in found.values()}


@pytest.mark.slow
def test_the_day_goes_as_it_is_written(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = shutil.which("moto_server", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("no moto here: pip install 'moto[s3,server]'")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    given = {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1", "ENDPOINT_URL": url}
    for name, value in given.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    written = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0])
    sections = {**written, "adapter": {}, "labels": {"early_max_age": 5.0}}
    config = write_config(tmp_path, cluster, **sections)
    with serving([program, "-H", "127.0.0.1", "-p", str(port)], port, tmp_path):
        put(f"{url}/shelves", b"")
        for number, (_, data) in enumerate(drawn(6), 1):
            put(f"{url}/shelves/{number}.jpg", data, Content_Type="image/jpeg")
        with running(config) as worker:
            said = typed(tmp_path, MORNING)
            assert "6 events, 0 refused" in said
            wait_for(lambda: len(predicted_ids(cluster)) == 6, timeout_s=120, what="predictions")

            assert "the event is kept" in typed(tmp_path, HOUR_LATER)
            expected = {"1": ("red circle", "ann"), "2": ("blue star", "ann")}
            bobs = {"3": ("red circle", "bob"), "6": ("blue star", "bob")}
            wait_for(lambda: anchors(cluster) == expected | bobs, timeout_s=60, what="what the labels taught")
            assert (metric(worker, "stream_adapter_label_delay_seconds_count") or 0) == 4, "scored"
            shown = typed(tmp_path, HOUR_LATER.splitlines()[-1])
            assert "learned" in shown and "ann" in shown

            assert "yellow diamond" in typed(tmp_path, NOON)
            expected["4"] = ("yellow diamond", "ann")
            wait_for(lambda: anchors(cluster) == expected | bobs, timeout_s=60, what="the new class")

            assert "bob" in typed(tmp_path, EVENING)
            wait_for(lambda: anchors(cluster) == expected, timeout_s=60, what="Bob's day undone")
            typed(tmp_path, AGAIN)
            expected["3"] = ("green triangle", "ann")
            wait_for(lambda: anchors(cluster) == expected, timeout_s=60, what="the label anew")
    assert len(anchor_records(cluster)) == 6, "each label taught once"
    assert not cluster.read(cluster.config.topics.dead_letters)
