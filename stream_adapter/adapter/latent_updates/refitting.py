"""When the maps are fitted again, and how the result comes back to the owner's thread."""

from collections.abc import Callable
from concurrent.futures import Executor, Future

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.latent_updates.maps import Fitted
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import RefitConfig


class Refitting:
    """Decides when to refit, and keeps at most one fit under way.

    A fit is due after `every_labels` changes, or when the oldest change is `max_age_s` old; without a clock whenever
    something has changed. Changes that come during a fit count for the next one, and after a fit it rests for as long
    as that took, so that fits never take more than half of a core.

    Args:
        config: when.
        context: clock and background.
    """

    def __init__(self, config: RefitConfig, context: LearnerContext) -> None:
        self._every = config.every_labels
        self._max_age_s = config.max_age_s
        self._clock = context.clock
        background = context.background if config.background else None
        self._executor: Executor = background or InlineExecutor()
        self._changes = 0
        self._in_flight = 0
        self._oldest_s: float | None = None
        self._running: Future[Fitted] | None = None
        self._started_s = 0.0
        self._resting_until_s = float("-inf")

    @property
    def changes(self) -> int:
        """Changes that no fit that is finished knows."""
        return self._changes + self._in_flight

    def changed(self, count: int, up_to_date: bool) -> None:
        """So many anchors came or went.

        Args:
            count: how many.
            up_to_date: whether the fit in force is one to the anchors of now, as after a restore.
        """
        self._changes = 0 if up_to_date else self._changes + count

    def abandon(self) -> None:
        """What is under way, if anything, is of no use any more."""
        self._changes, self._in_flight, self._running = self._changes + self._in_flight, 0, None

    def maintain(self, up_to_date: bool, take: Callable[[], Callable[[], Fitted]]) -> Fitted | None:
        """Start what is due; the result of what is done, or None.

        Args:
            up_to_date: as in `changed`.
            take: takes what a fit needs, in the caller's thread, and returns the work.

        Raises:
            BaseException: whatever the fit raised; its changes are still to be fitted.
        """
        now_s = 0.0 if self._clock is None else self._clock()
        finished = self._collect()
        if finished is not None:
            self._resting_until_s = now_s + (now_s - self._started_s)
        elif self._running is None:
            self._changes = 0 if up_to_date else max(1, self._changes)
        self._oldest_s = None if not self._changes else now_s if self._oldest_s is None else self._oldest_s
        if self._running is not None or now_s < self._resting_until_s or finished is not None or not self._due(now_s):
            return finished
        work = take()
        self._in_flight, self._changes, self._oldest_s = self._changes, 0, None
        self._started_s = now_s
        self._running = self._executor.submit(work)
        return self._collect()

    def _due(self, now_s: float) -> bool:
        if self._oldest_s is None:
            return False
        return self._clock is None or self._changes >= self._every or now_s - self._oldest_s >= self._max_age_s

    def _collect(self) -> Fitted | None:
        if self._running is None or not self._running.done():
            return None
        running, self._running = self._running, None
        waiting, self._in_flight = self._in_flight, 0
        try:
            return running.result()
        except BaseException:
            self._changes += waiting
            raise
