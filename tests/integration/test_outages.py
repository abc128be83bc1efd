"""A worker whose broker is away, or whose anchors topic is gone: it waits, says so once a minute, and goes on."""

import itertools
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from kafka import KafkaAdminClient

from stream_adapter.demo.broker import LocalKafka
from stream_adapter.demo.worker_process import WorkerProcess
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import (
    anchor_records,
    drawn,
    event,
    get,
    metric,
    predicted_ids,
    running,
    send,
    stream_adapter,
    write_config,
)

AWAY_S = float(os.environ.get("BROKER_AWAY_S", "100"))  # 3600: an hour


class Waiting(NamedTuple):
    """A worker that waits for its broker."""

    name: str
    cluster: Cluster
    worker: WorkerProcess
    busy: bool  # has more to do than it can before the broker is gone

    def wait_for_predictions(self, number: int) -> None:
        wait_for(lambda: len(set(predicted_ids(self.cluster))) == number, timeout_s=90.0, what=f"{number} predictions")


def lines_since(worker: WorkerProcess, size: int) -> list[dict[str, object]]:
    return [json.loads(line) for line in worker.log.read_bytes()[size:].decode().splitlines()]


def pictures(number: int, first: int = 0) -> list[tuple[bytes, tuple[tuple[str, bytes], ...]]]:
    return [(data, event(str(first + n), name)) for n, (name, data) in enumerate(drawn(number, seed=first))]


@pytest.mark.slow
@pytest.mark.timeout(AWAY_S + 300.0)
def test_a_broker_that_is_away_for_100_s_is_waited_for(
    bootstrap_servers: str, local_kafka: LocalKafka, tmp_path: Path
) -> None:
    """By four workers at once: both deliveries, idle and busy."""
    with ExitStack() as stack:
        waiting: list[Waiting] = []
        for delivery, busy in itertools.product(("exactly_once", "at_least_once"), (False, True)):
            cluster = Cluster(bootstrap_servers)
            folder = tmp_path / f"{delivery}-{'busy' if busy else 'idle'}"
            folder.mkdir()
            kafka = cluster.config.model_dump(mode="json") | {"delivery": delivery}
            worker = stack.enter_context(running(write_config(folder, cluster, kafka=kafka)))
            waiting.append(Waiting(folder.name, cluster, worker, busy))
        for one in waiting:
            send(one.cluster, pictures(20))
        for one in waiting:
            one.wait_for_predictions(20)
            assert get(one.worker, "/readyz")[0] == 200
        for one in waiting:
            if one.busy:
                send(one.cluster, pictures(600, first=20))
        time.sleep(0.7)
        sizes = [one.worker.log.stat().st_size for one in waiting]
        local_kafka.kill()
        down_at = time.monotonic()
        try:
            for one in waiting:
                wait_for(lambda: get(one.worker, "/readyz")[0] == 503, timeout_s=25.0, what="not ready")  # noqa: B023
                print(f"{one.name}: not ready after {time.monotonic() - down_at:.1f} s")
                assert "transport_answers" in json.loads(get(one.worker, "/readyz")[1])["missing"]
            while time.monotonic() < down_at + AWAY_S:
                for one in waiting:
                    assert one.worker.ended() is None, one.worker.log_tail(30)
                    assert get(one.worker, "/healthz")[0] == 200
                time.sleep(1.0)
        finally:
            local_kafka.start()
        for one, size in zip(waiting, sizes, strict=True):
            said = lines_since(one.worker, size)
            print(one.name, *(json.dumps(line)[:160] for line in said), sep="\n")
            ours = [line for line in said if not str(line["logger"]).startswith("kafka.")]
            assert len(said) - len(ours) < 25 * (1 + AWAY_S // 600), "the client says each thing once in ten minutes"
            minutes = int((AWAY_S - 10.0) / 60)  # it is noticed within seconds
            assert [line["event"] for line in ours].count("no answer, still trying") == 1 + minutes
        for one in waiting:
            wait_for(lambda: get(one.worker, "/readyz")[0] == 200, timeout_s=40.0, what="ready again")  # noqa: B023
            send(one.cluster, pictures(20, first=1_000))
        for one in waiting:
            one.wait_for_predictions(640 if one.busy else 40)
            assert one.worker.restarts == 0


def test_a_worker_whose_anchors_topic_was_deleted_waits_for_it(cluster: Cluster, tmp_path: Path) -> None:
    config = write_config(tmp_path, cluster)
    anchors = cluster.config.topics.anchors
    with running(config) as worker:
        send(cluster, pictures(20))
        wait_for(lambda: len(predicted_ids(cluster)) == 20, timeout_s=60.0, what="20 predictions")
        size = worker.log.stat().st_size
        admin = KafkaAdminClient(bootstrap_servers=cluster.config.bootstrap_servers)
        admin.delete_topics([anchors])
        admin.close()
        wait_for(lambda: get(worker, "/readyz")[0] == 503, timeout_s=20.0, what="not ready")
        send(cluster, pictures(8, first=100))  # labelled: they make anchors
        until = time.monotonic() + 20.0
        while time.monotonic() < until:
            assert worker.ended() is None, worker.log_tail(30)
            assert get(worker, "/readyz")[0] == 503
            time.sleep(0.5)
        said = [line for line in lines_since(worker, size) if line["level"] in ("warning", "error")]
        print(*(json.dumps(line)[:200] for line in said), sep="\n")
        (ours,) = (line for line in said if str(line["logger"]).startswith("stream_adapter"))
        assert anchors in str(ours["error"])
        assert len(said) < 20
        assert stream_adapter("topics", "create", config).returncode == 0
        wait_for(lambda: get(worker, "/readyz")[0] == 200, timeout_s=40.0, what="ready again")
        wait_for(lambda: len(predicted_ids(cluster)) == 28, timeout_s=40.0, what="what had waited")
        assert len({record.key for record in anchor_records(cluster)} - {b""}) >= 6  # two of eight are of the canary


def test_a_worker_that_starts_without_a_broker_waits_for_one(
    cluster: Cluster, local_kafka: LocalKafka, tmp_path: Path
) -> None:
    """At every stage of its start: before it has a connection, and while it reads the anchors back."""
    send(cluster, pictures(20))
    config = write_config(tmp_path, cluster, service={"port": 0, "stuck_after_s": 40.0})
    local_kafka.kill()
    with running(config) as worker:
        try:
            wait_for(lambda: b"no Kafka broker answered" in worker.log.read_bytes(), timeout_s=60.0, what="a word")
            assert get(worker, "/healthz")[0] == 200
            assert "transport_answers" in json.loads(get(worker, "/readyz")[1])["missing"]
            wait_for(lambda: (metric(worker, "stream_adapter_transport_silent_seconds") or 0) > 5, what="the metric")
            assert worker.ended() is None
        finally:
            local_kafka.start()
        wait_for(lambda: len(predicted_ids(cluster)) == 20, timeout_s=60.0, what="20 predictions")
        assert get(worker, "/readyz")[0] == 200
        assert metric(worker, "stream_adapter_transport_silent_seconds") == 0
