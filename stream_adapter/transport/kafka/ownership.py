"""Which offsets of which partitions this worker may speak for. Pure; fed by the rebalance listener and by `poll`."""

from collections.abc import Iterable, Mapping

from stream_adapter.transport.base import Partition, Record


class Ownership:
    """Remembers what was delivered since each partition was assigned, and forgets it when the partition goes.

    A partition may leave and come back within one poll (a session that expired, then a new join). What was delivered
    before belongs to nobody then: the group starts again from the committed position, so committing the old offsets
    would skip or repeat events.
    """

    def __init__(self) -> None:
        self._owned: set[Partition] = set()
        self._left: set[Partition] = set()  # since the poll began
        self._delivered: dict[Partition, tuple[int, int]] = {}  # first offset delivered, and the one after the last

    def poll_begins(self) -> None:
        """A new poll: partitions that came back during the last one count as owned from now on."""
        self._left.clear()

    def assigned(self, partitions: Iterable[Partition]) -> None:
        """The group gave these partitions to this worker."""
        self._owned.update(partitions)

    def revoked(self, partitions: Iterable[Partition]) -> None:
        """The group took these partitions away, or this worker lost its place in the group."""
        for partition in partitions:
            self._owned.discard(partition)
            self._left.add(partition)
            self._delivered.pop(partition, None)

    def delivered(self, records: Iterable[Record]) -> None:
        """These records were handed to the worker."""
        for record in records:
            first, _ = self._delivered.get(record.partition, (record.offset, 0))
            # Less where the topic was made anew under the reader.
            self._delivered[record.partition] = (min(first, record.offset), record.offset + 1)

    def next_of(self, partition: Partition) -> int | None:
        """The offset after the last one delivered; None where nothing was since the partition was assigned."""
        return self._delivered[partition][1] if partition in self._delivered else None

    @property
    def visible(self) -> frozenset[Partition]:
        """What is owned, without what left and came back during this poll."""
        return frozenset(self._owned - self._left)

    @property
    def came_back(self) -> frozenset[Partition]:
        """What left and came back during this poll."""
        return frozenset(self._owned & self._left)

    def committable(self, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        """Those of `positions` (next offset to read) that this worker may commit."""
        delivered = {at: self._delivered.get(at, (0, -1)) for at in positions}  # nothing: no offset is in between
        return {at: to for at, to in positions.items() if delivered[at][0] < to <= delivered[at][1]}
