"""`LatestBeginning`: where a group that begins at the latest records begins, once and for all."""

from collections.abc import Mapping

import structlog
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError, FencedInstanceIdError, KafkaError, RebalanceInProgressError

from stream_adapter.transport.base import Partition
from stream_adapter.transport.kafka.held import Held

log = structlog.get_logger(__name__)

_TIMEOUT_MS = 1_000


class LatestBeginning(Held):
    """Decides for `auto_offset_reset: latest` where partitions are read from that the group has no position in.

    Kafka's clients go to the end whenever there is no position. So they pass over what was written to a partition
    before its first commit: to one that was added while they ran, and to a quiet one while they were away. Here
    `latest` is about the moment at which the group begins: the end is then committed as its position, and a partition
    that appears later is read from its beginning.

    A partition is paused until that is decided and committed. Used by the source's thread.

    Args:
        partitions: how many the topic has now; any more will have been added.
        reached: see `Positions`; a partition in it is not new, whatever the group says.
    """

    def __init__(self, consumer: KafkaConsumer, topic: str, partitions: int, reached: Mapping[Partition, int]) -> None:
        super().__init__(consumer)
        self._topic = topic
        self._partitions = partitions
        self._reached = reached

    def decide(self) -> bool:
        """Whether there was something to decide and it is done; where no broker answers, it is to be tried again.

        Raises:
            KafkaError: of a kind that does not pass by itself.
        """
        if not self._undecided:
            return False
        try:
            positions = self._new_positions()
            if positions:
                self._consumer.commit(
                    {at: OffsetAndMetadata(to, "", -1) for at, to in positions.items()}, timeout_ms=_TIMEOUT_MS
                )
        except (CommitFailedError, FencedInstanceIdError, RebalanceInProgressError):  # the next heartbeat tells which
            return False
        except KafkaError as error:
            if not error.retriable:
                raise
            return False
        for at, to in positions.items():
            self._consumer.seek(at, to)
            log.info("a new partition for the group", partition=f"{at.topic}-{at.partition}", begins_at=to)
        self._undecided.clear()
        return True

    def _new_positions(self) -> dict[TopicPartition, int]:
        """Where to begin in those of the undecided partitions that the group has no position in."""
        everything = [TopicPartition(self._topic, n) for n in sorted(self._consumer.partitions_for_topic(self._topic))]
        committed = {at: self._consumer.committed(at, timeout_ms=_TIMEOUT_MS) for at in everything}
        committed |= {at: self._reached[Partition(*at)] for at in everything if Partition(*at) in self._reached}
        new = [at for at in self._undecided if committed.get(at) is None]
        newest = max((at.partition for at, offset in committed.items() if offset is not None), default=None)
        added = [at for at in new if self._was_added(at.partition, newest)]
        old = [at for at in new if at not in added]
        begins: Mapping[TopicPartition, int] = (
            self._consumer.beginning_offsets(added, timeout_ms=_TIMEOUT_MS) if added else {}
        )
        ends: Mapping[TopicPartition, int] = self._consumer.end_offsets(old, timeout_ms=_TIMEOUT_MS) if old else {}
        return {**begins, **ends}

    def _was_added(self, number: int, newest: int | None) -> bool:
        """Whether a partition without a position was added after the group began, which has one in all that it knew."""
        return number >= self._partitions or (newest is not None and number > newest)
