"""Classes that are added, renamed, merged and removed while two workers run."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stream_adapter.cli import app
from stream_adapter.demo.worker_process import WorkerProcess
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import (
    anchor_records,
    drawn,
    event,
    metric,
    predictions,
    running,
    send,
    write_config,
)
from tests.integration.test_worker import worker_pid


def two_workers(
    cluster: Cluster, tmp_path: Path, stack: ExitStack, **sections: Any
) -> list[tuple[Path, WorkerProcess]]:
    """Two members of a group, with snapshots; each with one of the two partitions."""
    found = []
    for name in ("one", "other"):
        folder = tmp_path / name
        folder.mkdir()
        kafka = cluster.config.model_copy(update={"group_instance_id": name}).model_dump(mode="json")
        config = write_config(
            folder,
            cluster,
            kafka=kafka | {"delivery": "exactly_once"},
            snapshots={"folder": str(folder / "snapshots"), "every_s": 1.0},
            adapter={"canaries": []},
            **sections,
        )
        found.append((config, stack.enter_context(running(config))))
    for _, worker in found:
        wait_for(lambda worker=worker: metric(worker, "stream_adapter_ready") == 1.0, timeout_s=180.0)  # type: ignore[misc]
        wait_for(  # type: ignore[misc]
            lambda worker=worker: metric(worker, "stream_adapter_assigned_partitions") == 1.0, timeout_s=180.0
        )
    return found


class Stream:
    """Pictures of the four classes in turn, on both partitions, with a label where one is wanted."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._sent = 0

    def feed(self, number: int = 16, labels: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """Send pictures, and wait for what is said of them."""
        names = labels or {}
        batch = drawn(number, seed=self._sent)
        ids = [f"{self._sent + n}" for n in range(number)]
        self._sent += number
        send(self._cluster, [(data, event(id, names.get(name))) for id, (name, data) in zip(ids, batch, strict=True)])

        def said() -> list[dict[str, Any]] | None:
            found = [one for one in predictions(self._cluster) if one["event"]["id"] in ids]
            return found if len(found) == number else None

        return wait_for(said, timeout_s=180.0, what=f"{number} predictions")


@pytest.mark.timeout(600)
def test_classes_change_while_two_workers_run(cluster: Cluster, tmp_path: Path) -> None:
    def do(command: str, *arguments: str) -> str:
        done = CliRunner().invoke(app, ["classes", command, str(config), *arguments])
        assert done.exit_code == 0, done.exception
        return done.output

    def agreed(name: str) -> None:
        """Both workers say so of new events, and mean the same classes."""

        def same() -> bool:
            found = stream.feed()
            hashes = {one["versions"]["vocabulary"] for one in found}
            return len(hashes) == 1 and all(name in {top["label"] for top in one["top"]} for one in found)

        wait_for(same, timeout_s=60.0, what=f"{name!r} on both workers")

    stream = Stream(cluster)
    with ExitStack() as stack:
        vocabulary = {"classes": ["red circle", "green triangle", "blue star"], "templates": "simple"}
        (config, one), (_, other) = two_workers(
            cluster, tmp_path, stack, vocabulary=vocabulary, batch={"max_batch": 8, "max_wait_ms": 20, "top_k": 9}
        )
        stream.feed(16, {"red circle": "red circle"})
        do("add", "yellow diamond")
        agreed("yellow diamond")
        stream.feed(16, {"yellow diamond": "yellow diamond", "red circle": "red circle"})
        taught = len({record.key for record in anchor_records(cluster)})
        do("rename", "red circle", "crimson circle")
        agreed("crimson circle")
        stream.feed(16, {"red circle": "red circle"})  # from somebody who has not heard of it
        # One worker is killed, and another class is added while it is away.
        os.kill(worker_pid(other), signal.SIGKILL)
        wait_for(lambda: other.ended() is not None)
        do("add", "purple square", "--prompt", "a purple {}")
        do("merge", "blue star", "--into", "green triangle")
        other.start()
        wait_for(lambda: metric(other, "stream_adapter_ready") == 1.0, timeout_s=180.0)
        agreed("purple square")
        digests = lambda: {metric(worker, "stream_adapter_anchors_digest") for worker in (one, other)}  # noqa: E731
        wait_for(lambda: len(digests()) == 1, timeout_s=60.0, what="the same anchors")
        assert metric(one, "stream_adapter_anchors") == taught + 4, "no anchor is lost"
        newest = {record.key: dict(record.headers)["label"] for record in anchor_records(cluster)}
        wait_for(
            lambda: (
                b"red circle"
                not in {dict(r.headers)["label"] for r in {r.key: r for r in anchor_records(cluster)}.values()}
            ),
            what="the new name on the topic",
        )
        assert len(newest) == taught + 4
        # And taken out: what was learned of it goes everywhere.
        said = do("remove", "crimson circle", "--yes")
        assert f"crimson circle ({taught - 4 + 4} anchors)" in said
        wait_for(lambda: digests() != set() and metric(one, "stream_adapter_anchors") == 4, timeout_s=60.0)
        wait_for(
            lambda: (
                {r.key for r in cluster.read(cluster.config.topics.anchors) if r.value is None}
                >= {key for key, label in newest.items() if label != b"yellow diamond"}
            ),
            timeout_s=40.0,
            what="its deletion",
        )
        assert one.ended() is None
    listed = do("list", "--json")
    assert '"name": "red circle", "state": "lost"' in listed and '"state": "removed"' in listed
