"""`Doubt`: whether a worker that was fenced may have done it itself."""

import time

_LATE_S = 120.0  # a network may still deliver what was sent on a connection that is gone


class Doubt:
    """Remembers that a request by which this worker takes its name had no answer.

    Such a request may be taken after the one that was sent again, and fences whoever that one let in: a broker does
    not know that both are the same worker's. Where all were answered, it was another worker. One object is told by one
    thread and asked by another.
    """

    def __init__(self) -> None:
        self._lost = False
        self._late_until = float("-inf")

    def lost(self) -> None:
        """A request had no answer."""
        self._lost = True

    def answered(self) -> None:
        """A request was taken."""
        if self._lost:
            self._lost, self._late_until = False, time.monotonic() + _LATE_S

    def spend(self) -> bool:
        """Whether there is a doubt. It is gone then, so that of two workers with one name one ends in any case."""
        doubt = self._lost or time.monotonic() < self._late_until
        self._lost, self._late_until = False, float("-inf")
        return doubt
