"""How many connections may be open at once, and how long each may keep its place.

Every connection holds a file descriptor, and a worker that has none left can reach neither Kafka nor its disk.
"""

import asyncio
import errno
import resource
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from stream_adapter.throttled_log import ThrottledLog

log = structlog.get_logger(__name__)

HEAD_S = 10.0
"""For the head of a request, from when the connection is made or the last answer is written."""
SILENCE_S = 10.0
"""Within a body without a byte of it."""
BODY_S = 120.0
"""For all of a body."""
UNREAD_S = 30.0
"""For an answer of which nothing is taken."""

_MOST, _FEWEST = 256, 8
_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_say = ThrottledLog(lambda event, **facts: log.warning(event, **facts))  # as logs are configured by then


def most_connections() -> int:
    """How many may be open at once: a quarter of the descriptors that this process may have, and no more than 256."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if limit == resource.RLIM_INFINITY else max(_FEWEST, min(_MOST, limit // 4))


class BoundedProtocol(H11Protocol):
    """A connection that gives its place up when its other side does nothing with it.

    A request that is complete is answered however long it takes.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._received = 0
        self._asked: RequestResponseCycle | None = None
        self._stage, self._since_s = "head", self.loop.time()
        self._moved, self._moved_s = (0, 0), self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Where all places are taken the one goes that has been waited for the longest, or else this one."""
        taken = [one for one in self.connections if isinstance(one, BoundedProtocol) and not one.transport.is_closing()]
        if len(taken) >= most_connections():
            now_s = self.loop.time()
            waiting = [one for one in taken if one.stage(now_s) != "answer"]
            _say("too many open connections; closed one", open=len(taken), asked_for_nothing=len(waiting))
            if not waiting:
                transport.abort()
                return
            min(waiting, key=lambda one: one._since_s).transport.abort()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is to be tidied up of one that was refused."""
        if self.transport is not None:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        self._received += len(data)
        super().data_received(data)

    def stage(self, now_s: float) -> str:
        """What is under way: `head` and `body` are the other side's to send, `answer` is ours."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            stage = "head"
        else:
            stage = "body" if cycle.more_body and not self.flow.read_paused else "answer"
        if (cycle, stage) != (self._asked, self._stage):
            self._asked, self._stage, self._since_s = cycle, stage, now_s
        return stage

    def close_if_idle(self, now_s: float) -> None:
        """Close it when its time is over; called every second."""
        stage, moved = self.stage(now_s), (self._received, self.transport.get_write_buffer_size())
        if moved != self._moved:
            self._moved, self._moved_s = moved, now_s
        since_s, silent_s = now_s - self._since_s, now_s - self._moved_s
        if moved[1]:
            idle = silent_s > UNREAD_S
        elif stage == "head":
            idle = since_s > HEAD_S
        else:
            idle = stage == "body" and (since_s > BODY_S or min(since_s, silent_s) > SILENCE_S)
        if idle:
            self.transport.abort()


class BoundedServer(uvicorn.Server):
    """Looks after its connections."""

    def __init__(self, app: Any) -> None:
        # So many are accepted before the first of them is looked at, a few times over.
        backlog = max(_FEWEST, most_connections() // 4)
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                backlog=backlog,
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
            )
        )

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        loop = asyncio.get_running_loop()
        if counter == 0:
            loop.set_exception_handler(_handle)
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedProtocol):
                    connection.close_if_idle(loop.time())
        return await super().on_tick(counter)


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Without a descriptor asyncio says so for each connection that waits, every second."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        _say("could not accept a connection", error=error.strerror or str(error))
    else:
        loop.default_exception_handler(context)
