"""Labels on a topic of their own: two workers, labels by the ids of events alone, and one that is killed."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np

import stream_adapter
from stream_adapter.adapter.anchors.ownership import key_of
from stream_adapter.events import round_through_float16
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import is_of_an_event
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import (
    CANARY,
    anchor_records,
    drawn,
    event,
    metric,
    predicted_ids,
    running,
    send,
    write_config,
)
from tests.integration.running import (
    stream_adapter as command,
)

PICTURES = [(f"{number}", name, data) for number, (name, data) in enumerate(drawn(24))]
TRUTH = {id: name for id, name, _ in PICTURES}


def label(id: str, name: str | None, time_ms: int, annotator: str = "ann") -> LabelEvent:
    return LabelEvent.new("/test", id, name, time_ms=time_ms, annotator=annotator)


def anchors(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Label and annotator by event id, as a reader of the compacted topic comes to know them."""
    found: dict[bytes, Any] = {}
    for record in cluster.read(cluster.config.topics.anchors):
        headers = {name: value.decode() for name, value in record.headers}
        found.pop(record.key, None)
        if record.value is not None and "label" in headers:
            found[record.key] = headers
    return {headers["event_id"]: (headers["label"], headers.get("annotator", "")) for headers in found.values()}


def test_labels_come_late_to_two_workers_of_which_one_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    paths = [write_config(folder, cluster) for folder in folders]
    expected: dict[str, tuple[str, str]] = {}
    with running(paths[0]) as one, running(paths[1]) as two:
        both = "stream_adapter_assigned_partitions"
        wait_for(lambda: metric(one, both) == metric(two, both) == 1, timeout_s=180, what="a partition each")
        stream_adapter.send_labels(paths[0], [label("3", TRUTH["3"], 50)])  # before its picture
        send(cluster, [(data, event(id)) for id, _, data in PICTURES])
        wait_for(lambda: len(predicted_ids(cluster)) == len(PICTURES), timeout_s=180, what="predictions")
        first = [id for id in TRUTH if int(id) < 12 and TRUTH[id] != CANARY]
        stream_adapter.send_labels(paths[0], [label(id, TRUTH[id], 100) for id in TRUTH if int(id) < 12 and id != "3"])
        expected |= {id: (TRUTH[id], "ann") for id in first}
        wait_for(lambda: anchors(cluster) == expected, timeout_s=60, what="what the labels taught")
        stream_adapter.send_labels(
            paths[0],
            [label("0", "yellow diamond", 200, "bob"), label("0", "green triangle", 150), label("2", None, 200)],
        )
        expected["0"] = ("yellow diamond", "bob")
        del expected["2"]
        wait_for(lambda: anchors(cluster) == expected, timeout_s=60, what="a correction and a withdrawal")

        assert two._process is not None
        os.killpg(two._process.pid, signal.SIGKILL)
        late = [label(id, TRUTH[id], 300) for id in TRUTH if int(id) >= 12]
        stream_adapter.send_labels(paths[0], [*late, label("2", "red circle", 120), label("4", "blue star", 90)])
        expected |= {id: (TRUTH[id], "ann") for id in TRUTH if int(id) >= 12 and TRUTH[id] != CANARY}
        wait_for(lambda: metric(one, both) == 2, timeout_s=180, what="the other's partition")
        wait_for(lambda: anchors(cluster) == expected, timeout_s=60, what="the labels of the killed worker's events")
        scored = [metric(one, f'stream_adapter_scored_total{{group="{group}"}}') for group in ("unlabelled", "canary")]
        assert all(scored)
        assert (metric(one, "stream_adapter_label_delay_seconds_count") or 0) > 0

    written = [dict(record.headers)["event_id"].decode() for record in anchor_records(cluster)]
    assert sorted(written) == sorted([*expected, "0", "2"]), "each label taught once: a correction, one withdrawn"
    assert not cluster.read(cluster.config.topics.dead_letters)

    shown = command("labels", "show", paths[0], "/test", "0", "--json")
    assert shown.returncode == 0, shown.stderr
    states = [(one["label"], one["state"]) for one in map(json.loads, shown.stdout.splitlines())]
    assert states == [("red circle", "replaced"), ("green triangle", "replaced"), ("yellow diamond", "learned")]
    assert anchor_id_of("/test", "0") in shown.stdout
    assert "withdrawn" in command("labels", "show", paths[0], "/test", "2").stdout
    assert "canary" in command("labels", "show", paths[0], "/test", "1").stdout
    nobody = command("labels", "send", paths[0], "/test", "nobody", "red circle")
    assert nobody.returncode == 0, nobody.stderr
    assert "not read yet" in command("labels", "show", paths[0], "/test", "nobody").stdout


def test_waiting_records_are_where_their_owners_read_them(cluster: Cluster, tmp_path: Path) -> None:
    path = write_config(tmp_path, cluster)
    with running(path):
        send(cluster, [(data, event(id)) for id, _, data in PICTURES])
        wait_for(lambda: len(predicted_ids(cluster)) == len(PICTURES), timeout_s=180, what="predictions")
    records = cluster.read(cluster.config.topics.waiting)
    keys = {record.key.decode(): record for record in records if record.value is not None}
    reads = [keys.pop(key) for key in list(keys) if not is_of_an_event(key)]
    assert [record.partition for record in sorted(reads, key=lambda one: one.key)] == [*range(cluster.partitions)]
    assert keys.keys() == {anchor_id_of("/test", id) for id in TRUTH}
    for key, record in keys.items():
        assert record.partition == key_of(key) % cluster.partitions
        halves = np.frombuffer(record.value.partition(b"\n")[2], "<f2").astype(np.float32)
        assert np.abs(round_through_float16(halves[None]) - halves).max() < 1e-3
