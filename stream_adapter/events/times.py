"""When an event happened: what it says itself, as far as that can be believed."""

import time
from collections.abc import Callable

from stream_adapter.transport.base import Record

DEFAULT_MAX_AHEAD_S = 300.0


class EventTimes:
    """Decides on the time of an event.

    A later label of an event replaces an earlier one, so a time in the far future would win for ever. A time that is
    further ahead of the record's own than `max_ahead_s` does not count; the record's own counts instead.

    Args:
        max_ahead_s: seconds that a stated time may be ahead: what clocks differ by.
        clock: seconds since the epoch.
        ahead: called for every time that was not believed.
    """

    def __init__(
        self,
        max_ahead_s: float = DEFAULT_MAX_AHEAD_S,
        clock: Callable[[], float] = time.time,
        ahead: Callable[[], object] = lambda: None,
    ) -> None:
        self._max_ahead_ms = max_ahead_s * 1e3
        self._clock = clock
        self._ahead = ahead

    def of(self, record: Record, stated_ms: int | None) -> int:
        """The time that counts, milliseconds since the epoch.

        Args:
            record: the event's record. A broker gives −1 where it has no time, and a producer may have set any:
                without a time, or with one ahead of this machine's clock, the time of arrival stands for it.
            stated_ms: what the event says, or None.
        """
        now_ms = int(self._clock() * 1e3)
        own_ms = record.timestamp_ms if record.timestamp_ms > 0 else now_ms
        believed = own_ms <= now_ms + self._max_ahead_ms
        if not believed:
            own_ms = now_ms
        if stated_ms is not None and stated_ms <= own_ms + self._max_ahead_ms:
            return stated_ms
        if stated_ms is not None or not believed:
            self._ahead()
        return own_ms
