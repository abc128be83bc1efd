"""The page's one change, on a real Kafka: forgetting at one worker takes effect on all of them."""

import json
import urllib.request
from collections.abc import Iterable
from pathlib import Path

from stream_adapter.demo.browser import open_loopback
from stream_adapter.demo.worker_process import WorkerProcess
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import anchor_records, drawn, event, get, http_port, metric, running, send, write_config

TOKEN = "0123456789abcdef-token"


def forget(worker: WorkerProcess, ids: list[str]) -> list[str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{http_port(worker)}/api/anchors/forget",
        json.dumps({"ids": ids}).encode(),
        {"Authorization": f"Bearer {TOKEN}", "x-stream-adapter": "test", "Content-Type": "application/json"},
    )
    with open_loopback(request, 30) as answer:
        forgotten: list[str] = json.load(answer)["forgotten"]
        return forgotten


def anchors(workers: Iterable[WorkerProcess]) -> list[float | None]:
    return [metric(worker, "stream_adapter_anchors") for worker in workers]


def test_forgetting_at_one_worker_takes_effect_on_all(cluster: Cluster, tmp_path: Path) -> None:
    configs = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        configs.append(write_config(tmp_path / name, cluster, page={"token": TOKEN}))
    with running(configs[0]) as one, running(configs[1]) as other:
        both = (one, other)
        wait_for(lambda: all(get(worker, "/readyz")[0] == 200 for worker in both), timeout_s=90.0, what="two workers")
        send(cluster, [(data, event(str(number), "red circle")) for number, (_, data) in enumerate(drawn(24))])
        wait_for(lambda: anchors(both) == [24, 24], timeout_s=60.0, what="anchors")
        ids = [record.key.decode() for record in anchor_records(cluster)][:5]
        assert sorted(forget(one, ids)) == sorted(ids)
        records = cluster.read(cluster.config.topics.anchors)
        assert {record.key.decode() for record in records if record.value is None} == set(ids), (
            "durable when it is said"
        )
        wait_for(lambda: anchors(both) == [19, 19], what="the deletion on both")
        digests = {metric(worker, "stream_adapter_anchors_digest") for worker in both}
        assert len(digests) == 1
        shown = json.loads(get(other, "/api/anchors")[1])
        assert shown["found"] == 19
        assert not set(ids) & {anchor["id"] for anchor in shown["anchors"]}
