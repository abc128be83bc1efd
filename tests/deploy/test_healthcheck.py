"""The image's HEALTHCHECK."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.web.server import HttpServer, build_app

SCRIPT = Path(__file__).parents[2] / "deploy" / "container" / "healthcheck.py"


@contextmanager
def serving(health: Health) -> Iterator[int]:
    server = HttpServer(build_app(Metrics(), health), "127.0.0.1", 0)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


def check(port: int | str) -> tuple[int, str]:
    environment = {**os.environ, "STREAM_ADAPTER_PORT": str(port), "http_proxy": "http://127.0.0.1:1"}
    command = [sys.executable, "-I", "-S", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_a_worker_that_makes_progress_is_healthy() -> None:
    with serving(Health(60.0, time.monotonic)) as port:
        status, shown = check(port)
    assert (status, shown.split()[0]) == (0, "200")


def test_one_that_is_stuck_is_not_and_the_reason_is_shown() -> None:
    with serving(Health(0.0, time.monotonic)) as port:
        status, shown = check(port)
    assert status == 1
    assert shown.startswith("503") and "seconds_without_progress" in shown


def test_neither_is_one_that_does_not_answer() -> None:
    with serving(Health(60.0, time.monotonic)) as port:
        pass
    assert check(port)[0] == 1
    assert "port eighty does not answer" in check("eighty")[1]
