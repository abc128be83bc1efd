"""`Resuming`: where a partition is read on, also where the group does not know any more how far it was read."""

import contextlib
from collections.abc import Callable, Iterable, Mapping

from kafka import KafkaConsumer
from kafka.errors import KafkaError

from stream_adapter.errors import EventError, Unreachable
from stream_adapter.events.waiting import InputPosition, waiting_record
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.held import Held
from stream_adapter.transport.kafka.positions import Positions
from stream_adapter.transport.kafka.reading import TopicReader
from stream_adapter.transport.kafka.topics import require_topics

# Of a partition that is being read the newest position is among the last records; of one that is quiet, further back.
_LAST_RECORDS = (500, 10_000)
_DEADLINE_S = 3.0


class Resuming(Held):
    """Writes positions with the outputs, in one transaction, and reads them where this worker gets a partition.

    A group's positions are in a log of the broker's own. Kafka 4.3.1 was seen to answer from it before it had read it
    to the end, and whoever got a partition then read events of twenty minutes again. The outputs themselves were all
    there: what is written with them cannot be behind them.

    Positions that the group was given by somebody else count: with each of its own a worker commits a mark.

    A partition is paused until that is known. Used by the source's thread.

    Args:
        topic_id: of the images topic as it is now; another one of its name, or its copy in another cluster, begins
            anew.

    Raises:
        TransportError: no broker answers, or the waiting topic does not exist.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        connection: Connection,
        positions: Positions,
        topic_id: Callable[[], str | None],
    ) -> None:
        super().__init__(consumer)
        self._positions = positions
        self._topic_id = topic_id
        self._group = connection.config.group_id
        waiting = connection.config.topics.waiting
        self._count = require_topics(connection, [waiting])[waiting]
        self._reader = TopicReader(Connection(connection.config, deadline_s=_DEADLINE_S), waiting)

    def outputs(self, positions: Mapping[Partition, int], mark: str) -> list[OutRecord]:
        """What says, beside a batch's outputs, that these are the next offsets to be read."""
        topic_id = self._topic_id()
        return [
            waiting_record(
                InputPosition.key(self._group, at),
                InputPosition(offset, topic_id, mark).to_value(),
                at.number % self._count,
                source=at,
            )
            for at, offset in positions.items()
        ]

    def written(self, partitions: Iterable[Partition]) -> dict[Partition, InputPosition]:
        """The newest positions that were written with outputs; of some partitions there may be none.

        Raises:
            TransportError: the waiting topic cannot be read.
        """
        wanted = {InputPosition.key(self._group, at).encode(): at for at in partitions}
        found: dict[Partition, InputPosition] = {}
        for back in _LAST_RECORDS:
            numbers = {at.number % self._count for at in wanted.values() if at not in found}
            if not numbers:
                break
            ends = self._reader.ends()
            begins = {number: max(0, end - back) if number in numbers else end for number, end in ends.items()}
            if not self._reader.seek(begins):  # records were deleted by hand
                break
            for portion in self._reader.portions():
                found |= self._positions_in(portion, wanted)
        return found

    def decide(self) -> bool:
        """Whether there was something to look up and it is done; where nobody answers, it is to be tried again.

        Raises:
            KafkaError: of a kind that does not pass by itself.
            TransportError: as above.
        """
        if not self._undecided:
            return False
        try:
            found = self.written(Partition(*at) for at in self._undecided)
            self._positions.correct({at: position.offset for at, position in found.items()})
        except Unreachable:
            return False
        except KafkaError as error:
            if not error.retriable:
                raise
            return False
        self._undecided.clear()
        return True

    def close(self) -> None:
        """Release the reader."""
        self._reader.close()

    def _positions_in(
        self, records: Iterable[Record], wanted: Mapping[bytes, Partition]
    ) -> dict[Partition, InputPosition]:
        found, topic_id = {}, self._topic_id()
        for record in records:
            at = wanted.get(record.key or b"")
            if at is not None:
                with contextlib.suppress(EventError):  # somebody else's: no word on how far this group is
                    position = InputPosition.from_record(record)
                    if position.topic_id == topic_id:
                        found[at] = position
        return found
