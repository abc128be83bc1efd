"""`Answers`: whether any broker answers; kafka-python's `poll` returns nothing for ever where none does."""

import time

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from stream_adapter.errors import TransportError, Unreachable
from stream_adapter.transport.kafka.connection import Connection

_LOOK_EVERY_S = 3.0
_TIMEOUT_MS = 1_000
_WHY_EVERY_S = 30.0


class Answers:
    """Remembers the last answer, and asks where none came for a while.

    Attributes:
        trouble: why there is no answer, for people; None while there are some.
    """

    def __init__(self, consumer: KafkaConsumer, connection: Connection, topic: str) -> None:
        self._consumer = consumer
        self._connection = connection
        self._topic = topic
        self._came_at = self._look_at = time.monotonic()
        self._why, self._why_at = "", 0.0
        self.trouble: str | None = None

    def came(self) -> None:
        """A broker answered."""
        self._came_at = time.monotonic()
        self.trouble = None

    def failed(self, error: TransportError) -> None:
        """Something was not answered that may be, if it is asked again."""
        self.trouble = str(error)

    def look(self) -> None:
        """Ask for the end of the topic, where it is time to.

        Raises:
            TransportError: the answer is one that will not pass by itself.
        """
        now = time.monotonic()
        if (now - self._came_at < _LOOK_EVERY_S and self.trouble is None) or now < self._look_at:
            return
        try:
            self._consumer.end_offsets([TopicPartition(self._topic, 0)], timeout_ms=_TIMEOUT_MS)
        except KafkaError as error:
            silent_s = time.monotonic() - self._came_at
            what = f"no broker has answered for {silent_s:.0f} s about topic {self._topic!r}"
            failed = self._connection.error_of(what, error)
            if not isinstance(failed, Unreachable):
                raise failed from error
            if (
                now >= self._why_at
            ):  # the client does not say, and credentials that expired look like a broker that is away
                self._why, self._why_at = self._connection.why_no_answer(), now + _WHY_EVERY_S
            self.failed(type(failed)(f"{failed}. {self._why}"))
        else:
            self.came()
        self._look_at = time.monotonic() + _LOOK_EVERY_S
