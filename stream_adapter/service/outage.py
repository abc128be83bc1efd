"""`Outage`: what is said, and how long is waited, while the transport does not answer."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from stream_adapter.errors import Unreachable
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health

log = structlog.get_logger(__name__)

_SAY_EVERY_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0

T = TypeVar("T")


class Outage:
    """Tells people, and readiness, of a transport that does not answer: at once, every minute, and when it is over."""

    def __init__(self, health: Health, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._since: float | None = None
        self._say_at = 0.0

    def report(self, trouble: str | None) -> None:
        """Take in why there is no answer at this moment; None where there is one."""
        now = self._clock()
        self._health.set("transport_answers", trouble is None)
        self._metrics.silent.set(0.0 if trouble is None or self._since is None else now - self._since)
        if trouble is None:
            if self._since is not None:
                log.info("the transport answers again", after_s=round(now - self._since))
            self._since = None
            return
        if self._since is None:
            self._since = self._say_at = now
        if now >= self._say_at:
            self._say_at = now + _SAY_EVERY_S
            log.warning("no answer, still trying", for_s=round(now - self._since), error=trouble)

    def wait_out(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer, with growing pauses; for the start, which nothing can be done without."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                answer = ask()
            except Unreachable as error:
                self.report(str(error))
            else:
                self.report(None)
                return answer
            self._health.progress()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
