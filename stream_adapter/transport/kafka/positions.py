"""`Positions`: what a group has committed, and what of it waits for the end of a rebalance."""

from collections.abc import Iterable, Mapping
from functools import partial

import structlog
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError, FencedInstanceIdError, KafkaError, RebalanceInProgressError

from stream_adapter.transport.base import Partition
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.place import Place

log = structlog.get_logger(__name__)

_SETTLE_MS = 1_000


class Positions:
    """Commits positions of owned partitions, explicitly and in order, and looks them up.

    Commits made with kafka-python's own idea of positions would be wrong under cooperative assignment. While the group
    rebalances they are kept, and committed after it if the partition stayed.

    What this worker has seen committed is remembered: a group's positions never go back while a member lives, but a
    broker that came back was seen to know those of twenty minutes before, having read a part of its log (Kafka 4.3.1).

    Attributes:
        reached: the furthest position that this worker has committed or knows of others, by partition.
    """

    def __init__(self, consumer: KafkaConsumer, connection: Connection, place: Place) -> None:
        self._consumer = consumer
        self._connection = connection
        self._place = place
        self._group = f"of group {connection.config.group_id!r}"
        self._waiting: dict[Partition, int] = {}
        self.reached: dict[Partition, int] = {}

    def remember(self, positions: Mapping[Partition, int]) -> None:
        """These are committed."""
        for at, to in positions.items():
            self.reached[at] = max(to, self.reached.get(at, to))

    def correct(self, written: Mapping[Partition, int]) -> None:
        """These were written with outputs; they count, also where the group does not know them any more.

        And where it does: its coordinator may have been asked for where to begin before it had read its log to the end.

        Raises:
            KafkaError: the group's coordinator did not answer at once.
        """
        for at, offset in written.items():
            place = self._look_up(TopicPartition(*at), _SETTLE_MS)
            if place is not None and place.metadata:  # without a mark it was set by hand
                self.remember({at: max(offset, place.offset)})

    def commit(self, positions: Mapping[Partition, int]) -> bool:
        """Whether these, and what waited, are committed; else they wait, because the group rebalances.

        Raises:
            TransportError: they were not committed within the connection's deadline.
            Fenced: another worker joined with this one's `group_instance_id`.
        """
        self._waiting.update(positions)
        if not self._waiting:
            return False
        try:
            self._connection.retried(f"cannot commit positions {self._group}", self._commit)
        except _GroupIsMoving:
            log.info("positions wait for the rebalance", positions={str(at): to for at, to in self._waiting.items()})
            return False
        return True

    def settle(self) -> bool:
        """Whether what a rebalance held up is committed now; where it fails, it is to be tried again."""
        if not self._waiting:
            return False
        try:
            self._commit(_SETTLE_MS)
        except _GroupIsMoving:
            return False
        except KafkaError as error:
            if not error.retriable:
                raise self._connection.error_of("cannot commit positions", error) from error
            return False
        return True

    def begin_anew(self, partitions: Iterable[TopicPartition]) -> bool:
        """Go to the beginning of these, and commit that; false where it is to be tried again."""
        try:
            begins = self._consumer.beginning_offsets(list(partitions), timeout_ms=_SETTLE_MS)
        except KafkaError as error:
            if not error.retriable:
                raise self._connection.error_of("cannot find the beginning of the topic", error) from error
            return False
        for at, offset in begins.items():
            self._consumer.seek(at, offset)
        self.reached.clear()  # of the topic before, also where others own a partition now
        self._waiting = {Partition(*at): offset for at, offset in begins.items()}
        return not begins or self.settle()

    def gone(self, partitions: Iterable[Partition]) -> None:
        """These are somebody else's to commit."""
        for at in partitions:
            self._waiting.pop(at, None)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """The positions that the group has committed, at least `reached`; a partition without one is missing.

        Raises:
            TransportError: the group's coordinator did not answer within the connection's deadline.
        """
        partitions = list(partitions)
        reached = {at: self.reached[at] for at in partitions if at in self.reached}
        found = {at: place.offset for at, place in self._places(partitions).items()}
        return reached | {at: max(offset, reached.get(at, offset)) for at, offset in found.items()}

    def marks(self, partitions: Iterable[Partition]) -> dict[Partition, str]:
        """What was committed with these positions; errors as `committed`."""
        return {at: place.metadata for at, place in self._places(partitions).items()}

    def _places(self, partitions: Iterable[Partition]) -> dict[Partition, OffsetAndMetadata]:
        what = f"cannot read positions {self._group}"
        found = {at: self._connection.retried(what, partial(self._look_up, TopicPartition(*at))) for at in partitions}
        return {at: place for at, place in found.items() if place is not None}

    def _look_up(self, at: TopicPartition, timeout_ms: int) -> OffsetAndMetadata | None:
        return self._consumer.committed(at, metadata=True, timeout_ms=timeout_ms)

    def _commit(self, timeout_ms: int) -> None:
        """Raises `_GroupIsMoving` where the group does not take positions now."""
        offsets = {TopicPartition(*at): OffsetAndMetadata(offset, "", -1) for at, offset in self._waiting.items()}
        try:
            self._consumer.commit(offsets, timeout_ms=timeout_ms)
        except (CommitFailedError, FencedInstanceIdError, RebalanceInProgressError) as error:
            if isinstance(error, FencedInstanceIdError) and not self._place.take_back():
                raise
            raise _GroupIsMoving from error
        self.remember(self._waiting)
        self._waiting.clear()


class _GroupIsMoving(Exception):
    """The group rebalances, or this worker fell out of it; positions cannot be committed now."""
