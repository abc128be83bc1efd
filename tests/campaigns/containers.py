"""The image and the compose file, tried on a real Docker: `make compose-test`. The last line is JSON.

Pictures go in, predictions come out, Prometheus scrapes the worker. The worker's process is killed and comes back, then
its container is stopped: no picture may be without its prediction, and none may have two.
"""

import argparse
import json
import os
import signal
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stream_adapter.demo.broker import resolve_jars
from stream_adapter.demo.browser import open_loopback
from tests.campaigns.docker import Docker, daemon, make_base
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy" / "compose"
PROJECT = f"stream-adapter-test-{os.getpid()}"
FILES = ("-p", PROJECT, "-f", str(COMPOSE / "compose.yaml"), "-f", str(COMPOSE / "compose.test.yaml"))
STATE = "/var/lib/stream-adapter"
CONFIG = "/etc/stream-adapter/worker.yaml"
SCRATCH = "/tmp/topic.jsonl"
UID = "10001"
GRACE_S = 30
PATIENCE_S = 240.0


def main() -> None:
    """Run all checks; exit status 1 when one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default="stream-adapter:test", help="the name that the worker's image gets")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long pictures flow before the kill, and after")
    given = parser.parse_args()
    ports = {name: str(free_port()) for name in ("WORKER_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")}
    resolve_jars()
    with daemon() as host:
        docker = Docker(host, {**ports, "STREAM_ADAPTER_IMAGE": given.image})
        make_base(docker)
        try:
            say("building")
            docker.compose(*FILES, "build")
            report = {
                "image_mb": round(int(docker("image", "inspect", "--format", "{{.Size}}", given.image)) / 1e6),
                "alone": alone(docker, given.image),
                **together(docker, ports, given.seconds),
            }
        finally:
            docker.compose(*FILES, "down", "--volumes", "--timeout", "5", check=False)
    print(json.dumps(report))
    sys.exit(not succeeded(report))


def succeeded(report: dict[str, Any]) -> bool:
    """Whether everything is as it must be."""
    return (
        report["predictions"] > 0
        and report["lost"] == report["doubled"] == 0
        and report["scraped_events"] > 0
        and report["restarts"] == 1
        and report["stop_status"] == 0
        and report["stop_s"] < GRACE_S
        and report["uid"] == UID
        and report["root_is_read_only"]
        and report["alone"]["events"] == 300
        and report["alone"]["dead_letters"] == 0
    )


def alone(docker: Docker, image: str) -> dict[str, Any]:
    """The demo on the file transport in one container: no network, nothing writable but /tmp and a volume."""
    say("the image alone")
    volume = f"{PROJECT}-alone"
    inside = f"{STATE}/demo"
    closed = (
        "run",
        "--rm",
        "--read-only",
        "--network=none",
        "--cap-drop=ALL",
        f"--volume={volume}:{Path(inside).parent}",
    )
    try:
        docker(
            *closed,
            "--tmpfs=/tmp",
            image,
            "demo",
            "--pictures",
            "drawn",
            "--transport",
            "files",
            "--events",
            "300",
            "--output",
            inside,
        )
        summary: dict[str, Any] = json.loads(docker(*closed, "--entrypoint=cat", image, f"{inside}/summary.json"))
    finally:
        docker("volume", "rm", volume, check=False)
    return {name: summary[name] for name in ("events", "dead_letters", "seconds")}


def together(docker: Docker, ports: dict[str, str], seconds: float) -> dict[str, Any]:
    """Everything in compose.yaml: kill the worker's process, then stop producer and worker, and count."""
    say("starting everything")
    started = time.monotonic()
    docker.compose(*FILES, "up", "--detach")
    worker = docker.compose(*FILES, "ps", "--quiet", "worker")
    wait_for(lambda: health(docker, worker) == "healthy", "a healthy worker")
    healthy_s = time.monotonic() - started
    url = f"http://127.0.0.1:{ports['WORKER_PORT']}"
    wait_for(lambda: get(f"{url}/readyz") is not None, "a ready worker")
    time.sleep(seconds)

    say("killing the worker")
    # From outside: a process 1 ignores SIGKILL from within, and what `docker kill` ends is not started again.
    os.kill(docker.inspect(worker)["State"]["Pid"], signal.SIGKILL)
    wait_for(lambda: docker.inspect(worker)["RestartCount"] == 1, "the restart")
    wait_for(lambda: health(docker, worker) == "healthy" and get(f"{url}/readyz") is not None, "a worker again")
    time.sleep(seconds)
    scraped = prometheus(ports["PROMETHEUS_PORT"], "sum(stream_adapter_predictions_total)")
    docker.compose(*FILES, "stop", "pictures")
    images = ids(docker, worker, "images")
    wait_for(lambda: len(ids(docker, worker, "predictions")) >= len(images), "all predictions")
    predictions = ids(docker, worker, "predictions")
    uid = docker("exec", worker, "id", "-u")
    read_only = "Read-only file system" in docker("exec", "--user=0", worker, "touch", "/opt/probe", check=False)

    say("stopping the worker")
    docker.compose(*FILES, "start", "pictures")  # so that there is something to drain
    time.sleep(5.0)
    started = time.monotonic()
    docker("stop", "--time", str(GRACE_S), worker)
    stop_s = time.monotonic() - started
    logs = docker("logs", worker)
    return {
        "healthy_s": round(healthy_s, 1),
        "pictures": len(images),
        "predictions": len(predictions),
        "lost": len(images.keys() - predictions.keys()),
        "doubled": sum(number - 1 for number in predictions.values()),
        "scraped_events": scraped,
        "restarts": docker.inspect(worker)["RestartCount"],
        "stop_s": round(stop_s, 1),
        "stop_status": docker.inspect(worker)["State"]["ExitCode"] if '"drained"' in logs else "not drained",
        "uid": uid,
        "root_is_read_only": read_only,
    }


def ids(docker: Docker, worker: str, topic: str) -> Counter[str]:
    """How many records of a topic each event has, asked of the worker's own command in its container."""
    docker("exec", worker, "stream-adapter", "record", CONFIG, SCRATCH, "--topic", topic)
    script = (
        "import base64, collections, json; from stream_adapter.transport.files.recording import RecordedInput; "
        "from pathlib import Path; "
        f"records = RecordedInput(Path('{SCRATCH}')).records(0); "
        "name = lambda record: dict(record.headers)['ce_id'].decode() "
        f"if '{topic}' == 'images' else json.loads(record.value)['event']['id']; "
        "print(json.dumps(collections.Counter(map(name, records))))"
    )
    return Counter(json.loads(docker("exec", worker, "python", "-c", script).splitlines()[-1]))


def health(docker: Docker, container: str) -> str:
    """What HEALTHCHECK says: starting, healthy or unhealthy."""
    return str(docker.inspect(container)["State"]["Health"]["Status"])


def prometheus(port: str, query: str) -> float:
    """The value of a query that gives one, or 0."""
    answer = get(f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
    result = json.loads(answer)["data"]["result"] if answer else []
    return float(result[0]["value"][1]) if result else 0.0


def get(url: str) -> str | None:
    """A page, or None where it is not served."""
    try:
        with open_loopback(url) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Ask until it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come within {PATIENCE_S:.0f} s")
        time.sleep(1.0)


def say(text: str) -> None:
    """What is being done, for whoever waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
