"""Behind a proxy that answers everything itself, and with none named as an exception."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from stream_adapter.demo import browser, run
from stream_adapter.demo.browser import open_loopback
from stream_adapter.demo.worker_process import WorkerProcess


class Server(HTTPServer):
    """Answers with its own name, and keeps what it was asked for."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.name, self.status = name, status
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.name.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    proxy = Server("proxy", 503)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("urllib.request._opener", None)  # made once, with the environment of then
    yield proxy
    proxy.shutdown()
    proxy.server_close()


@pytest.fixture
def worker() -> Iterator[Server]:
    worker = Server("worker", 200)
    yield worker
    worker.shutdown()
    worker.server_close()


def test_this_machine_is_asked_directly(proxy: Server, worker: Server) -> None:
    with open_loopback(f"http://127.0.0.1:{worker.server_port}/x") as answer:
        assert answer.read() == b"worker"
    assert (worker.asked, proxy.asked) == (["/x"], [])


def test_the_demo_sees_that_its_worker_is_ready(proxy: Server, worker: Server, tmp_path: Path) -> None:
    run._wait_until_ready(worker.server_port, WorkerProcess(tmp_path / "c.yaml", {}, tmp_path))
    assert (worker.asked, proxy.asked) == (["/readyz"], [])


def test_the_browser_is_opened_when_the_page_is_there(
    proxy: Server, worker: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(browser.webbrowser, "open", opened.append)
    url = f"http://127.0.0.1:{worker.server_port}/"
    browser.open_when_served(url).join(10)
    assert (opened, proxy.asked) == ([url], [])
