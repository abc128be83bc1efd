"""Connections that ask for nothing: a worker must not end by them, nor anybody else go without an answer."""

import asyncio
import contextlib
import http.client
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from stream_adapter.config import PageConfig, PredictConfig
from stream_adapter.page.access import Access
from stream_adapter.page.http import guarded, read_body
from stream_adapter.service.web import connections
from stream_adapter.service.web.server import HttpServer

ROOT = Path(__file__).parents[3]
HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\n"
CLOSING = HEAD.replace(b"Host", b"Connection: close\r\nHost")


class Echo:
    """Answers with the body, when it is let."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Semaphore(0), threading.Event()
        access = Access.of_predictions(PredictConfig(), PageConfig(), "127.0.0.1")
        echo = Route("/echo", guarded(access, self.echo), methods=["POST"])
        self.server = HttpServer(Starlette(routes=[echo, Route("/slow", self.slow)]), "127.0.0.1", 0)
        self.server.start()

    async def echo(self, request: Request) -> Response:
        return PlainTextResponse(await read_body(request, 1000))

    async def slow(self, request: Request) -> Response:
        self.asked.release()
        while not self.go_on.is_set():
            await asyncio.sleep(0.05)
        return PlainTextResponse("here")

    def open(self, sent: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.server.port), 10)
        connection.sendall(sent)
        return connection


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.go_on.set()
    echo.server.stop()


def rest(connection: socket.socket) -> bytes:
    """What comes until the other side closes; waits no longer than ten seconds."""
    came = b""
    with connection, contextlib.suppress(ConnectionError):
        while more := connection.recv(1000):
            came += more
    return came


def test_where_all_places_are_taken_whoever_asks_for_something_gets_one(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 4)
    idle = [echo.open(HEAD[:number]) for number in range(40)]
    assert b"200 OK" in rest(echo.open(CLOSING + b"in time."))
    for connection in idle[:-4]:
        assert rest(connection) == b""
    for connection in idle[-4:]:
        connection.close()


def test_where_all_are_being_answered_nobody_is_cut_and_nobody_let_in(
    echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 3)
    asking = [echo.open(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") for _ in range(3)]
    for _ in asking:
        assert echo.asked.acquire(timeout=10)
    assert rest(echo.open()) == b""
    echo.go_on.set()
    for connection in asking:
        assert rest(connection).endswith(b"here")


@pytest.mark.parametrize("sent", [b"", HEAD[:20], HEAD, HEAD + b"abc"], ids=["nothing", "head", "no body", "body"])
def test_what_is_not_asked_in_time_is_not_waited_for(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    monkeypatch.setattr(connections, "SILENCE_S", 0.5)
    with caplog.at_level(logging.WARNING):
        rest(echo.open(sent))
    assert caplog.records == []


def test_a_head_that_comes_in_drops_is_not_waited_for(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 1.0)
    connection, began_s = echo.open(HEAD[:-4]), time.monotonic()
    connection.settimeout(0.2)
    with pytest.raises(ConnectionError), connection:
        while time.monotonic() < began_s + 10:
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                assert connection.recv(1) == b"", "closed"
                raise ConnectionResetError


def test_slow_answers_and_slow_bodies_are_waited_for(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 2.0)
    monkeypatch.setattr(connections, "SILENCE_S", 3.0)
    slow, body = echo.open(b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"), echo.open(CLOSING)
    for byte in b"in drops":
        time.sleep(0.5)
        body.sendall(bytes([byte]))
    assert rest(body).endswith(b"in drops")
    echo.go_on.set()
    assert rest(slow).endswith(b"here")


def test_whoever_hangs_up_within_a_body_is_no_error_of_the_worker(echo: Echo, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for sent in (HEAD, HEAD + b"abc"):
            echo.open(sent).close()
        time.sleep(0.5)
        assert b"200 OK" in echo.open(HEAD + b"in time.").recv(1000)
    assert caplog.records == []


_FEW_DESCRIPTORS = """
import resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.logs import configure_logs
from stream_adapter.service.web.server import HttpServer, build_app
configure_logs("info", "json")
server = HttpServer(build_app(Metrics(), Health(1000.0, time.monotonic)), "127.0.0.1", 0)
server.start()
print(server.port, flush=True)
for line in sys.stdin:
    with open("/dev/null"):  # a descriptor is left
        print("has one", flush=True)
"""


def test_connections_never_take_the_last_descriptors(tmp_path: Path) -> None:
    """200 at once, of 128 descriptors; the log has not even a line for each."""
    log = tmp_path / "log"
    with log.open("wb") as errors:
        command = [sys.executable, "-c", _FEW_DESCRIPTORS]
        worker = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert worker.stdin is not None and worker.stdout is not None
    try:
        port = int(worker.stdout.readline())
        idle = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(200)]
        for _ in range(3):
            worker.stdin.write("\n")
            worker.stdin.flush()
            assert worker.stdout.readline() == "has one\n", log.read_text()[-1000:]
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            connection.close()
            time.sleep(0.5)
        for one in idle:
            one.close()
    finally:
        worker.kill()
        worker.communicate()
    assert len(log.read_text().splitlines()) < 10
