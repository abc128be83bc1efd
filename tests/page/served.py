"""A page over HTTP in front of a real adapter whose owner is a thread of the test."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.config import PageConfig
from stream_adapter.journey.outcome import Outcome
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.page.access import Access
from stream_adapter.page.page import Facts, Page
from stream_adapter.page.requests import View
from stream_adapter.page.routes import page_routes
from stream_adapter.service.health import Health
from stream_adapter.service.web.server import HttpServer, build_app
from stream_adapter.transport.base import Record
from stream_adapter.transport.memory import IMAGES
from tests.fakes import make_processor

TOKEN = "0123456789abcdef-token"


class Served:
    """Ask it with `get` and `post`; `feed` sends events through the processor."""

    def __init__(self, host: str, config: PageConfig) -> None:
        self.metrics = Metrics()
        self.health = Health(10.0, time.monotonic)
        self.page = Page(config, Access.of(config, host), self.metrics, lambda: self.health.state)
        self.processor: Processor = make_processor(metrics=self.metrics, observer=self.page)
        self.page.vocabulary = "vocabulary"
        self.page.open(Facts("encoder"), lambda vectors: View.of(self.processor.parts, vectors=vectors))
        self.server = HttpServer(build_app(self.metrics, self.health, page_routes(self.page)), "127.0.0.1", 0)
        self.outcomes: list[Outcome] = []
        self._offset = 0
        self._ended = threading.Event()
        self._owner = threading.Thread(target=self._turns)
        self._lock = threading.Lock()

    def _turns(self) -> None:
        while not self._ended.wait(0.01):
            with self._lock:
                self._commit(self.processor.apply((), owned=EVERYTHING))

    def _commit(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        outcome.report(self.metrics)

    def start(self) -> None:
        self.page.start()
        self.server.start()
        self._owner.start()

    def stop(self) -> None:
        self._ended.set()
        self._owner.join()
        self.page.stop()
        self.server.stop()

    def feed(self, *events: dict[str, Any]) -> None:
        """Events as `tests.fakes.picture` makes them."""
        records = []
        for one in events:
            records.append(Record(IMAGES, self._offset, 0, one["key"], one["value"], one["headers"]))
            self._offset += 1
        with self._lock:
            self._commit(self.processor.finish(self.processor.encode(self.processor.prepare(records))))

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, JSON or text, headers. A header's `_` stands for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            content = answer.read().decode()
            is_json = answer.headers.get_content_type() == "application/json"
            return answer.status, json.loads(content) if is_json else content, answer.headers
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Any:
        """The answer to a request that is answered."""
        status, answer, _ = self.request("GET", path, **headers)
        assert status == 200, answer
        return answer

    def forget(self, ids: Any, token: str | None = TOKEN, **headers: str) -> tuple[int, Any]:
        """Ask to forget, as the page does."""
        wanted = {"x_stream_adapter": "page", "content_type": "application/json", **headers}
        if token is not None:
            wanted["authorization"] = f"Bearer {token}"
        status, answer, _ = self.request("POST", "/api/anchors/forget", json.dumps({"ids": ids}).encode(), **wanted)
        return status, answer


@contextmanager
def served(host: str = "127.0.0.1", **config: Any) -> Iterator[Served]:
    """Serve a page as it would be on `service.host` `host`; it always listens on loopback."""
    one = Served(host, PageConfig.model_validate(config))
    one.start()
    try:
        yield one
    finally:
        one.stop()
