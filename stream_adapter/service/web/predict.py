"""`POST /predict` and what belongs to it; docs/http.md describes it, `openapi.json` in the words of machines."""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from stream_adapter import __version__
from stream_adapter.errors import EventError
from stream_adapter.events import EMBEDDING, PredictionDocument
from stream_adapter.events.payloads import from_numbers, from_picture, looks_like_json, media_type
from stream_adapter.events.reference import Reference
from stream_adapter.metrics import Metrics
from stream_adapter.page.access import Access
from stream_adapter.page.gallery import LIMIT, anchors_of, classes_of
from stream_adapter.page.http import guarded, parsed, read_body, read_json
from stream_adapter.page.pictures import Pictures
from stream_adapter.page.requests import Busy, View
from stream_adapter.service.web.answering import Answering, Asked

OPENAPI = Path(__file__).with_name("openapi.json")
_WAIT_S = 10.0


class PredictApi:
    """The handlers.

    Args:
        answering: answers.
        access: who may ask.
        metrics: outcomes and latency.
        max_bytes: of a picture; a body of JSON may have twice as many.
    """

    def __init__(self, answering: Answering, access: Access, metrics: Metrics, max_bytes: int) -> None:
        self._answering = answering
        self.access = access
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._none = Pictures(0, with_pictures=False)
        self._openapi = json.loads(OPENAPI.read_text())
        self._openapi["info"]["version"] = __version__

    @property
    def version(self) -> str:
        """What answers, as far as its encoder and its classes go."""
        return f"{self._answering.encoder}-{self._answering.vocabulary}"

    @property
    def max_batch(self) -> int:
        """How many pictures may be asked about at once."""
        return self._answering.settings.max_batch

    def routes(self) -> list[BaseRoute]:
        """All of them; each answers 401 without the token where it is needed, and 421 to a foreign `Host`."""
        access = self.access
        return [
            Route("/predict", guarded(access, self.predict), methods=["POST"]),
            Route("/classes", guarded(access, self.classes)),
            Route("/anchors", guarded(access, self.anchors)),
            Route("/openapi.json", guarded(access, self.openapi, open_to_all=True)),
        ]

    async def predict(self, request: Request) -> Response:
        """One picture or vector as the body, or a few of them as JSON."""
        began_s = time.monotonic()
        outcome = "refused"
        try:
            asked, single = await self._asked(request)
            answers = await self.answers(asked)
            outcome = "answered"
        except HTTPException as error:
            outcome = "busy" if error.status_code == 503 else "refused"
            raise
        finally:
            self._metrics.http_predictions.labels(outcome=outcome).inc()
            self._metrics.http_latency.observe(time.monotonic() - began_s)
        if single and isinstance(answers[0], EventError):
            raise HTTPException(422, str(answers[0]))
        said = [{"error": str(one)} if isinstance(one, EventError) else one for one in answers]
        return JSONResponse(said[0] if single else {"predictions": said})

    async def answers(self, asked: Sequence[Asked]) -> list[PredictionDocument | EventError]:
        """What is said about these.

        Raises:
            HTTPException: 503, nobody comes to it.
        """
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self._answering.ask(asked)), _WAIT_S)
        except Busy as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None
        except TimeoutError:
            raise HTTPException(503, f"no answer within {_WAIT_S:g} s", {"Retry-After": "1"}) from None

    async def classes(self, request: Request) -> Response:
        """What each class is taken for."""
        view = await self._view()
        versions = {"encoder": self._answering.encoder, "vocabulary": view.vocabulary}
        return JSONResponse(versions | await run_in_threadpool(classes_of, view))

    async def anchors(self, request: Request) -> Response:
        """The newest anchors, of a class or of all."""
        label, limit = request.query_params.get("label"), request.query_params.get("limit", str(LIMIT))
        if not re.fullmatch(r"[0-9]{1,4}", limit):
            raise HTTPException(400, "`limit` must be a whole number below 10,000")
        view = await self._view()
        found = await run_in_threadpool(anchors_of, view, self._none, label=label, search="", limit=int(limit))
        for anchor in found["anchors"]:
            del anchor["picture"]
        return JSONResponse(found)

    async def openapi(self, request: Request) -> Response:
        """The description of all this."""
        return JSONResponse(self._openapi)

    async def _view(self) -> View:
        try:
            return await run_in_threadpool(self._answering.view)
        except Busy as error:
            raise HTTPException(503, str(error), {"Retry-After": "1"}) from None

    async def _asked(self, request: Request) -> tuple[list[Asked], bool]:
        """What is asked, and whether it was one body."""
        kind = media_type(request.headers.get("content-type", ""))
        if kind == "application/json":
            document = await read_json(request, 2 * self._max_bytes)
        else:
            body = await read_body(request, self._max_bytes)
            fingerprint = request.query_params.get("fingerprint")
            if kind == EMBEDDING and not fingerprint:
                raise HTTPException(400, "a vector needs `?fingerprint=`: its encoder, as `/classes` names ours")
            if kind == EMBEDDING or not looks_like_json(body):
                return [Asked(body, kind, fingerprint)], True
            document = parsed(body)  # `curl -d` calls it a form
        most = self._answering.settings.max_batch
        instances = document.get("instances") if isinstance(document, dict) else None
        if not isinstance(instances, list) or not 0 < len(instances) <= most:
            raise HTTPException(400, f"`instances` must be a list of 1 to {most}: `predict.max_batch`")
        return [_instance(number, one) for number, one in enumerate(instances)], False


def _instance(number: int, one: Any) -> Asked:
    """`{"picture": base64}`, `{"reference": URL}`, or `{"vector": [numbers], "fingerprint": text}`."""
    given = one if isinstance(one, dict) else {}
    picture, vector, fingerprint = (given.get(name) for name in ("picture", "vector", "fingerprint"))
    try:
        if isinstance(given.get("reference"), str) and picture is None and vector is None:
            return Asked(b"", reference=Reference.parse(given["reference"]))
        if isinstance(picture, str) and vector is None:
            return Asked(from_picture(picture, "`picture`")[1])
        if isinstance(vector, list) and picture is None and isinstance(fingerprint, str):
            return Asked(from_numbers(vector, "`vector`"), EMBEDDING, fingerprint)
    except EventError as error:
        raise HTTPException(400, f"`instances[{number}]` cannot be read: {error}") from None
    raise HTTPException(
        400, f"`instances[{number}]` needs a `picture` in base64, a `reference`, or a `vector` and a `fingerprint`"
    )
