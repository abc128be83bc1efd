"""`Doubt`: whether a worker that was fenced may have done it itself."""

import time

_LATE_S = 120.0  # a network may still deliver what was sent on a connection that is gone
_READING_S = 60.0  # for which a broker that has come back may know a group's former state


class Doubt:
    """Remembers that a request by which this worker takes its name had no answer, or that the broker had been away.

    Such a request may be taken after the one that was sent again, and fences whoever that one let in: a broker does
    not know that both are the same worker's. And a broker that comes back reads who is in a group from its log;
    Kafka 4.3.1 was seen to answer when it had read a part of it, and so to fence whoever had joined later. Else it was
    another worker. One object is told by one thread and asked by another.
    """

    def __init__(self) -> None:
        self._lost = False
        self._late_until = self._reading_until = float("-inf")

    def lost(self) -> None:
        """A request had no answer."""
        self._lost = True

    def answered(self) -> None:
        """A request was taken."""
        if self._lost:
            self._lost, self._late_until = False, time.monotonic() + _LATE_S

    def came_back(self) -> None:
        """The broker that decides is there again, or another one in its place."""
        self._reading_until = time.monotonic() + _READING_S

    def spend(self) -> bool:
        """Whether there is a doubt.

        It ends with that, or a minute after the broker came back, so that of two workers with one name one ends.
        """
        now_s = time.monotonic()
        doubt = self._lost or now_s < max(self._late_until, self._reading_until)
        self._lost, self._late_until = False, float("-inf")
        return doubt
