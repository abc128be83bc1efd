"""The worker's HTTP side.

`/metrics`, `/startupz` (restored), `/healthz` (loop progress), `/readyz` (able to do its job), and the live page.
"""

import errno
import re
import socket
import threading
from collections.abc import Sequence

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from stream_adapter.errors import TransportError
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.web.connections import BoundedServer

# Of a version that is no version, `choose_encoder` makes an error.
_NO_VERSION = re.compile(r";\s*version=(?![0-9]{1,4}(\.[0-9]{1,4}){0,3}\s*([;,]|$))[^;,]*")


def build_app(metrics: Metrics, health: Health, page: Sequence[BaseRoute] = ()) -> Starlette:
    """The ASGI application; answers 200 or 503 on the health routes, with the reason as JSON."""

    async def startupz(request: Request) -> JSONResponse:
        seconds = round(health.seconds_without_progress, 3)
        body = {"started": health.started, "seconds_without_progress": seconds}
        return JSONResponse(body, 200 if health.started else 503)

    async def healthz(request: Request) -> JSONResponse:
        seconds = round(health.seconds_without_progress, 3)
        return JSONResponse({"alive": health.alive, "seconds_without_progress": seconds}, 200 if health.alive else 503)

    async def readyz(request: Request) -> JSONResponse:
        missing = health.missing
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    async def show_metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(_NO_VERSION.sub("", request.headers.get("accept", "")))
        return Response(encode(metrics.registry), headers={"content-type": content_type})

    return Starlette(
        routes=[
            Route("/startupz", startupz),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", show_metrics),
            *page,
        ]
    )


class HttpServer:
    """Serves the application from a thread of its own."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # Bound here and not in the thread, so that a port in use stops the worker before it starts, and listening,
            # so that whoever asks while the thread starts is answered a moment later.
            self._socket.bind((host, port))
            self._socket.listen()
        except OSError as error:
            self._socket.close()
            wrong_host = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
            advice = "`service.host` to an address of this machine"
            if not wrong_host:
                advice = "`service.port` to a free port, or 0 for any"
            raise TransportError(f"cannot listen on {host}:{port}: {error.strerror}; set {advice}") from error
        self.port: int = self._socket.getsockname()[1]
        self._server = BoundedServer(app)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the serving thread runs; the worker goes down with it."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop answering and join the thread."""
        self._server.should_exit = True
        self._thread.join(timeout=5.0)
        self._socket.close()
