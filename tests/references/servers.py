"""A real HTTP server on loopback that keeps pictures, and others that only make trouble."""

import contextlib
import gzip
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from stream_adapter.config import ReferencesConfig
from stream_adapter.metrics import Metrics
from stream_adapter.references import References

PICTURE = b"cat 1"
MAX_BYTES = 100_000


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "PictureServer"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.server.asked[path] += 1
        with contextlib.suppress(OSError):  # who asked may have gone
            getattr(self, "_" + path.strip("/").partition("/")[0].replace("-", "_"), self._missing)(unquote(query))

    def _answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _missing(self, _: str) -> None:
        self._answer(b"", 404)

    def _cat(self, _: str) -> None:
        self._answer(PICTURE)

    def _number(self, query: str) -> None:
        time.sleep(0.02 * (int(query) % 5))  # so that they do not come in order by themselves
        self._answer(f"cat {query}".encode())

    def _redirect(self, query: str) -> None:
        self._answer(b"", 302, Location=query)

    def _status(self, query: str) -> None:
        self._answer(b"", int(query))

    def _flaky(self, _: str) -> None:
        """Twice in trouble, then well."""
        self._answer(*((PICTURE,) if self.server.asked["/flaky"] > 2 else (b"", 503)))

    def _drip(self, _: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self._slowly(b"x" * 1000)

    def _drip_headers(self, _: str) -> None:
        self._slowly(b"HTTP/1.1 200 OK\r\n" + b"X-More: x\r\n" * 1000)

    def _drip_endless(self, _: str) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._slowly(b"1\r\nx\r\n" * 1000)

    def _slowly(self, data: bytes) -> None:
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.closed.wait(0.05):
                return

    def _hang(self, _: str) -> None:
        self.server.closed.wait(30)

    def _bomb(self, _: str) -> None:
        self._answer(gzip.compress(b"\x00" * 50_000_000), Content_Encoding="gzip")

    def _large(self, _: str) -> None:
        self._answer(b"x" * (MAX_BYTES + 1))

    def _endless(self, _: str) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        for _ in range(10_000):
            self.wfile.write(b"x" * 10_000)

    def _torn(self, _: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x")
        self.close_connection = True

    def _nonsense(self, _: str) -> None:
        self.wfile.write(b"220 ftp.example.com ready\r\n")
        self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        pass


class PictureServer(ThreadingHTTPServer):
    """Counts what it is asked for, by path."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: Counter[str] = Counter()
        self.closed = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def picture_server() -> Iterator[PictureServer]:
    """The server, as long as it is needed."""
    server = PictureServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closed.set()
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def references(*allow: str, networks: tuple[str, ...] = (), **settings: float) -> Iterator[References]:
    """What fetches by this list."""
    values = {"timeout_s": 2.0, "total_s": 2.0} | settings
    config = ReferencesConfig.model_validate({"allow": allow, "networks": networks, **values})
    fetching = References(config, max_bytes=MAX_BYTES, metrics=Metrics())
    try:
        yield fetching
    finally:
        fetching.close()
