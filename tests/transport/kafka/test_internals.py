"""What we use of kafka-python's insides is there, and does what we rely on: an upgrade that moves it fails here.

Without a broker; what a broker's answers do to it is in `tests/integration/test_kafka_source.py`.
"""

import ast
import gc
import time
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import KafkaConnectionError, KafkaTimeoutError
from kafka.producer.transaction_manager import TransactionState
from kafka.protocol.metadata import FindCoordinatorRequest, FindCoordinatorResponse, MetadataResponse
from kafka.protocol.producer import InitProducerIdResponse

from stream_adapter.transport.kafka import internals
from stream_adapter.transport.kafka.internals import (
    ConsumerProtocolSubscription,
    CooperativeStickyAssignor,
    KafkaProtocol,
    MemberState,
    MetadataRequest,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
    get_sasl_mechanism,
)

AT = TopicPartition("images", 0)
PACKAGE = Path(internals.__file__).parents[2]
INSIDE = ("kafka.net", "kafka.protocol", "kafka.coordinator", "kafka.consumer", "kafka.structs", "kafka.producer")


@pytest.fixture
def consumer() -> Iterator[KafkaConsumer]:
    """A consumer that never reached a broker; with a version given it does not ask for one."""
    offline = KafkaConsumer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5), group_id="g", group_instance_id="a")
    offline.subscribe(["images"])
    yield offline
    offline.close(autocommit=False, timeout_ms=0)


def become(
    consumer: KafkaConsumer, state: MemberState, *, heartbeats: bool, rejoin: bool = False, joins: bool = False
) -> Any:
    coordinator = consumer._coordinator
    coordinator._joined_subscription = coordinator._subscription.subscription  # as after a join
    coordinator.state, coordinator._heartbeat_enabled, coordinator.rejoin_needed = state, heartbeats, rejoin
    coordinator.rejoining = joins
    return coordinator


def test_nobody_else_uses_them() -> None:
    for file in PACKAGE.rglob("*.py"):
        if file.name in ("internals.py", "record_batches.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not module.startswith(INSIDE), f"{file}:{node.lineno} imports {module}"
            if isinstance(node, ast.Attribute) and node.attr in (
                "_coordinator",
                "_fetcher",
                "_client",
                "_cluster",
                "_sender",
                "_transaction_manager",
            ):
                raise AssertionError(f"{file}:{node.lineno} uses {node.attr}")


@pytest.mark.parametrize(
    ("state", "heartbeats", "rejoin", "joins", "fenced"),
    [
        (MemberState.STABLE, False, False, False, True),
        (MemberState.STABLE, True, False, False, False),
        (MemberState.STABLE, False, True, False, False),  # about to join again
        (MemberState.STABLE, False, False, True, False),  # began to, and the coordinator was gone
        (MemberState.REBALANCING, False, False, True, False),
        (MemberState.UNJOINED, False, True, False, False),
    ],
)
def test_a_member_whose_heartbeats_were_turned_off_is_fenced(
    consumer: KafkaConsumer, state: MemberState, heartbeats: bool, rejoin: bool, joins: bool, fenced: bool
) -> None:
    become(consumer, state, heartbeats=heartbeats, rejoin=rejoin, joins=joins)
    assert internals.is_fenced(consumer) is fenced


def test_the_client_turns_heartbeats_off_when_it_is_fenced(consumer: KafkaConsumer) -> None:
    """Its own handler, on an answer that says so."""
    from kafka.errors import FencedInstanceIdError

    async def answer() -> None:
        raise FencedInstanceIdError(("g", "a"))

    coordinator = become(consumer, MemberState.STABLE, heartbeats=True)
    coordinator._send_heartbeat_request = answer
    coordinator._net.run(coordinator._do_heartbeat)
    assert internals.is_fenced(consumer)


def test_the_client_spins_while_a_heartbeat_is_overdue(consumer: KafkaConsumer) -> None:
    coordinator = become(consumer, MemberState.STABLE, heartbeats=True)
    coordinator.heartbeat.sent_heartbeat()
    assert not internals.would_spin(consumer)
    coordinator.heartbeat.last_send = coordinator.heartbeat.last_reset = time.monotonic() - 3_600
    assert internals.would_spin(consumer)
    become(consumer, MemberState.UNJOINED, heartbeats=False)
    assert not internals.would_spin(consumer)


@pytest.mark.parametrize(
    ("state", "rejoin", "joins", "polled"),
    [
        (MemberState.REBALANCING, False, True, [77]),  # the join whose answer was lost
        (MemberState.STABLE, False, True, [77]),  # the one for which there was no coordinator
        (MemberState.STABLE, True, False, [77]),
        (MemberState.STABLE, False, False, []),
    ],
)
def test_a_join_that_was_begun_is_waited_for(
    consumer: KafkaConsumer,
    state: MemberState,
    rejoin: bool,
    joins: bool,
    polled: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    coordinator = become(consumer, state, heartbeats=True, rejoin=rejoin, joins=joins)
    monkeypatch.setattr(coordinator, "poll", lambda timeout_ms: asked.append(timeout_ms))
    internals.finish_join(consumer, 77)
    assert asked == polled


def test_a_join_for_which_there_is_no_coordinator_leaves_the_member_as_it_was_without_heartbeats(
    consumer: KafkaConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the client does where the reason to join goes while it begins: it is no longer fenced than before."""
    coordinator = become(consumer, MemberState.STABLE, heartbeats=True, rejoin=True)

    async def ready(timeout_ms: int | None = None) -> bool:
        return True

    monkeypatch.setattr(coordinator, "ensure_coordinator_ready_async", ready)
    monkeypatch.setattr(coordinator, "need_rejoin", iter([True, False]).__next__)
    coordinator._net.run(coordinator.join_group_async, 1_000)
    monkeypatch.undo()
    coordinator.rejoin_needed = False
    assert (coordinator.state, coordinator._heartbeat_enabled) == (MemberState.STABLE, False)
    assert not internals.is_fenced(consumer)


def test_the_end_of_every_attempt_to_join_is_told(consumer: KafkaConsumer) -> None:
    coordinator = consumer._coordinator
    outcomes: list[Any] = [KafkaTimeoutError("lost"), b"assignment"]
    told: list[BaseException | None] = []

    async def attempt() -> Any:
        if isinstance(outcome := outcomes.pop(0), Exception):
            raise outcome
        return outcome

    coordinator._do_join_and_sync_async = attempt
    internals.watch_joins(consumer, told.append)
    with pytest.raises(KafkaTimeoutError, match="lost"):
        coordinator._net.run(coordinator._do_join_and_sync_async)
    assert coordinator._net.run(coordinator._do_join_and_sync_async) == b"assignment"
    assert [type(one) for one in told] == [KafkaTimeoutError, type(None)]


def test_a_coordinator_that_is_gone_and_the_one_that_is_found_are_told(
    consumer: KafkaConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    coordinator, said = consumer._coordinator, list[str]()
    answer = FindCoordinatorResponse(error_code=0, node_id=3, host="127.0.0.1", port=9, version=2)

    async def send(request: Any, node_id: Any = None) -> Any:
        assert isinstance(request, FindCoordinatorRequest)
        return answer

    monkeypatch.setattr(coordinator._client, "least_loaded_node", lambda: 1)
    monkeypatch.setattr(coordinator._client, "maybe_connect", lambda node: None)
    monkeypatch.setattr(coordinator._manager, "send", send)
    internals.watch_coordinator(consumer, lambda: said.append("gone"), said.append)
    coordinator._net.run(coordinator.ensure_coordinator_ready_async, 1_000)
    found = said.pop()
    assert found and not said
    coordinator.coordinator_dead("Node Disconnected")
    coordinator.coordinator_dead("and nobody knows another one")
    assert said == ["gone"]
    coordinator._net.run(coordinator.ensure_coordinator_ready_async, 1_000)
    assert said == ["gone", found]


def test_a_request_for_transactions_that_has_no_answer_is_told() -> None:
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5), transactional_id="a")
    internals.close_producer(producer)  # its thread would take the request
    manager, lost = producer._transaction_manager, list[None]()
    internals.watch_init(producer, lambda: lost.append(None))
    manager.initialize_transactions()
    *_, handler = manager._pending_requests[0]
    taken = InitProducerIdResponse(throttle_time_ms=0, error_code=0, producer_id=1, producer_epoch=0, version=4)
    for answer in (KafkaConnectionError("gone"), KafkaConnectionError("gone"), taken):
        manager._in_flight_request_correlation_id = 7
        handler.on_complete(7, answer)
    assert handler.result.succeeded and len(lost) == 2


@pytest.mark.parametrize("how", ["offsets", "commit", "abort"])
def test_transactions_are_not_waited_for_without_end_and_leave_nothing_behind(how: str) -> None:
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5), transactional_id="a")
    manager = producer._transaction_manager
    manager._current_state = TransactionState.READY
    producer.begin_transaction()
    manager._transaction_started = True  # there is something to end
    with pytest.raises(KafkaTimeoutError, match=r"no answer within 0\.2 s"):
        if how == "offsets":
            internals.add_offsets(producer, {AT: OffsetAndMetadata(1, "", -1)}, "g", 0.2)
        else:
            internals.end_transaction(producer, commit=how == "commit", timeout_s=0.2)
    internals.close_producer(producer)
    gone = weakref.ref(producer)
    del producer, manager
    gc.collect()
    assert gone() is None


def test_without_its_id_a_member_joins_as_one_that_starts(consumer: KafkaConsumer) -> None:
    coordinator = become(consumer, MemberState.STABLE, heartbeats=False)
    coordinator._generation = type(coordinator._generation)(7, "a-1", None)
    internals.forget_member_id(consumer)
    assert coordinator.need_rejoin() and consumer.group_metadata().member_id == ""


def test_the_id_of_a_topic_is_in_the_metadata(consumer: KafkaConsumer) -> None:
    assert internals.topic_id(consumer, "images") is None
    for given, known in ((uuid.UUID(int=7), str(uuid.UUID(int=7))), (uuid.UUID(int=0), None)):
        topic = MetadataResponse.MetadataResponseTopic(
            error_code=0, name="images", topic_id=given, is_internal=False, partitions=[], version=12
        )
        broker = MetadataResponse.MetadataResponseBroker(1, "host", 9092, None, version=12)
        answer = MetadataResponse(brokers=[broker], controller_id=1, cluster_id="c", topics=[topic], version=12)
        consumer._cluster.update_metadata(answer)
        assert internals.topic_id(consumer, "images") == known


def test_bad_bytes_are_taken_away(consumer: KafkaConsumer) -> None:
    assert internals.take_away_bad_bytes(consumer) is None
    drained = []
    held = Fetcher.PartitionRecords(5, AT, [1, 2], on_drain=drained.append)
    consumer._fetcher._next_partition_records = held
    assert held
    assert internals.take_away_bad_bytes(consumer) == AT
    assert not held and drained == [held]


def test_the_assignor_is_cooperative_and_speaks_of_what_it_owns() -> None:
    assert CooperativeStickyAssignor.name == "cooperative-sticky"
    assignor = CooperativeStickyAssignor()
    said = assignor.metadata({"images"})
    assert (said.topics, assignor.generation) == (["images"], -1)
    aged = ConsumerProtocolSubscription(
        version=2, topics=["images"], user_data=b"", owned_partitions=[], generation_id=7
    )
    assert ConsumerProtocolSubscription.decode(aged.encode()).generation_id == 7


@pytest.mark.parametrize(
    "request_",
    [MetadataRequest(topics=[]), SaslHandshakeRequest(mechanism="PLAIN"), SaslAuthenticateRequest(b"secret")],
    ids=lambda request: type(request).__name__,
)
def test_requests_become_frames(request_: Any) -> None:
    request_.API_VERSION = 1
    frames = KafkaProtocol(client_id="test")
    frames.send_request(request_)
    frame = frames.send_bytes()
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4 > 0
    assert int.from_bytes(frame[4:6], "big") == type(request_).API_KEY
    assert frames.receive_bytes(b"\x00\x00") == []


def test_a_password_is_said_as_the_mechanism_says_it() -> None:
    mechanism = get_sasl_mechanism("PLAIN")(host="h", sasl_plain_username="u", sasl_plain_password="p")
    assert not mechanism.is_done()
    assert mechanism.auth_bytes() == b"u\0u\0p"
    mechanism.receive(b"")
    assert mechanism.is_done()


def test_a_producer_that_has_not_sent_everything_is_closed_all_the_same() -> None:
    """Without a broker nothing is ever sent; kafka-python's own `close` raises then and goes on sending."""
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5), max_block_ms=100)
    producer._wait_on_metadata = lambda topic, max_wait: {0}
    producer._partition = lambda *_, **__: 0
    producer.send("topic", b"value")
    with pytest.raises(KafkaTimeoutError):
        producer.close(timeout=0)
    internals.close_producer(producer, 0.2)
    assert producer._closed and not producer._sender.is_alive()


def test_a_producer_that_is_closed_is_not_closed_again_by_its_finalizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can catch what that raises."""
    producer = KafkaProducer(bootstrap_servers="127.0.0.1:9", api_version=(3, 5), max_block_ms=100)

    def flush(timeout: float | None = None) -> None:
        raise KafkaTimeoutError("Timeout waiting for future")

    monkeypatch.setattr(producer, "flush", flush)
    internals.close_producer(producer)
    producer.__del__()
    assert not producer._sender.is_alive()
