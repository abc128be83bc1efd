"""librdkafka, by confluent-kafka, behind that part of kafka-python's interface which a worker's source and sink use.

A record in and out takes a tenth of the processor time there. Options come by kafka-python's names, and errors as its
classes: what a broker answers has the same code everywhere. So all that is written about either is written once.
"""

import contextlib
import functools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple, ParamSpec, TypeVar

import confluent_kafka
from kafka import OffsetAndMetadata, TopicPartition
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    KafkaConfigurationError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
    SaslAuthenticationFailedError,
    for_code,
)

from stream_adapter.transport.base import UNREADABLE, Partition, Record
from stream_adapter.transport.kafka.tokens import KEY, for_librdkafka

# Its names are kafka-python's with dots, but for these; None: there is no such thing, and no need.
_RENAMED = {
    "allow_auto_create_topics": None,
    "bootstrap_timeout_ms": None,
    "fetch_max_wait_ms": "fetch.wait.max.ms",
    "max_block_ms": None,
    "max_request_size": "message.max.bytes",
    "metadata_max_age_ms": "topic.metadata.refresh.interval.ms",
    "sasl_plain_password": "sasl.password",
    "sasl_plain_username": "sasl.username",
    "ssl_ciphers": "ssl.cipher.suites",
    "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location",
    "ssl_check_hostname": "ssl.endpoint.identification.algorithm",
    "ssl_crlfile": "ssl.crl.location",
    "ssl_keyfile": "ssl.key.location",
    "ssl_password": "ssl.key.password",
}
# librdkafka's own troubles have no code of a broker's. Most pass by themselves; these do not.
_LASTING: dict[int, type[KafkaError]] = {
    confluent_kafka.KafkaError._AUTHENTICATION: SaslAuthenticationFailedError,
    confluent_kafka.KafkaError._FATAL: KafkaError,
    confluent_kafka.KafkaError._FENCED: ProducerFencedError,
    confluent_kafka.KafkaError._INVALID_ARG: KafkaError,
    confluent_kafka.KafkaError._SSL: KafkaError,
    confluent_kafka.KafkaError._UNSUPPORTED_FEATURE: KafkaError,
}
_LATE = (confluent_kafka.KafkaError._MSG_TIMED_OUT, confluent_kafka.KafkaError._TIMED_OUT)
_NO_MEMBER = (22, 25)  # ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID
# So much is taken out of the client ahead of whoever reads, before it is told to stop.
_AHEAD, _AHEAD_BYTES = 1_000, 32 * 2**20
_PARTITIONS_EVERY_S = 10.0
_RETRY_S = 0.1

P = ParamSpec("P")
T = TypeVar("T")


def _translated(error: confluent_kafka.KafkaError) -> KafkaError:
    code, said = error.code(), error.str()
    passing = KafkaTimeoutError if code in _LATE else KafkaConnectionError
    kind = for_code(code) if code > 0 else _LASTING.get(code, passing)
    if code == confluent_kafka.KafkaError._FATAL and "fenced" in said:  # the code behind it is not told
        kind = FencedInstanceIdError
    found: KafkaError = kind(said)
    return found


def _as_kafka_python(call: Callable[P, T]) -> Callable[P, T]:
    """Raise kafka-python's error in place of librdkafka's."""

    @functools.wraps(call)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except confluent_kafka.KafkaException as error:
            raise _translated(error.args[0]) from error

    return wrapped


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in given.items():
        renamed = _RENAMED.get(name, name.replace("_", "."))
        if renamed is not None and value is not None:
            options[renamed] = value
    options["bootstrap.servers"] = ",".join(options["bootstrap.servers"])
    if KEY in given:
        del options[KEY.replace("_", ".")]
        options["oauth_cb"] = for_librdkafka(given[KEY])
    hostname = "ssl.endpoint.identification.algorithm"
    if hostname in options:
        options[hostname] = "https" if options[hostname] else "none"
    return options


def _made(kind: Any, given: Mapping[str, Any], timeout_ms: int) -> Any:
    """A client to which a broker has answered."""
    options = _options(given)
    try:
        client = kind(options, logger=logging.getLogger("librdkafka"))
    except confluent_kafka.KafkaException as error:
        said = error.args[0].str()
        for name in given:  # as the configuration has them
            said = said.replace(f'"{name.replace("_", ".")}"', repr(name))
        raise KafkaConfigurationError(said) from None
    try:
        client.list_topics(timeout=timeout_ms / 1e3)
    except confluent_kafka.KafkaException as error:
        raise KafkaTimeoutError(error.args[0].str()) from error
    return client


class Place(NamedTuple):
    """A member's place in its group; librdkafka tells by callbacks when it is lost, so the member has no name here."""

    generation_id: int
    token: Any
    member_id: str = ""
    group_instance_id: str | None = None


class Consumer:
    """As `kafka.KafkaConsumer`, as a member of a group or of partitions that are assigned; takes its options."""

    def __init__(self, bootstrap_timeout_ms: int = 15_000, **given: Any) -> None:
        ours = {"partition_assignment_strategy": "cooperative-sticky", "enable_auto_commit": False}
        ours |= {"enable_partition_eof": True}  # else nobody tells of an end that is the mark of a transaction
        options = {"queued_max_messages_kbytes": 32_768, **given, **ours}
        self._native = _made(confluent_kafka.Consumer, options, bootstrap_timeout_ms)
        self._group_instance_id = given.get("group_instance_id")
        self._ahead: dict[TopicPartition, deque[Record]] = {}
        self._held = self._held_bytes = 0
        self._paused: set[TopicPartition] = set()
        self._stopped = False
        self._by_hand: list[TopicPartition] | None = None  # what was assigned, and by no group
        self._asked = True  # the client for these, from where they are now
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}  # where reading came to an end
        self._partitions: set[int] = set()
        self._asked_s = float("-inf")

    def subscribe(self, topics: list[str], listener: Any) -> None:
        """Join the group; the listener is kafka-python's."""

        def assigned(_: Any, partitions: Any) -> None:
            self._stopped = False  # they are not stopped, whatever the others are
            listener.on_partitions_assigned([TopicPartition(at.topic, at.partition) for at in partitions])

        def gone(tell: Callable[[list[TopicPartition]], None], partitions: Any) -> None:
            left = [TopicPartition(at.topic, at.partition) for at in partitions]
            for at in left:
                self._forget(at)
                self._paused.discard(at)
            tell(left)

        self._native.subscribe(
            topics,
            on_assign=assigned,
            on_revoke=lambda _, partitions: gone(listener.on_partitions_revoked, partitions),
            on_lost=lambda _, partitions: gone(listener.on_partitions_lost, partitions),
        )

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these, each from its beginning unless `seek` says where, whatever a group does."""
        self._by_hand = list(partitions)
        self._positions = {at: to for at, to in self._positions.items() if at in self._by_hand}
        self._asked = False

    @_as_kafka_python
    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        """The next records of what is not paused, by partition; serves the group."""
        ready = any(at not in self._paused for at in self._ahead)
        self._fetch(0.0 if ready else timeout_ms / 1e3, max_records)
        found: dict[TopicPartition, list[Record]] = {}
        for at in [at for at in self._ahead if at not in self._paused]:
            records = self._ahead[at]
            taken = found[at] = list(islice(records, max_records))
            max_records -= len(taken)
            for record in taken:
                records.popleft()
                self._held_bytes -= len(record.value or b"")
            self._held -= len(taken)
            if not records:
                del self._ahead[at]
            if taken:
                self._positions[at] = taken[-1].offset + 1
            if not max_records:
                break
        return {at: records for at, records in found.items() if records}

    def pause(self, *partitions: TopicPartition) -> None:
        """Hand out nothing of these; the client goes on until enough is there."""
        self._paused.update(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        """Hand out again."""
        self._paused.difference_update(partitions)

    @_as_kafka_python
    def assignment(self) -> set[TopicPartition]:
        """What the group gave to this member."""
        return {TopicPartition(at.topic, at.partition) for at in self._native.assignment()}

    @_as_kafka_python
    def partitions_for_topic(self, topic: str) -> set[int]:
        """The numbers of its partitions, as of the last ten seconds."""
        now = time.monotonic()
        if now - self._asked_s >= _PARTITIONS_EVERY_S:
            self._asked_s = now
            with contextlib.suppress(confluent_kafka.KafkaException):
                self._partitions = set(self._native.list_topics(topic, timeout=1.0).topics[topic].partitions)
        return self._partitions

    def highwater(self, at: TopicPartition) -> int | None:
        """The end of a partition as of the last fetch."""
        _, end = self._native.get_watermark_offsets(_native(at), cached=True) or (0, -1)
        return end if end >= 0 else None

    def position(self, at: TopicPartition, timeout_ms: int) -> int | None:
        """The offset after the last record that was handed out, and after the marks of transactions behind it."""
        known = [of[at] for of in (self._positions, {} if at in self._ahead else self._ends) if at in of]
        return max(known, default=None)

    @_as_kafka_python
    def end_offsets(self, partitions: Iterable[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        """Asked of the brokers."""
        return {at: self._watermarks(at, timeout_ms)[1] for at in partitions}

    @_as_kafka_python
    def beginning_offsets(self, partitions: Iterable[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        """Asked of the brokers."""
        return {at: self._watermarks(at, timeout_ms)[0] for at in partitions}

    @_as_kafka_python
    def seek(self, at: TopicPartition, offset: int) -> None:
        """Go on from there."""
        self._forget(at)
        self._ends.pop(at, None)
        self._positions[at] = offset
        if self._by_hand is None:
            self._native.seek(_native(at, offset))
        else:
            self._asked = False

    @_as_kafka_python
    def committed(self, at: TopicPartition, timeout_ms: int) -> int | None:
        """The group's position in a partition."""
        (found,) = self._native.committed([_native(at)], timeout=timeout_ms / 1e3)
        return found.offset if found.offset >= 0 else None

    def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], timeout_ms: int) -> None:
        """Commit positions, and wait for it."""
        try:
            done = self._native.commit(
                offsets=[_native(at, to.offset) for at, to in offsets.items()], asynchronous=False
            )
            errors = [at.error for at in done if at.error is not None]
        except confluent_kafka.KafkaException as error:
            errors = [error.args[0]]
        if errors:
            raise CommitFailedError() if errors[0].code() in _NO_MEMBER else _translated(errors[0])

    @_as_kafka_python
    def group_metadata(self) -> Place:
        """This member's place in its group, for transactions."""
        generation = 0 if self._native.memberid() else -1
        return Place(generation, self._native.consumer_group_metadata(), group_instance_id=self._group_instance_id)

    @_as_kafka_python
    def close(self, timeout_ms: int) -> None:
        """Leave the group."""
        self._native.close()

    def _watermarks(self, at: TopicPartition, timeout_ms: int) -> tuple[int, int]:
        found: tuple[int, int] = self._native.get_watermark_offsets(_native(at), timeout=timeout_ms / 1e3)
        return found

    def _forget(self, at: TopicPartition) -> None:
        gone = self._ahead.pop(at, ())
        self._held -= len(gone)
        self._held_bytes -= sum(len(record.value or b"") for record in gone)

    def _fetch(self, timeout_s: float, wanted: int) -> None:
        if not self._asked:
            for at in list(self._ahead):
                self._forget(at)
            self._ends.clear()
            begins = {at: self._positions.get(at, confluent_kafka.OFFSET_BEGINNING) for at in self._by_hand or ()}
            self._native.assign([_native(at, offset) for at, offset in begins.items()])
            self._asked, self._stopped = True, False
        full = self._held >= _AHEAD or self._held_bytes >= _AHEAD_BYTES
        if full != self._stopped and (full or self._held <= wanted):
            # Not with every pause: it throws away what was fetched.
            (self._native.pause if full else self._native.resume)(self._native.assignment())
            self._stopped = full
        messages = []
        if timeout_s > 0.0 and (first := self._native.poll(timeout_s)) is not None:
            messages.append(first)
        messages += self._native.consume(1 if full else max(1, min(wanted, _AHEAD - self._held)), timeout=0.0)
        failed = None
        for message in messages:
            error = message.error()
            if error is None:
                record = _record_of(message)
                self._ahead.setdefault(TopicPartition(*record.partition), deque()).append(record)
                self._held += 1
                self._held_bytes += len(record.value or b"")
            elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                self._ends[TopicPartition(message.topic(), message.partition())] = message.offset()
            elif error.code() != confluent_kafka.KafkaError._MAX_POLL_EXCEEDED:  # the listener hears of that
                failed = failed or error
        if failed is not None:
            raise _translated(failed)


class Sent:
    """As the future of `kafka.KafkaProducer.send`."""

    __slots__ = ("_error", "_native", "is_done")

    def __init__(self, client: Any) -> None:
        self._native = client
        self.is_done = False
        self._error: confluent_kafka.KafkaError | None = None

    def __call__(self, error: confluent_kafka.KafkaError | None, _: Any) -> None:
        """What the client calls; may be with an exception under way, in which nothing of it can be called."""
        self.is_done, self._error = True, error

    @property
    def exception(self) -> KafkaError | None:
        """What went wrong, if anything did."""
        return None if self._error is None else _translated(self._error)

    def succeeded(self) -> bool:
        """Whether all replicas have it."""
        return self.is_done and self._error is None

    def failed(self) -> bool:
        """Whether it will never be there."""
        return self._error is not None

    def get(self, timeout: float) -> None:
        """Wait for it; raises what went wrong."""
        give_up_at = time.monotonic() + timeout
        while not self.is_done and time.monotonic() < give_up_at:
            self._native.poll(_RETRY_S)
        if (exception := self.exception) is not None:
            raise exception
        if not self.is_done:
            raise KafkaTimeoutError(f"no acknowledgement within {timeout:g} s")


class Producer:
    """As `kafka.KafkaProducer`; takes its options."""

    def __init__(self, bootstrap_timeout_ms: int = 15_000, **given: Any) -> None:
        options = {"partitioner": "murmur2_random", **given}  # as all others choose for a key
        if given.get("transactional_id"):
            options["delivery_timeout_ms"] = min(given["delivery_timeout_ms"], given["transaction_timeout_ms"])
        self._deadline_s = given["delivery_timeout_ms"] / 1e3
        self._native = _made(confluent_kafka.Producer, options, bootstrap_timeout_ms)

    @_as_kafka_python
    def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        headers: list[tuple[str, bytes]] | None = None,
        timestamp_ms: int | None = None,
        partition: int | None = None,
    ) -> Sent:
        """Hand a record over; waits where too much is on its way."""
        sent = Sent(self._native)
        give_up_at = time.monotonic() + self._deadline_s
        place = {"timestamp": timestamp_ms or 0, "partition": -1 if partition is None else partition}
        while True:
            try:
                self._native.produce(topic, value, key, on_delivery=sent, headers=headers, **place)
            except BufferError:
                if time.monotonic() > give_up_at:
                    raise KafkaTimeoutError("too much is on its way, and nothing is acknowledged") from None
                self._native.poll(_RETRY_S)
            else:
                self._native.poll(0)
                return sent

    def flush(self, timeout: float) -> None:
        """Wait until everything was acknowledged or given up."""
        try:
            left = self._native.flush(timeout)
        except (confluent_kafka.KafkaException, SystemError):  # a fatal error is raised out of whatever comes next
            left = self._native.flush(timeout)
        if left:
            raise KafkaTimeoutError(f"no acknowledgement within {timeout:g} s")

    def init_transactions(self) -> None:
        """End what a predecessor of the same name left open."""
        self._until_deadline(self._native.init_transactions)

    @_as_kafka_python
    def begin_transaction(self) -> None:
        """What is sent from now on belongs together."""
        self._native.begin_transaction()

    def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, OffsetAndMetadata], place: Place) -> None:
        """The group's positions belong to it, too."""
        native = [_native(at, to.offset) for at, to in offsets.items()]
        self._until_deadline(lambda timeout_s: self._native.send_offsets_to_transaction(native, place.token, timeout_s))

    def commit_transaction(self) -> None:
        """Make all of it visible."""
        self._until_deadline(self._native.commit_transaction)

    def close(self, timeout_s: float) -> None:
        """Give up what is not acknowledged within so many seconds."""
        with contextlib.suppress(confluent_kafka.KafkaException, SystemError):  # it may be fenced
            if timeout_s > 0.0:
                self._native.flush(timeout_s)
            self._native.purge()
            self._native.flush(0)

    @_as_kafka_python
    def _until_deadline(self, call: Callable[[float], Any]) -> None:
        give_up_at = time.monotonic() + self._deadline_s
        while True:
            left_s = give_up_at - time.monotonic()
            try:
                call(max(_RETRY_S, left_s))
            except confluent_kafka.KafkaException as error:
                if not error.args[0].retriable() or left_s <= 0.0:
                    raise
                time.sleep(_RETRY_S)
            else:
                return


def _native(at: TopicPartition, offset: int = confluent_kafka.OFFSET_INVALID) -> Any:
    return confluent_kafka.TopicPartition(at.topic, at.partition, offset)


def _record_of(message: Any) -> Record:
    partition = Partition(message.topic(), message.partition())
    kind, timestamp_ms = message.timestamp()
    if kind == confluent_kafka.TIMESTAMP_NOT_AVAILABLE:
        timestamp_ms = -1
    try:
        headers = tuple((name, value or b"") for name, value in message.headers() or ())
    except UnicodeDecodeError as error:
        headers = ((UNREADABLE, repr(error).encode()),)
        return Record(partition, message.offset(), timestamp_ms, None, None, headers)
    return Record(partition, message.offset(), timestamp_ms, message.key(), message.value(), headers)
