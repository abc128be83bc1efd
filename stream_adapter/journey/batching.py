"""When a batch closes: when it is full, or `max_wait_s` after its first record, whichever comes first."""

from collections.abc import Callable, Iterable

from stream_adapter.transport.base import Partition, Record

# A batch is full when it takes so long to compute: fewer records would cost more each, more would only wait longer.
_FULL_S = 0.1
# Where the newest event waits for longer anyway, a batch takes a tenth of that: larger ones cost less each and make the
# wait shorter. At most so much, which is what whoever asks beside the stream can wait for.
_OF_BACKLOG, _FULL_AT_MOST_S = 0.1, 0.3
_FIRST = 64  # as long as nothing was measured
_LEAST = 16


class Batcher:
    """Collects records into batches. Pure but for the clock that it is given.

    Args:
        max_batch: records in a full batch at most.
        max_wait_s: seconds that the first record of a batch waits for company.
        clock: monotonic seconds.
    """

    def __init__(self, max_batch: int, max_wait_s: float, clock: Callable[[], float]) -> None:
        self._max_batch = max_batch
        self._full = min(_FIRST, max_batch)
        self._each_s: float | None = None
        self._behind = 0
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._records: list[Record] = []
        self._opened_at = 0.0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def room(self) -> int:
        """Records that still fit."""
        return self._full - len(self._records)

    def took(self, records: int, seconds: float) -> None:
        """A batch of so many records took so long: those that come have the size that fits."""
        each_s = max(seconds / records, 1e-9)
        self._each_s = each_s if self._each_s is None else 0.8 * self._each_s + 0.2 * each_s
        full_s = min(max(_FULL_S, _OF_BACKLOG * self._behind * self._each_s), _FULL_AT_MOST_S)
        self._full = min(max(_LEAST, int(full_s / self._each_s)), self._max_batch)

    def behind(self, records: int) -> None:
        """So many records wait to be read."""
        self._behind = records

    @property
    def remaining_wait_s(self) -> float:
        """Seconds until the open batch closes by itself; the whole wait where none is open."""
        if not self._records:
            return self._max_wait_s
        return max(0.0, self._opened_at + self._max_wait_s - self._clock())

    @property
    def due(self) -> bool:
        """Whether the batch is to be taken now."""
        return bool(self._records) and (self.room <= 0 or self.remaining_wait_s <= 0.0)

    def add(self, records: Iterable[Record]) -> None:
        """Append records; the first one of a batch starts its wait."""
        if not self._records:
            self._opened_at = self._clock()
        self._records.extend(records)

    def take(self) -> list[Record]:
        """The batch, leaving an empty one."""
        batch, self._records = self._records, []
        return batch

    def keep_only(self, partitions: frozenset[Partition]) -> None:
        """Drop the records of partitions that moved to another worker, which reads them again."""
        self._records = [record for record in self._records if record.partition in partitions]
