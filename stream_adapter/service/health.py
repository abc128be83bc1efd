"""Liveness and readiness: the loop's progress, and whether the worker can do its job."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Literal

_ANSWER_WITHIN_S = 5.0

State = Literal["restoring", "no_answer", "not_assigned", "ready", "draining", "stuck"]


class Health:
    """Shared between the loop, which reports, and the HTTP threads, which ask.

    Args:
        stuck_after_s: seconds without progress after which the worker counts as stuck.
        clock: monotonic seconds.
    """

    START = ("restored", "model_warm")
    CONDITIONS = (*START, "partitions_assigned", "transport_answers")

    def __init__(self, stuck_after_s: float, clock: Callable[[], float]) -> None:
        self._stuck_after_s = stuck_after_s
        self._clock = clock
        self._lock = threading.Lock()
        self._progress_at = clock()
        self._met = {**dict.fromkeys(self.CONDITIONS, False), "transport_answers": True}  # as far as it is known
        self._draining = False
        self._asked_at: float | None = None

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """While the loop asks the transport; without an answer for some seconds the worker is not ready."""
        with self._lock:
            self._asked_at = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._asked_at = None

    def progress(self) -> None:
        """The loop finished a batch, or looked for work and found none."""
        with self._lock:
            self._progress_at = self._clock()

    def set(self, condition: str, met: bool) -> None:
        """Report one of `CONDITIONS`."""
        if condition not in self._met:
            raise KeyError(f"unknown condition {condition!r}; known are {', '.join(self.CONDITIONS)}")
        with self._lock:
            self._met[condition] = met

    def drain(self) -> None:
        """The loop finishes what is under way, and reads no more."""
        self._draining = True

    @property
    def seconds_without_progress(self) -> float:
        """Seconds since the loop last made progress."""
        with self._lock:
            return self._clock() - self._progress_at

    @property
    def alive(self) -> bool:
        """Whether the loop makes progress."""
        return self.seconds_without_progress < self._stuck_after_s

    @property
    def started(self) -> bool:
        """Whether the start is over: from then on only progress counts, with partitions or without."""
        with self._lock:
            return all(self._met[condition] for condition in self.START)

    @property
    def state(self) -> State:
        """How the worker is, in one word."""
        if not self.alive:
            return "stuck"
        if self._draining:
            return "draining"
        missing = self.missing
        if "restored" in missing or "model_warm" in missing:
            return "restoring"
        if "transport_answers" in missing:
            return "no_answer"
        return "not_assigned" if missing else "ready"

    @property
    def missing(self) -> list[str]:
        """Conditions of readiness that are not met; empty when the worker is ready."""
        with self._lock:
            late = self._asked_at is not None and self._clock() - self._asked_at > _ANSWER_WITHIN_S
            met = {**self._met, "transport_answers": self._met["transport_answers"] and not late}
            return [condition for condition in self.CONDITIONS if not met[condition]]
