"""The page over HTTP: what is served, to whom, and with which precautions; docs/page.md describes the API."""

import asyncio
import re
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from stream_adapter.errors import EventError, TransportError
from stream_adapter.page.gallery import LIMIT, anchors_of, chosen, classes_of
from stream_adapter.page.history import SPANS
from stream_adapter.page.http import Handler, guarded, read_json
from stream_adapter.page.labelling import Labelling
from stream_adapter.page.page import Page
from stream_adapter.page.pictures import STRIP
from stream_adapter.page.requests import Busy

log = structlog.get_logger(__name__)

CUSTOM_HEADER = "x-stream-adapter"
"""What a request that changes something must carry: a page of another origin cannot send it without being asked."""

_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_BODY_BYTES = 64 * 1024
_IDS = 500
_TEXT = 200
_WAIT_S = 10.0
_ANCHOR_ID = re.compile(r"[0-9a-f]{32}")
T = TypeVar("T")


def page_routes(page: Page) -> list[BaseRoute]:
    """The page's routes.

    Answers 421 to a foreign `Host`, 401 without the token where it is needed, 403 where nobody may change anything or
    the custom header is missing, 400 and 413 to requests that make no sense, 404 where no event waits for labels, 409
    where anchors have come or gone meanwhile, 503 while the worker does not come to it.
    """
    api = _Api(page)
    files = {path.name: path for path in _STATIC.iterdir() if path.suffix in _TYPES}
    return [
        Route("/", guarded(page.access, _file(files["index.html"]), open_to_all=True)),
        *(Route(f"/page/{name}", guarded(page.access, _file(path), open_to_all=True)) for name, path in files.items()),
        Route("/api/live", guarded(page.access, api.live)),
        Route("/api/classes", guarded(page.access, api.classes)),
        Route("/api/anchors", guarded(page.access, api.anchors)),
        Route("/api/thumbnails", guarded(page.access, api.thumbnails)),
        Route("/api/anchors/forget", guarded(page.access, api.forget), methods=["POST"]),
        Route("/api/labels", guarded(page.access, api.next)),
        Route("/api/labels", guarded(page.access, api.label), methods=["POST"]),
    ]


def _file(path: Path) -> Handler:
    content = path.read_bytes()  # read once: no path of a request ever reaches the file system

    async def send(request: Request) -> Response:
        return Response(content, media_type=_TYPES[path.suffix])

    return send


class _Api:
    """The JSON answers."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def live(self, request: Request) -> Response:
        span = _text(request, "span") or SPANS[0].name
        if span not in {known.name for known in SPANS}:
            raise HTTPException(400, f"`span` must be one of {', '.join(known.name for known in SPANS)}")
        return JSONResponse(
            self._page.live(
                span,
                after_ms=_number(request, "after", 0),
                picture=_number(request, "picture", 0),
                alarm=_number(request, "alarm", 0),
                limit=min(STRIP, _number(request, "limit", STRIP)),
            )
        )

    async def classes(self, request: Request) -> Response:
        view = await _soon(self._page.requests.view())
        return JSONResponse(await run_in_threadpool(classes_of, view))

    async def anchors(self, request: Request) -> Response:
        label, search = _text(request, "label") or None, _text(request, "search")
        limit, suspicious = min(LIMIT, _number(request, "limit", LIMIT)), _number(request, "suspicious", 0) > 0
        view = await _soon(self._page.requests.view(vectors=suspicious))
        # Away from the loop that answers whether the worker is alive: a search looks at every anchor.
        pictures, moved = self._page.pictures, self._page.moved if suspicious else None
        found = await run_in_threadpool(
            anchors_of, view, pictures, label=label, search=search, limit=limit, moved=moved
        )
        return JSONResponse(found)

    async def thumbnails(self, request: Request) -> Response:
        ids = [one for one in request.query_params.get("ids", "").split(",") if _ANCHOR_ID.fullmatch(one)]
        return JSONResponse(self._page.pictures.of(ids[:STRIP]))

    async def forget(self, request: Request) -> Response:
        self._may_change(request)
        ids = await self._meant(await read_json(request, _BODY_BYTES))
        try:
            forgotten = await _soon(self._page.requests.forget(ids))
        except Busy:
            raise HTTPException(503, "the worker does not come to it; see its state") from None
        log.info("anchors forgotten by way of the page", asked=len(ids), forgotten=len(forgotten))
        return JSONResponse({"forgotten": list(forgotten)})

    async def next(self, request: Request) -> Response:
        number = min(LIMIT, _number(request, "limit", LIMIT))
        return JSONResponse({"events": await run_in_threadpool(self._labelling.next, self._page.pictures, number)})

    async def label(self, request: Request) -> Response:
        self._may_change(request)
        document = await read_json(request, _BODY_BYTES)
        try:
            label = await run_in_threadpool(self._labelling.label, document)
        except EventError as error:
            raise HTTPException(400, str(error)) from None
        except TransportError as error:
            raise HTTPException(503, str(error)) from None
        return JSONResponse({"label": label})

    @property
    def _labelling(self) -> Labelling:
        if self._page.labelling is None:
            raise HTTPException(404, "no event waits for a label here, or the worker is still starting")
        return self._page.labelling

    def _may_change(self, request: Request) -> None:
        access = self._page.access
        if not access.changes:
            raise HTTPException(403, "this page is read-only; `page.mode: full` with a `page.token` lets it change")
        if not access.is_token(request.headers.get("authorization", "")):
            raise HTTPException(401, "the token is missing or wrong")
        if CUSTOM_HEADER not in request.headers:
            raise HTTPException(403, f"the header `{CUSTOM_HEADER}` is missing")
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise HTTPException(403, "a page of another origin may not ask for this")

    async def _meant(self, document: Any) -> list[str]:
        """The ids that a request names, or those that its filter leaves, where they are as many as somebody saw."""
        if not isinstance(document, dict) or "found" not in document:
            return _ids(document)
        label, search = document.get("label") or None, document.get("search") or ""
        if not (label or search) or not all(isinstance(one, str) for one in (label or "", search)):
            raise HTTPException(400, "`label` or `search` must say which anchors are meant")
        view = await _soon(self._page.requests.view())
        slots = (await run_in_threadpool(chosen, view, label=label, search=search)).tolist()
        if len(slots) != document["found"]:
            raise HTTPException(409, f"there are {len(slots)} such anchors by now, not {document['found']!r:.20}")
        return [view.anchors.ids[slot] for slot in slots]


async def _soon(future: Future[T]) -> T:
    """What the adapter's thread answers."""
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), _WAIT_S)
    except TimeoutError:
        raise HTTPException(503, f"the worker did not come to it within {_WAIT_S:g} s; see its state") from None


def _ids(document: Any) -> list[str]:
    ids = document.get("ids") if isinstance(document, dict) else None
    if not isinstance(ids, list) or not 0 < len(ids) <= _IDS:
        raise HTTPException(400, f"`ids` must be a list of 1 to {_IDS} anchor ids")
    if not all(isinstance(one, str) and _ANCHOR_ID.fullmatch(one) for one in ids):
        raise HTTPException(400, "an anchor id is 32 hexadecimal digits")
    return ids


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise HTTPException(400, f"`{name}` must be a whole number")
    return int(text)


def _text(request: Request, name: str) -> str:
    text = request.query_params.get(name, "")
    if len(text) > _TEXT:
        raise HTTPException(400, f"`{name}` is longer than {_TEXT} characters")
    return text
