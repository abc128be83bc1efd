"""All that we use of kafka-python 3.0 beyond what it documents, with the reason for each.

Whatever stands here may change with any release: the version is bounded in `pyproject.toml`, and
`tests/transport/kafka/test_internals.py` fails where an upgrade moved something. But for `record_batches.py` no other
file imports from `kafka.net`, `kafka.protocol`, `kafka.coordinator` or `kafka.consumer`, or touches what begins with an
underscore.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from kafka import ConsumerGroupMetadata, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition

# Claims with an age (KIP-792): the client's assignor believes members that were away, see `assigning.py`.
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.net.sasl import get_sasl_mechanism
from kafka.net.sasl.oauth import AbstractTokenProvider
from kafka.producer.transaction_manager import InitProducerIdHandler, TransactionalRequestResult

# Words of the protocol, to find out why a broker does not let us in: the client says only that it did not, after a
# while. See `diagnosis.py`.
from kafka.protocol.consumer.metadata import ConsumerProtocolSubscription
from kafka.protocol.metadata import MetadataRequest
from kafka.protocol.parser import KafkaProtocol
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

# The state of a member is in `group_metadata()`, which is public; the words for it are not.
from kafka.structs import MemberState

_END_S = 1.0

__all__ = [
    "AbstractTokenProvider",
    "ConsumerProtocolSubscription",
    "CooperativeStickyAssignor",
    "KafkaProtocol",
    "MemberState",
    "MetadataRequest",
    "SaslAuthenticateRequest",
    "SaslHandshakeRequest",
    "add_offsets",
    "close_producer",
    "end_transaction",
    "finish_join",
    "forget_member_id",
    "get_sasl_mechanism",
    "is_fenced",
    "take_away_bad_bytes",
    "topic_id",
    "watch_coordinator",
    "watch_init",
    "watch_joins",
    "would_spin",
]


def finish_join(consumer: KafkaConsumer, timeout_ms: int) -> None:
    """Where the group has to be joined, stay until that is done.

    The client loses a join that is answered between two polls. It then joins again, and with polls as short as ours the
    group never settles; or, where the number of partitions was the reason to join, it believes that nothing is left to
    do, and never hears of the group again. So a join that was begun is asked for until it is done, in one call; `poll`
    itself would then go on waiting for records, hence its first half alone. Nothing can be read or committed meanwhile,
    so nothing is lost by waiting.
    """
    coordinator = consumer._coordinator
    if coordinator.rejoining:
        coordinator.request_rejoin()
    if coordinator.need_rejoin():
        coordinator.poll(timeout_ms=timeout_ms)


def is_fenced(consumer: KafkaConsumer) -> bool:
    """Whether a heartbeat was answered with: another member has this one's `group_instance_id`.

    The client logs that, sends no heartbeat any more, and tells nobody: it would believe for ever that it is a member.
    It sends none either once it has begun to join, also where the coordinator went away before it was asked, and the
    reason to join with it.
    """
    coordinator = consumer._coordinator
    joins = coordinator.rejoining or coordinator.need_rejoin()
    return bool(coordinator.stable() and not joins and not coordinator._heartbeat_enabled)


def watch_joins(consumer: KafkaConsumer, ended: Callable[[BaseException | None], None]) -> None:
    """Be told of every attempt to join when it has ended: of None, or of what it failed with. In the client's thread.

    The client tells nobody of those that it tries again.
    """
    coordinator = consumer._coordinator
    attempt = coordinator._do_join_and_sync_async

    async def watched() -> Any:
        try:
            assignment = await attempt()
        except BaseException as error:
            ended(error)
            raise
        ended(None)
        return assignment

    coordinator._do_join_and_sync_async = watched


def watch_coordinator(consumer: KafkaConsumer, gone: Callable[[], None], found: Callable[[str], None]) -> None:
    """Be told when the group's coordinator does not answer any more, and which one was found. In the client's thread.

    The client looks for one again without a word to anybody.
    """
    coordinator = consumer._coordinator
    dead, look = coordinator.coordinator_dead, coordinator._send_group_coordinator_request

    def watched_dead(error: Any) -> None:
        if coordinator.coordinator_id is not None:
            gone()
        dead(error)

    async def watched_look() -> Any:
        node = await look()
        found(str(node))
        return node

    coordinator.coordinator_dead = watched_dead
    coordinator._send_group_coordinator_request = watched_look


def watch_init(producer: KafkaProducer, lost: Callable[[], None]) -> None:
    """Be told of every request to begin transactions under the producer's name that has no answer. In its thread.

    The client tells nobody of those that it sends again.
    """
    manager = producer._transaction_manager
    enqueue = manager._enqueue_request

    def watched(handler: Any) -> None:
        if isinstance(handler, InitProducerIdHandler) and not handler.is_retry:
            completed = handler.on_complete

            def on_complete(number: int, answer: Any) -> None:
                if isinstance(answer, Exception):
                    lost()
                completed(number, answer)

            handler.on_complete = on_complete
        enqueue(handler)

    manager._enqueue_request = watched


def forget_member_id(consumer: KafkaConsumer) -> None:
    """Let the next poll join as a worker does that starts: it gets the place of its `group_instance_id`."""
    consumer._coordinator.reset_generation()


def would_spin(consumer: KafkaConsumer) -> bool:
    """Whether `poll` would use a core until its timeout, without waiting for anything.

    It waits until the next heartbeat is due at most; one that is overdue, because no broker answers, makes that zero,
    and it asks again at once.
    """
    return bool(consumer._coordinator.time_to_next_heartbeat() <= 0.0)


def take_away_bad_bytes(consumer: KafkaConsumer) -> TopicPartition | None:
    """Drop the fetched bytes on which the client raised `CorruptRecordError`; they are fetched again.

    It would look at the same bytes for ever.

    Returns:
        The partition that they are from; None where there are none.
    """
    bad: Any = consumer._fetcher._next_partition_records
    if bad is None:
        return None
    bad.drain()
    return bad.topic_partition


def topic_id(consumer: KafkaConsumer, topic: str) -> str | None:
    """The topic's id (KIP-516) as of the last metadata; one that is deleted and made anew has another.

    Returns:
        None where the topic is not there, or brokers give no ids (before 2.8).
    """
    found = consumer._cluster.topic_id(topic)
    return str(found) if found is not None and found.int else None


def add_offsets(
    producer: KafkaProducer,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    group: ConsumerGroupMetadata | str,
    timeout_s: float,
) -> None:
    """Make positions part of the transaction, as `send_offsets_to_transaction`, which waits without a limit.

    A thread that waits there for a producer that is closed by then would stay for good, and the producer with it.

    Raises:
        KafkaTimeoutError: there is no answer after so many seconds.
    """
    _answered(producer, producer._transaction_manager.send_offsets_to_transaction(offsets, group), timeout_s)


def end_transaction(producer: KafkaProducer, *, commit: bool, timeout_s: float) -> None:
    """Commit or abort, as `commit_transaction` and `abort_transaction`, which wait without a limit.

    Raises:
        KafkaTimeoutError: there is no answer after so many seconds.
    """
    manager = producer._transaction_manager
    _answered(producer, manager.begin_commit() if commit else manager.begin_abort(), timeout_s)


def _answered(producer: KafkaProducer, result: TransactionalRequestResult, timeout_s: float) -> None:
    producer._sender.wakeup()
    if not result.wait(1000.0 * timeout_s):
        raise KafkaTimeoutError(f"no answer within {timeout_s:g} s")


def close_producer(producer: KafkaProducer, timeout_s: float = 0.0) -> None:
    """Close a producer for good; what it has not sent within so many seconds is given up.

    Its own `close` raises where something is left, which hides what went wrong before, and leaves the thread that goes
    on sending.
    """
    if timeout_s > 0.0:
        try:
            producer.close(timeout=timeout_s)
        except KafkaTimeoutError:
            pass
        else:
            return
    producer._sender.force_close()
    producer._sender.join(_END_S)
    with contextlib.suppress(KafkaError):
        producer.close(timeout=0)
    producer._closed = True  # or its finalizer would wait once more, and raise where nobody can catch it
