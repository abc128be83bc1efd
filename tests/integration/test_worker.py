"""A worker as a process on a real Kafka with the bundled small CLIP."""

import json
import os
import random
import signal
import time
from pathlib import Path

from stream_adapter.demo.worker_process import WorkerProcess
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.dead_letters import undo
from tests.events.test_prediction import VALIDATOR
from tests.hostile_pictures import hostile_files
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import (
    CANARY,
    anchor_records,
    drawn,
    event,
    get,
    metric,
    predicted_ids,
    predictions,
    running,
    send,
    stream_adapter,
    write_config,
)


def pictures(number: int, *, labelled: bool = True, seed: int = 0) -> list[tuple[bytes, tuple[tuple[str, bytes], ...]]]:
    return [
        (data, event(f"{seed}-{position}", name if labelled and position % 4 < 2 else None))
        for position, (name, data) in enumerate(drawn(number, seed=seed))
    ]


def worker_pid(worker: WorkerProcess) -> int:
    """The worker itself, below the watchdog that keeps it."""
    assert worker._process is not None
    watchdog = worker._process.pid
    children = wait_for(lambda: Path(f"/proc/{watchdog}/task/{watchdog}/children").read_text().split())
    return int(children[0])


def test_pictures_go_in_and_predictions_and_anchors_come_out(cluster: Cluster, tmp_path: Path) -> None:
    send(cluster, pictures(100))  # a red circle and a blue star of every four are labelled
    with running(write_config(tmp_path, cluster)) as worker:
        wait_for(lambda: len(predicted_ids(cluster)) == 100, timeout_s=60.0, what="100 predictions")
        assert get(worker, "/healthz")[0] == 200
        assert get(worker, "/readyz")[0] == 200
        wait_for(lambda: metric(worker, "stream_adapter_learner_pending_changes") == 0, what="what was learned")
        assert metric(worker, "stream_adapter_anchors") == 25  # 50 labels, half of them of the canary
        assert metric(worker, "stream_adapter_predictions_total") == 100
        assert metric(worker, 'stream_adapter_labels_total{outcome="canary"}') is not None
        for stage in ("parse", "decode", "encode", "predict", "commit"):
            assert (metric(worker, f'stream_adapter_stage_items_total{{stage="{stage}"}}') or 0) >= 100
        # A partition's lag is known once its first fetch has answered, and one may have been empty until then.
        wait_for(lambda: get(worker, "/metrics")[1].count("\nstream_adapter_consumer_lag{") == 2, what="lags of both")
        worker.stop()
        assert '"event": "drained"' in worker.log_tail(60)
    assert sum(offset or 0 for offset in cluster.committed().values()) == 100
    for prediction in predictions(cluster):
        VALIDATOR.validate(prediction)
    anchors = anchor_records(cluster)
    labels = {dict(record.headers)["label"].decode() for record in anchors}
    assert len({record.key for record in anchors}) == 25
    assert CANARY not in labels


def test_no_event_is_missing_after_kill_9_at_random_moments(cluster: Cluster, tmp_path: Path) -> None:
    number = 900
    send(cluster, pictures(number))
    rng = random.Random(0)
    kills = 0
    with running(write_config(tmp_path, cluster)) as worker:
        deadline = time.monotonic() + 120
        seen = 0
        while (done := len(predicted_ids(cluster))) < number:
            assert time.monotonic() < deadline, f"{done} of {number} predictions after {kills} kills"
            if kills < 4 and done > seen:  # not before it has got somewhere, or nothing is tested but the start
                seen = done
                time.sleep(rng.uniform(0.0, 0.15))
                os.kill(worker_pid(worker), signal.SIGKILL)
                kills += 1
                wait_for(lambda: worker.ended() is not None)
                worker.start()
            time.sleep(0.05)
        # A labelled event has one anchor, however often it was delivered.
        wait_for(lambda: metric(worker, "stream_adapter_anchors") == number / 4, what="all anchors")
    assert kills == 4
    assert sum(offset or 0 for offset in cluster.committed().values()) == number


def test_a_restarted_worker_knows_what_the_last_one_learned(cluster: Cluster, tmp_path: Path) -> None:
    """Anchors and evidence come back from the topic; and few events of its own do not replace its slot's evidence."""
    slot = cluster.config.model_copy(update={"group_instance_id": "slot"}).model_dump(mode="json")
    config = write_config(tmp_path, cluster, kafka=slot)
    probe = drawn(4, seed=7)
    send(cluster, pictures(80))
    with running(config) as worker:
        wait_for(lambda: len(predicted_ids(cluster)) == 80, timeout_s=60.0)
        wait_for(lambda: b"presence/evidence/slot" in keys(cluster), what="what its traffic says")
        wait_for(lambda: metric(worker, "stream_adapter_learner_pending_changes") == 0, what="what was learned")
    for start, seen in (("first", 84), ("second", 88)):
        with running(config) as worker:
            wait_for(lambda: metric(worker, "stream_adapter_ready") == 1.0, timeout_s=60.0)
            assert metric(worker, "stream_adapter_restored_anchors") == 20
            send(cluster, [(data, event(f"{start}-{n}")) for n, (_, data) in enumerate(probe)])
            wait_for(lambda seen=seen: len(predicted_ids(cluster)) == seen)  # type: ignore[misc]
    by_id = {prediction["event"]["id"]: prediction for prediction in predictions(cluster)}
    for n in range(4):
        first, second = by_id[f"first-{n}"], by_id[f"second-{n}"]
        assert first["anchors"], "the probe must have met anchors"
        for name in ("versions", "gate", "anchors", "novelty", "top"):
            assert first[name] == second[name]


def keys(cluster: Cluster) -> set[bytes | None]:
    """The keys on the anchors topic."""
    return {record.key for record in cluster.read(cluster.config.topics.anchors)}


def test_a_deleted_anchor_is_gone_from_the_running_worker(cluster: Cluster, tmp_path: Path) -> None:
    config = write_config(tmp_path, cluster)
    send(cluster, pictures(40))
    with running(config) as worker:
        wait_for(lambda: len(predicted_ids(cluster)) == 40, timeout_s=60.0)
        assert metric(worker, "stream_adapter_anchors") == 10
        listed = stream_adapter("anchors", "list", config, "--json")
        assert listed.returncode == 0, listed.stderr
        found = [json.loads(line) for line in listed.stdout.splitlines()]
        assert len(found) == 10
        shown = stream_adapter("anchors", "show", config, found[0]["id"][:12], "--json")
        assert json.loads(shown.stdout)["event_id"] == found[0]["event_id"]
        deleted = stream_adapter("anchors", "delete", config, found[0]["id"], "--yes")
        assert "deleted 1 anchors" in deleted.stdout, deleted.stderr
        wait_for(lambda: metric(worker, "stream_adapter_anchors") == 9, timeout_s=5.0, what="the deletion")
        stream_adapter("anchors", "delete", config, "--label", found[1]["label"], "--yes")
        of_class = sum(one["label"] == found[1]["label"] for one in found[1:])
        wait_for(lambda: metric(worker, "stream_adapter_anchors") == 9 - of_class, timeout_s=5.0)
    wrong = stream_adapter("anchors", "show", config, "ffff" * 8)
    assert wrong.returncode == 1
    assert "no anchor has an id" in wrong.stderr


def test_two_hundred_hostile_files_cost_no_good_event_and_come_back_on_replay(cluster: Cluster, tmp_path: Path) -> None:
    hostile = {f"hostile-{number}": file for number, file in enumerate(hostile_files())}
    mixed = [(file.data, event(id, content_type=file.content_type)) for id, file in hostile.items()]
    mixed += pictures(100)
    random.Random(0).shuffle(mixed)
    send(cluster, mixed)
    topics = cluster.config.topics
    config = write_config(tmp_path, cluster, dead_letters={"max_share": 0.95})
    with running(config) as worker:
        wait_for(lambda: len(cluster.read(topics.dead_letters)) == 200, timeout_s=90.0, what="200 dead letters")
        wait_for(lambda: len(predicted_ids(cluster)) == 100, timeout_s=30.0)
        listed = stream_adapter("dead-letters", "list", config, "--json", "--limit", "500")
        letters = [json.loads(line) for line in listed.stdout.splitlines()]
        assert len(letters) == 200
        for letter in letters:
            file = hostile[letter["key"]]
            assert letter["stage"] == "decode", file.name
        for record in cluster.read(topics.dead_letters):
            headers = tuple(record.headers)
            letter = Record(Partition(record.topic, 0), record.offset, 0, record.key, record.value, headers)
            original, file = undo(letter), hostile[record.key.decode()]
            assert original.value == file.data
            assert original.headers == event(record.key.decode(), content_type=file.content_type)
        replayed = stream_adapter("dead-letters", "replay", config)
        assert "sent 200, passed over 0, unusable 0" in replayed.stdout, replayed.stderr
        wait_for(lambda: len(cluster.read(topics.dead_letters)) == 400, timeout_s=90.0, what="200 more dead letters")
        assert worker.ended() is None
        stages = [
            metric(worker, f'stream_adapter_dead_letters_total{{stage="{stage}"}}') for stage in ("parse", "decode")
        ]
        assert sum(number or 0 for number in stages) == 400
    replayed = stream_adapter("dead-letters", "replay", config)
    assert "sent 200," in replayed.stdout  # the new ones; those that were sent before are not sent again


def test_a_flood_of_bad_events_stops_the_worker_with_the_reason(cluster: Cluster, tmp_path: Path) -> None:
    send(cluster, [(b"not a picture", event(str(number))) for number in range(60)])
    limit = {"max_share": 0.5, "window": 50, "min_events": 40}
    with running(write_config(tmp_path, cluster, dead_letters=limit)) as worker:
        wait_for(lambda: worker.ended() is not None, timeout_s=60.0, what="the worker's end")
        assert worker.ended() == 1
        assert "dead_letters.max_share" in worker.log_tail()


def test_produce_sends_a_folder_and_counts_what_it_refuses(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for position, (name, data) in enumerate(drawn(12)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"{position}.jpg").write_bytes(data)
    (folder / CANARY / "huge.jpg").write_bytes(b"\xff\xd8" + b"\0" * (21 * 2**20))
    config = write_config(tmp_path, cluster)
    done = stream_adapter("produce", config, folder)
    assert done.returncode == 0, done.stderr
    assert "12 sent" in done.stderr
    assert "1 too large refused" in done.stderr
    sent = cluster.read(cluster.config.topics.images)
    assert len(sent) == 12
    assert {dict(record.headers)["ce_label"].decode() for record in sent} == {name for name, _ in drawn(4)}


def test_a_recorded_topic_runs_on_the_file_transport(cluster: Cluster, tmp_path: Path) -> None:
    send(cluster, pictures(30))
    config = write_config(tmp_path, cluster)
    recording = tmp_path / "images.jsonl"
    done = stream_adapter("record", config, recording)
    assert "30 records" in done.stdout, done.stderr
    files = {"input": str(recording), "output": str(tmp_path / "results")}
    config = write_config(tmp_path, cluster, transport="files", files=files)  # type: ignore[arg-type]
    done = stream_adapter("run", config)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "results" / "predictions.jsonl").read_text().splitlines()
    assert {json.loads(line)["event"]["id"] for line in lines} == {f"0-{n}" for n in range(30)}


def test_where_the_watch_stands_is_told_and_makes_a_page(cluster: Cluster, tmp_path: Path) -> None:
    send(cluster, pictures(200))
    config = write_config(tmp_path, cluster, drift={"status_every_s": 1.0, "min_labels": 20})
    with running(config) as worker:
        told = wait_for(lambda: cluster.read(cluster.config.topics.drift), timeout_s=60.0, what="a drift event")
        wait_for(lambda: "stream_adapter_drift_observed{" in get(worker, "/metrics")[1], what="the watch's figures")
    assert {dict(record.headers)["ce_type"] for record in told} == {b"stream_adapter.drift"}
    page = tmp_path / "drift.html"
    done = stream_adapter("drift", "report", config, "--output", page)
    assert done.returncode == 0, done.stderr
    assert "<svg" in page.read_text()
