"""Predictions over HTTP in front of a real processor; fakes embed."""

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stream_adapter.config import PageConfig, PredictConfig
from stream_adapter.errors import UndecodableImage
from stream_adapter.metrics import Metrics
from stream_adapter.page.access import Access
from stream_adapter.service.health import Health
from stream_adapter.service.web.answering import Answering
from stream_adapter.service.web.predict import PredictApi
from stream_adapter.service.web.server import HttpServer, build_app
from stream_adapter.transport.base import Record
from stream_adapter.transport.memory import IMAGES
from tests.fakes import FakeEncoder, make_processor

TOKEN = "0123456789abcdef-token"


class Encoder(FakeEncoder):
    """One that cannot read everything, and waits when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.decoding, self.decoded = threading.Event(), threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def prepare(self, data: bytes, content_type: str) -> Any:
        if data == b"broken":
            raise UndecodableImage("these 6 bytes are no picture")
        if data == b"slow":
            self.decoding.set()
            assert self.decoded.wait(20)
            return super().prepare(b"cat 2", content_type)
        if data == b"fatal":
            raise ZeroDivisionError("in a decoder")
        return super().prepare(data, content_type)

    def encode(self, prepared: Any) -> Any:
        assert self.go_on.wait(10)
        return super().encode(prepared)


class Served:
    def __init__(self, **config: Any) -> None:
        predict = PredictConfig.model_validate(config)
        self.metrics = Metrics()
        self.encoder = Encoder()
        self.processor = make_processor(encoder=self.encoder, metrics=self.metrics)
        self.answering = Answering(predict, self.metrics)
        access = Access.of_predictions(predict, PageConfig(), "127.0.0.1")
        api = PredictApi(self.answering, access, self.metrics, max_bytes=10_000)
        app = build_app(self.metrics, Health(10.0, time.monotonic), api.routes())
        self.server = HttpServer(app, "127.0.0.1", 0)
        self.decoders = ThreadPoolExecutor(2)
        self.server.start()

    def open(self) -> None:
        self.answering.open(self.encoder, self.processor, self.decoders)

    def stop(self) -> None:
        self.encoder.go_on.set()
        self.encoder.decoded.set()
        self.answering.stop()
        self.server.stop()
        self.decoders.shutdown()

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), answer.headers
        finally:
            connection.close()

    def batch(self, *instances: Any) -> tuple[int, Any, Any]:
        return self.request(
            "POST", "/predict", json.dumps({"instances": instances}).encode(), content_type="application/json"
        )

    def stream(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        """What the stream says about events; it learns them, too."""
        records = [
            Record(IMAGES, place, 0, one["key"], one["value"], one["headers"]) for place, one in enumerate(events)
        ]
        outcome = self.processor.finish(self.processor.encode(self.processor.prepare(records)))
        return [json.loads(one.value or b"") for one in outcome.commit.outputs if one.channel == "predictions"]
