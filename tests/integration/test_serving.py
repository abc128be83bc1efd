"""The stream, a worker over HTTP, a replica and the command give one answer, on a real Kafka."""

import base64
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from stream_adapter.demo.browser import open_loopback
from stream_adapter.demo.worker_process import WorkerProcess
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import (
    drawn,
    event,
    get,
    http_port,
    metric,
    predictions,
    running,
    send,
    stream_adapter,
    write_config,
)


def ask(port: int, pictures: list[bytes]) -> list[dict[str, Any]]:
    body = {"instances": [{"picture": base64.b64encode(data).decode()} for data in pictures]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with open_loopback(request, 30) as answer:
        answers: list[dict[str, Any]] = json.load(answer)["predictions"]
        return answers


class Replica(WorkerProcess):
    """`stream-adapter serve`, asked as a worker is."""

    def __init__(self, config: Path, scratch: Path) -> None:
        super().__init__(config, {}, scratch)
        self._command[3] = "serve"


@contextmanager
def serving(config: Path) -> Iterator[Replica]:
    scratch = config.parent / "replica"
    scratch.mkdir()
    replica = Replica(config, scratch)
    replica.start()
    try:
        yield replica
    finally:
        replica.stop()
        print(replica.log_tail(60))
        assert '"event": "stopped"' in replica.log_tail(1)


def numbers(answers: list[dict[str, Any]]) -> list[list[float]]:
    return [
        [
            one["gate"],
            one["novelty"],
            one["none_of_these"],
            bool(one["unknown"]),
            *(score["adapted"] for score in one["top"]),
        ]
        for one in answers
    ]


def test_all_doors_give_the_same_answer(cluster: Cluster, tmp_path: Path) -> None:
    config = write_config(tmp_path, cluster, drift={"mode": "alarm_only"})
    pictures = drawn(64)
    with running(config) as worker, serving(config) as replica:
        wait_for(lambda: get(worker, "/readyz")[0] == 200, timeout_s=90.0, what="a worker")
        send(cluster, [(data, event(str(n), name if n % 2 else None)) for n, (name, data) in enumerate(pictures[:48])])
        wait_for(lambda: len(predictions(cluster)) == 48, timeout_s=60.0, what="predictions")
        wait_for(lambda: get(replica, "/readyz")[0] == 200, timeout_s=90.0, what="a replica")

        def same_state() -> bool:
            names = ("stream_adapter_anchors_digest", "stream_adapter_anchors")
            states = [[metric(one, name) for name in names] for one in (worker, replica)]
            versions = {ask(http_port(one), [pictures[0][1]])[0]["versions"]["adapter"] for one in (worker, replica)}
            return states[0] == states[1] and len(versions) == 1

        wait_for(same_state, timeout_s=60.0, what="the replica at the worker's anchors and presence")
        new = [data for _, data in pictures[48:]]
        files = [tmp_path / f"{number}.jpg" for number in range(len(new))]
        for file, data in zip(files, new, strict=True):
            file.write_bytes(data)
        at_worker, at_replica, at_shell = list[Any](), list[Any](), list[Any]()

        def all_know_the_same() -> bool:
            """What the traffic shows comes to the others a moment later, and says so by the version."""
            at_replica[:] = ask(http_port(replica), new)
            done = stream_adapter("predict", config, *files, "--json")
            assert done.returncode == 0, done.stderr
            at_shell[:] = map(json.loads, done.stdout.splitlines())
            at_worker[:] = ask(http_port(worker), new)
            return len({one["versions"]["adapter"] for one in (*at_worker, *at_replica, *at_shell)}) == 1

        wait_for(all_know_the_same, timeout_s=120.0, what="one version at all doors")
        send(cluster, [(data, event(f"new {n}")) for n, data in enumerate(new)])
        wait_for(lambda: len(predictions(cluster)) == 64, timeout_s=60.0, what="the stream's own answers")
        by_id = {one["event"]["id"]: one for one in predictions(cluster)}
        on_stream = [by_id[f"new {number}"] for number in range(len(new))]
        for answers in (at_worker, at_replica, at_shell):
            assert [one["top"][0]["label"] for one in answers] == [one["top"][0]["label"] for one in on_stream]
        # To the six decimals that are written; the stream's own have come to know of more traffic meanwhile.
        np.testing.assert_allclose(numbers(at_replica), numbers(at_worker), atol=1.5e-6)
        np.testing.assert_allclose(numbers(at_shell), numbers(at_worker), atol=1.5e-6)
        assert metric(replica, 'stream_adapter_http_predictions_total{outcome="answered"}')
