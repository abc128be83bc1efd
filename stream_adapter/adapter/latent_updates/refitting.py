"""When the maps are fitted again, and how the result comes back to the owner's thread."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import ParamSpec, TypeVar

from stream_adapter.adapter.fitting import FitProblem, Fitted, solve
from stream_adapter.config import RefitConfig

P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(Executor):
    """Runs everything at once, in the caller's thread: background work becomes deterministic."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call and keep the outcome."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - handed on to whoever asks for the result
            future.set_exception(error)
        return future


class Refitting:
    """Decides when to refit, and keeps at most one piece of work under way.

    A refit is due after `every_labels` changes, or when the oldest change is `max_age_s` old. Changes that come during
    a fit count for the next one. New evidence of the traffic asks for no fit: what depends on it alone is done again,
    as soon as nothing else is under way.

    Args:
        config: when.
    """

    def __init__(self, config: RefitConfig) -> None:
        self._every = config.every_labels
        self._max_age_s = config.max_age_s
        self._inline = None if config.background else InlineExecutor()
        self._changes = 0
        self._in_flight = 0
        self._evidence = 0
        self._evidence_in_flight = 0
        self._oldest_s: float | None = None
        self._running: Future[Fitted] | None = None
        self._started_s = 0.0
        self._resting_until_s = float("-inf")

    @property
    def changes(self) -> int:
        """Changes that nothing in force knows yet."""
        return self._changes + self._in_flight + self._evidence + self._evidence_in_flight

    def changed(self, count: int) -> None:
        """So many anchors were added, replaced or removed."""
        self._changes += count

    def evidence_changed(self) -> None:
        """The traffic says something else."""
        self._evidence += 1

    def evidence_taken_in(self) -> None:
        """What the traffic says is in force already."""
        self._evidence = 0

    def maintain(
        self,
        executor: Executor,
        now_s: float,
        problem: Callable[[], FitProblem],
        adjusted: Callable[[], Callable[[], Fitted]],
    ) -> Fitted | None:
        """Start what is due; the result of what is done, or None.

        Args:
            executor: for background work.
            now_s: the caller's clock, seconds, monotonic.
            problem: takes what a fit needs, in the caller's thread.
            adjusted: takes what is needed to adjust the fit in force to new evidence, and returns that work.

        Raises:
            BaseException: whatever the work raised.
        """
        finished = self._collect()
        if finished is not None:
            self._resting_until_s = now_s + (now_s - self._started_s)
        if self._changes and self._oldest_s is None:
            self._oldest_s = now_s
        if self._running is not None or now_s < self._resting_until_s or finished is not None:
            return finished
        work: Callable[[], Fitted] | None = None
        if self._is_due(now_s):
            self._in_flight, self._changes, self._oldest_s = self._changes, 0, None
            work = partial(solve, problem())
        elif self._evidence:
            work = adjusted()
        if work is None:
            return None
        self._evidence_in_flight, self._evidence = self._evidence, 0
        self._started_s = now_s
        self._running = (self._inline or executor).submit(work)
        return self._collect()

    def _is_due(self, now_s: float) -> bool:
        if self._oldest_s is None:
            return False
        return self._changes >= self._every or now_s - self._oldest_s >= self._max_age_s

    def _collect(self) -> Fitted | None:
        if self._running is None or not self._running.done():
            return None
        running, self._running = self._running, None
        waiting, self._in_flight = self._in_flight, 0
        evidence, self._evidence_in_flight = self._evidence_in_flight, 0
        try:
            return running.result()
        except BaseException:
            self._changes += waiting
            self._evidence += evidence
            raise
