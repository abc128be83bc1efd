"""Sending a batch of outputs and hearing of every failure."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

from kafka import KafkaProducer, TopicPartition
from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from stream_adapter.config import KafkaTopics
from stream_adapter.errors import Unreachable
from stream_adapter.transport.base import OutputTooLarge, OutRecord
from stream_adapter.transport.dead_letters import size_of, without_value
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.record_batches import Delivery, Written, any_partition, hand_over, partition_of

# What a record batch adds to its only record, generously.
_BATCH_OVERHEAD = 512
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_LAST_WORD_S = 5.0  # the producer gives up by itself at the deadline, and says why


class Sending:
    """Outputs on their way.

    Attributes:
        pending: those that were handed over together, with their topic, and what becomes of them.
        failures: those that were not, with topic and cause.
    """

    def __init__(self, connection: Connection, producer: KafkaProducer, total: int) -> None:
        self.pending: list[tuple[Sequence[OutRecord], str, Delivery]] = []
        self.failures: list[tuple[OutRecord, str, Exception]] = []
        self._connection = connection
        self._producer = producer
        self._total = total

    def wait(self, timeout_s: float) -> None:
        """Wait so many seconds until all replicas have them; errors as `Writer.send`."""
        failures = self.failures
        # Everything that was handed over is waited for, whatever failed: none of it may arrive later by surprise.
        give_up_at = time.monotonic() + timeout_s
        try:
            self._producer.flush(timeout=timeout_s)
        except KafkaTimeoutError:
            pass
        except KafkaError:
            # A batch was larger than its topic takes and was split: the client's `flush` then loses sight of the parts.
            for *_, delivery in self.pending:
                with contextlib.suppress(KafkaError):
                    delivery.wait(max(0.0, give_up_at - time.monotonic()))
        late = KafkaTimeoutError(f"no acknowledgement within {timeout_s:.0f} s")
        written = 0
        for outputs, topic, delivery in self.pending:
            failed = delivery.failures(late)
            written += len(outputs) - len(failed)
            failures += [(outputs[row], topic, cause) for row, cause in failed.items()]
        if failures:
            _, topic, cause = failures[0]
            unwritten = self._total - written
            what = f"{unwritten} of {self._total} outputs were not written, the first failed for topic {topic!r}"
            # What a broker says to a producer that may write nowhere; kafka-python keeps only the text.
            if ClusterAuthorizationFailedError.__name__ in str(cause):
                raise self._connection.forbidden(what, f"Write on topic {topic!r}") from cause
            self._raise_if_too_large()
            self._raise_if_the_clock_is_wrong(what)
            raise self._connection.error_of(what, cause, "Write") from cause

    def _raise_if_the_clock_is_wrong(self, what: str) -> None:
        """A broker refuses times an hour ahead of its own; kafka-python keeps only the text of that.

        An output without a time of its own has this machine's: once its clock is set, the same output is taken.
        """
        for output, _, cause in self.failures:
            if output.timestamp_ms is None and "timestamp" in str(cause).lower():
                raise Unreachable(
                    f"{what} at {self._connection.servers}: {cause}. The clock of this machine is ahead of the "
                    "broker's; set it, and the worker goes on"
                ) from cause

    def _raise_if_too_large(self) -> None:
        """The client gives its reason for one output to all others of the transaction: only the largest is sure."""
        large = [(output, topic, cause) for output, topic, cause in self.failures if isinstance(cause, _TOO_LARGE)]
        if large:
            largest, topic, cause = max(large, key=lambda one: size_of(one[0]))
            raise OutputTooLarge(
                f"topic {topic!r} at {self._connection.servers} does not take an output of {size_of(largest)} bytes; "
                "raise the topic's `max.message.bytes`",
                largest,
            ) from cause


class Writer:
    """Sends outputs to the topics of their channels.

    Args:
        dead_letter_bytes: the largest record that the dead letters' topic takes, None where unknown. A larger dead
            letter goes without its value: one picture that is too large for it must not stop the worker for ever.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        connection: Connection,
        topics: Mapping[str, str],
        dead_letter_bytes: int | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._dead_letter_bytes = dead_letter_bytes
        self._clock = clock

    def send(self, producer: KafkaProducer, outputs: Sequence[OutRecord]) -> None:
        """Send the outputs and wait until all replicas have them.

        Raises:
            TransportError: some were not taken; the message names the first with its topic and cause.
            OutputTooLarge: one is larger than its topic takes.
            Unreachable: no answer, or this machine's clock is too far ahead; the same may be taken later.
            Fenced: another producer has this one's identity.
        """
        self.start(producer, outputs).wait(self._connection.deadline_s + _LAST_WORD_S)

    def start(self, producer: KafkaProducer, outputs: Sequence[OutRecord]) -> "Sending":
        """Hand the outputs to the producer, without waiting for them."""
        sending = Sending(self._connection, producer, len(outputs))
        now_ms = int(self._clock() * 1000)
        groups: dict[TopicPartition, tuple[list[OutRecord], list[Written]]] = {}
        places = _Places(producer)
        topic = ""
        output = None
        try:
            for output in outputs:
                topic = self._topics[output.channel]
                record = self._record(output, now_ms)
                if len(record.value or b"") > producer.config["max_request_size"]:
                    error = MessageSizeTooLargeError("more bytes than the producer's `max_request_size`")
                    sending.failures.append((output, topic, error))
                    continue
                theirs, records = groups.setdefault(places.of(topic, output), ([], []))
                theirs.append(output)
                records.append(record)
            for at, (theirs, records) in groups.items():
                topic, output = at.topic, theirs[0]
                for delivery in hand_over(producer, at, records):
                    sending.pending.append((theirs[: len(delivery)], topic, delivery))
                    theirs = theirs[len(delivery) :]
        except (KafkaError, ValueError) as error:  # ValueError: neither key nor value
            assert output is not None
            sending.failures.append((output, topic, error))
        return sending

    def _record(self, output: OutRecord, now_ms: int) -> Written:
        if output.channel == "dead_letters" and self._dead_letter_bytes is not None:
            output = without_value(output, self._dead_letter_bytes - _BATCH_OVERHEAD)
        if output.key is None and output.value is None:
            raise ValueError("an output with neither key nor value")
        # A broker refuses records from the future; an event whose producer's clock is fast must not stop us.
        timestamp_ms = now_ms if output.timestamp_ms is None else min(output.timestamp_ms, now_ms)
        return Written(output.key, output.value, output.headers, timestamp_ms)


class _Places:
    """Where outputs go, by what is known of the topics at one moment."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer
        self._topics: dict[str, tuple[list[TopicPartition], int]] = {}

    def of(self, topic: str, output: OutRecord) -> TopicPartition:
        """The partition of a topic that an output goes to.

        Raises:
            KafkaError: the topic is not known.
            ValueError: it has no such partition.
        """
        if topic not in self._topics:
            numbers = sorted(self._producer.partitions_for(topic))
            self._topics[topic] = ([TopicPartition(topic, at) for at in numbers], any_partition(self._producer, topic))
        partitions, without_key = self._topics[topic]
        number = output.partition
        if number is None:
            number = without_key if output.key is None else partition_of(output.key, len(partitions))
        if not 0 <= number < len(partitions):
            raise ValueError(f"topic {topic!r} has {len(partitions)} partitions, not one of number {number}")
        return partitions[number]


def topics_by_channel(topics: KafkaTopics) -> dict[str, str]:
    """The topic of each output channel."""
    return {
        "predictions": topics.predictions,
        "anchors": topics.anchors,
        "classes": topics.classes,
        "dead_letters": topics.dead_letters,
        "drift": topics.drift,
        "waiting": topics.waiting,
        "labels": topics.labels,
        "to_label": topics.to_label,
    }
