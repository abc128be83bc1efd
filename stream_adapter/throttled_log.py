"""`ThrottledLog`: a log line for what may happen thousands of times."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

_EVERY_S = 60.0


class ThrottledLog:
    """Says the same thing at most once a minute, with how often it happened since.

    Args:
        say: writes a line, such as a logger's `warning`.
        clock: monotonic seconds.
    """

    def __init__(self, say: Callable[..., Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._times = Counter[str]()
        self._due_s: dict[str, float] = {}

    def __call__(self, event: str, **facts: Any) -> None:
        """Once more; `facts` are shown of the one that is said."""
        self._times[event] += 1
        if self._clock() >= self._due_s.get(event, 0.0):
            self._due_s[event] = self._clock() + _EVERY_S
            self._say(event, times=self._times.pop(event), **facts)
