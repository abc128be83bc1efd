import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stream_adapter.demo import browser


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    urls: list[str] = []
    monkeypatch.setattr(browser.webbrowser, "open", urls.append)
    return urls


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer, bind_and_activate=False)
    yield server
    server.server_close()


def test_it_waits_until_the_page_is_there(opened: list[str], server: HTTPServer) -> None:
    server.server_bind()
    url = f"http://127.0.0.1:{server.server_port}/"
    thread = browser.open_when_served(url)
    thread.join(0.5)
    assert thread.is_alive()
    assert opened == []
    server.server_activate()
    threading.Thread(target=server.handle_request).start()
    thread.join(10)
    assert opened == [url]


def test_it_gives_up(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "_WAIT_S", 0.3)
    browser.open_when_served("http://127.0.0.1:1/").join(10)
    assert opened == []


@pytest.mark.parametrize(
    ("terminal", "display", "ci", "expected"),
    [(True, ":0", "", True), (False, ":0", "", False), (True, "", "", False), (True, ":0", "true", False)],
)
def test_only_where_somebody_sits(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, display: str, ci: str, expected: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    for name, value in (("DISPLAY", display), ("WAYLAND_DISPLAY", ""), ("CI", ci)):
        monkeypatch.setenv(name, value)
    assert browser.somebody_is_there() == expected
