"""What all of HTTP has in common: who is let in, which headers an answer carries, and how much of a body is read."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from stream_adapter.page.access import Access

_HEADERS = {
    # Nothing but this origin's own files; no inline script, no form that leaves, no frame around it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}

Handler = Callable[[Request], Awaitable[Response]]


def guarded(access: Access, handler: Handler, *, open_to_all: bool = False) -> Handler:
    """Check who asks, and by which name, before `handler`; send the security headers with every answer."""

    async def answer(request: Request) -> Response:
        if not access.knows_host(request.headers.get("host", "")):
            return _refusal(421, "this is not served under that name; add it to `page.hosts`")
        if access.private and not open_to_all and not access.is_token(request.headers.get("authorization", "")):
            return _refusal(401, "the token is missing or wrong")
        try:
            return await handler(request)
        except HTTPException as error:
            return _refusal(error.status_code, error.detail, error.headers)

    async def with_headers(request: Request) -> Response:
        response = await answer(request)
        response.headers.update(_HEADERS)
        return response

    return with_headers


def _refusal(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"error": reason}, status, {"WWW-Authenticate": "Bearer"} if status == 401 else headers)


async def read_body(request: Request, most: int) -> bytes:
    """A body of at most so many bytes.

    Raises:
        HTTPException: 413, there are more; 400, the connection ended before they were all here.
    """
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise HTTPException(413, f"more than {most:,} bytes")
            pieces.append(piece)
    except ClientDisconnect:  # nobody is there to read it, and no fault of this worker
        raise HTTPException(400, "the connection ended within the body") from None
    return b"".join(pieces)


async def read_json(request: Request, most: int) -> Any:
    """What a body of at most so many bytes says.

    Raises:
        HTTPException: 413, there are more; 400, it is not JSON, or not all of it came.
    """
    return parsed(await read_body(request, most))


def parsed(body: bytes) -> Any:
    """What a body says.

    Raises:
        HTTPException: 400, it is not JSON.
    """
    try:
        return orjson.loads(body)  # refuses halves of characters, which nothing can write
    except orjson.JSONDecodeError:
        raise HTTPException(400, "the body is not JSON") from None
