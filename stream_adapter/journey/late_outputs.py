"""What one call that takes in late labels leaves to be written, and where: each with the partition of its event."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from stream_adapter.errors import EventError
from stream_adapter.events.waiting import LABEL_PREFIX, POSITION_KEY, waiting_record
from stream_adapter.journey.waiting import Waiting, partition_of
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.dead_letters import dead_letter
from stream_adapter.transport.labels import write_positions

Places = Mapping[int, Partition]
"""Partitions of the waiting topic that a worker owns, each with the input partition that makes it the owner."""


class LateOutputs:
    """Belongs to one call, of a worker that owns these `places` of the waiting topic's so many `partitions`.

    Attributes:
        written: records, in their order.
        refused: for each label that was refused whose it was, and the stage.
        changed: anchor ids of the events whose label is another, or none, by now.
    """

    def __init__(self, places: Places, partitions: int, now_ms: Callable[[], int]) -> None:
        self.written: list[OutRecord] = []
        self.refused: list[tuple[Partition, str]] = []
        self.changed: dict[str, None] = {}
        self._places, self._partitions, self._now_ms = places, partitions, now_ms

    def number(self, key: str) -> int:
        """The partition of the waiting topic that a key belongs to."""
        return partition_of(key, self._partitions)

    def write(self, key: str, value: bytes | None, number: int) -> None:
        """Let the waiting topic hold this; None: nothing."""
        self.written.append(waiting_record(key, value, number, self._now_ms(), self._places[number]))

    def refuse(self, record: Record, error: EventError, number: int) -> None:
        """A label cannot be used, and will not be."""
        self.written.append(replace(dead_letter(record, error), source=self._places[number]))
        self.refused.append((self._places[number], error.stage))

    def write_anchor(self, output: OutRecord) -> None:
        """What is written because of a label goes with the event's partition, wherever its picture came from.

        An anchor that another one's label displaced, or that is pruned, goes with any that this worker owns.
        """
        place = self._places.get(self.number((output.key or b"").decode())) or next(iter(self._places.values()))
        self.written.append(replace(output, source=place))

    def close(self, parts: Mapping[int, Waiting], advanced: Iterable[int]) -> None:
        """Write what became of the labels that changed, and how far labels were read in these partitions."""
        for key in self.changed:
            label = parts[self.number(key)].label(key)
            self.write(LABEL_PREFIX + key, None if label is None else label.to_value(), self.number(key))
        for number in advanced:
            self.write(POSITION_KEY, write_positions(parts[number].positions), number)
