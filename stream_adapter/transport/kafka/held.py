"""`Held`: partitions of which nothing is delivered until it is known where they are read from."""

from collections.abc import Iterable

from kafka import KafkaConsumer, TopicPartition


class Held:
    """Pauses what is assigned; whoever inherits finds out where it begins, and lets go of it then.

    Used by the source's thread.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._undecided: set[TopicPartition] = set()

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """These are this worker's now, and to be decided about; nothing of them is delivered until then."""
        self._undecided.update(partitions)
        self._consumer.pause(*partitions)

    def gone(self, partitions: Iterable[TopicPartition]) -> None:
        """These are somebody else's now."""
        self._undecided.difference_update(partitions)

    @property
    def undecided(self) -> frozenset[TopicPartition]:
        """What is to stay paused."""
        return frozenset(self._undecided)
