"""A broker at its own limits: clients that it slows down, and a disk that is full."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_adapter.demo.broker import LocalKafka, resolve_jars
from tests.integration.cluster import Cluster, wait_for
from tests.integration.running import drawn, event, get, predicted_ids, predictions, running, send, write_config

DISK_MB = 400
BYTES_A_SECOND = 60_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which can be filled up."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no right to mount a file system")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def slow_down(kafka: LocalKafka, rate: int) -> None:
    """Let every client read and write only so many bytes a second, as `kafka-configs.sh` does."""
    command = ["java", "-cp", str(resolve_jars() / "*"), "kafka.admin.ConfigCommand"]
    change = ["--alter", "--add-config", f"producer_byte_rate={rate},consumer_byte_rate={rate}"]
    whom = ["--entity-type", "clients", "--entity-default"]
    subprocess.run([*command, "--bootstrap-server", kafka.bootstrap_servers, *change, *whom], check=True)


def wait_for_each_once(cluster: Cluster, ids: set[str], timeout_s: float) -> None:
    wait_for(lambda: predicted_ids(cluster) >= ids, timeout_s=timeout_s, what=f"{len(ids)} predictions")
    said = Counter(one["event"]["id"] for one in predictions(cluster))
    assert dict(said) == dict.fromkeys(ids, 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_worker_that_is_slowed_down_by_its_broker_predicts_each_event_once(tmp_path: Path) -> None:
    pictures = [(data, event(str(number), name)) for number, (name, data) in enumerate(drawn(160))]
    to_read = sum(len(data) for data, _ in pictures[10:])
    with LocalKafka(settings={"quota.window.num": "2"}) as kafka:
        cluster = Cluster(kafka.bootstrap_servers)
        with running(write_config(tmp_path, cluster)) as worker:
            send(cluster, pictures[:10])
            wait_for_each_once(cluster, {str(number) for number in range(10)}, 90.0)
            slow_down(kafka, BYTES_A_SECOND)
            began = time.monotonic()
            send(cluster, pictures[10:])
            wait_for_each_once(cluster, {str(number) for number in range(160)}, 150.0)
            assert time.monotonic() - began > to_read / BYTES_A_SECOND, "it was slowed down"
            assert get(worker, "/healthz")[0] == 200
            assert worker.ended() is None


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_broker_whose_disk_is_full_is_waited_for(tmp_path: Path, small_disk: Path) -> None:
    """It ends itself; started again with room, it has all that it promised to keep."""
    pictures = [(data, event(str(number), name)) for number, (name, data) in enumerate(drawn(60))]
    ballast = small_disk / "ballast"
    with LocalKafka(settings={"log.dirs": str(small_disk / "data")}) as kafka:
        cluster = Cluster(kafka.bootstrap_servers)
        with running(write_config(tmp_path, cluster)) as worker:
            send(cluster, pictures[:30])
            wait_for_each_once(cluster, {str(number) for number in range(30)}, 90.0)
            send(cluster, pictures[30:])
            with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(2**16))
            wait_for(lambda: not kafka.running, timeout_s=60.0, what="the broker to end")
            wait_for(lambda: get(worker, "/readyz")[0] == 503, timeout_s=60.0, what="not ready")
            time.sleep(5.0)
            assert get(worker, "/healthz")[0] == 200
            ballast.unlink()
            kafka.kill()
            kafka.start()
            wait_for_each_once(cluster, {str(number) for number in range(60)}, 90.0)
            assert worker.ended() is None
