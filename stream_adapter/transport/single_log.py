"""`SingleLog`: a log of one partition that keeps everything, from a function that reads it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, takewhile

from stream_adapter.transport.base import Record

_PORTION = 1_000


class SingleLog:
    """See `Log`; it keeps no places: every reader begins at the beginning.

    Args:
        read: reads all records in order, of partition 0, with rising offsets.
        version: changes with every record that comes; None: look.
    """

    def __init__(
        self, name: str, read: Callable[[], Iterable[Record]], version: Callable[[], object] = lambda: None
    ) -> None:
        self.name = name
        self._read = read
        self._version = version
        self._seen: tuple[int, object] = 0, None  # records, and the version that had them

    def ends(self) -> dict[int, int]:
        """The offset after the last record."""
        end = 0
        for record in self._read():
            end = record.offset + 1
        return {0: end}

    def ends_at(self, time_ms: int) -> dict[int, int]:
        """The offset of the first record that is later, or the end."""
        end = 0
        for record in self._read():
            if record.timestamp_ms > time_ms:
                return {0: record.offset}
            end = record.offset + 1
        return {0: end}

    def portions(self, until: Mapping[int, int] | None = None) -> Iterator[Sequence[Record]]:
        """The records, read one portion at a time."""
        end = (until or {}).get(0)
        records = takewhile(lambda record: end is None or record.offset < end, self._read())
        self._seen = 0, None
        while portion := list(islice(records, _PORTION)):
            self._seen = self._seen[0] + len(portion), None
            yield portion

    def new(self) -> list[Record]:
        """Records that were not there before."""
        version = self._version()
        if version is not None and version == self._seen[1]:
            return []
        records = list(islice(self._read(), self._seen[0], None))
        self._seen = self._seen[0] + len(records), version
        return records

    def commit(self, records: Sequence[Record]) -> None:
        """No place is kept."""

    @property
    def whole_for_ms(self) -> int | None:
        """For ever."""
        return None

    def close(self) -> None:
        """Nothing is held open between two portions."""
