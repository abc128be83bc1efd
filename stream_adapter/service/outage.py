"""`Outage`: what is said while the transport does not answer."""

from collections.abc import Callable

import structlog

from stream_adapter.service.health import Health

log = structlog.get_logger(__name__)

_SAY_EVERY_S = 60.0


class Outage:
    """Tells people, and readiness, of a transport that does not answer: at once, every minute, and when it is over."""

    def __init__(self, health: Health, clock: Callable[[], float]) -> None:
        self._health = health
        self._clock = clock
        self._since: float | None = None
        self._say_at = 0.0

    def report(self, trouble: str | None) -> None:
        """Take in why there is no answer at this moment; None where there is one."""
        now = self._clock()
        self._health.set("transport_answers", trouble is None)
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
