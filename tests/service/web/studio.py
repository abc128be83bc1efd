"""The backend of Label Studio in front of a real processor; fakes embed."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import ASGIApp

from stream_adapter.config import LabelStudioConfig, PageConfig
from stream_adapter.page.access import Access
from stream_adapter.service.health import Health
from stream_adapter.service.web.label_studio import LabelStudio
from stream_adapter.service.web.predict import PredictApi
from stream_adapter.service.web.server import HttpServer, build_app
from stream_adapter.transport.base import OutRecord
from tests.service.web.served import TOKEN, Served

CONFIG = """<View>
  <Image name="shot" value="$image"/>
  <Choices name="animal" toName="shot"><Choice value="cat"/><Choice value="dog"/></Choices>
</View>"""
PASSWORD = "Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode()


class Studio(Served):
    def __init__(self, around: Callable[[ASGIApp], Any] = lambda app: app) -> None:
        super().__init__()
        self.server.stop()
        self.written: list[dict[str, Any]] = []
        self.trouble: Exception | None = None
        access = Access.of_predictions(LabelStudioConfig.model_validate({"token": TOKEN}), PageConfig(), "127.0.0.1")
        api = PredictApi(self.answering, access, self.metrics, max_bytes=10_000)
        app = build_app(self.metrics, Health(10.0, lambda: 0.0), LabelStudio(api, self._write).routes())
        self.server = HttpServer(around(app), "127.0.0.1", 0)
        self.server.start()
        self.open()

    def _write(self, outputs: Sequence[OutRecord]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.written += [json.loads(one.value or b"") | {"channel": one.channel} for one in outputs]

    def say(self, path: str, document: Any, authorization: str = PASSWORD) -> tuple[int, Any]:
        body = json.dumps(document).encode()
        return self.request("POST", f"/label-studio/{path}", body, authorization=authorization)[:2]
