"""A worker with a name of its own that its group takes for another one: by a join of its own whose answer was lost.

A broker gives a static member that joins without a member id a new one, and fences the old. It tells nobody whose join
that was, so a member whose join was sent twice may be fenced by itself (KAFKA-20985).
"""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

from stream_adapter.demo.broker import LocalKafka
from stream_adapter.errors import Fenced
from stream_adapter.transport.base import Commit, CommitAborted, OutRecord
from stream_adapter.transport.kafka import KafkaSink, KafkaSource, place
from stream_adapter.transport.kafka.assigning import StickyAssignor
from stream_adapter.transport.kafka.beginning import LatestBeginning
from tests.faults.proxy import INIT_PRODUCER_ID, JOIN_GROUP, SYNC_GROUP, Proxy, stand_between
from tests.integration.cluster import Cluster, Member, close, commit_of, poll_until, settled, wait_for


@pytest.fixture(scope="module")
def proxy(local_kafka: LocalKafka) -> Iterator[Proxy]:
    between = stand_between(local_kafka)
    yield between
    between.stop()


@pytest.fixture
def through(cluster: Cluster, proxy: Proxy) -> dict[str, Any]:
    """What a member's configuration needs to come through the proxy under the name "a"."""
    return {"bootstrap_servers": f"127.0.0.1:{proxy.port}", "group_instance_id": "a"}


@pytest.fixture
def resets_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes to connect again on a busy machine, no broker was away."""
    monkeypatch.setattr(place, "_AWAY_S", float("inf"))


@pytest.mark.usefixtures("resets_alone")
@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_a_worker_that_its_own_lost_join_fences_joins_anew(
    cluster: Cluster, proxy: Proxy, through: dict[str, Any], delivery: str
) -> None:
    join = proxy.hold_next(JOIN_GROUP)
    worker = Member(cluster.but(**through, delivery=delivery), copy=True)
    assert join.came.wait(20)
    proxy.reset()
    wait_for(lambda: worker.assigned, what="the second join")
    cluster.put(b"%d" % n for n in range(50))
    wait_for(lambda: len(worker.records) >= 20, what="records")
    join.passes.set()
    wait_for(lambda: len({record.value for record in worker.records}) == 50, what="all records")
    time.sleep(3.0)  # heartbeats
    cluster.put(b"%d" % n for n in range(50, 60))
    wait_for(lambda: len({record.value for record in worker.records}) == 60, what="what came afterwards")
    wait_for(lambda: sum(part or 0 for part in cluster.committed().values()) == 60, what="all positions")
    written = [record.value for record in cluster.read(cluster.config.topics.predictions)]
    assert len(written) == 60 or delivery == "at_least_once"

    twin = Member(cluster.but(**through, delivery=delivery))
    wait_for(lambda: not worker.is_alive(), timeout_s=10.0, what="the end of the first of two with one name")
    with pytest.raises(Fenced, match="another worker took over"):
        worker.records  # noqa: B018 - raises what ended it
    wait_for(lambda: twin.assigned)
    twin.stop()


@pytest.mark.usefixtures("resets_alone")
def test_of_two_with_one_name_one_ends_also_where_a_join_was_lost(
    cluster: Cluster, proxy: Proxy, through: dict[str, Any]
) -> None:
    join = proxy.hold_next(JOIN_GROUP)  # and it never arrives
    first = Member(cluster.but(**through))
    assert join.came.wait(20)
    proxy.reset()
    wait_for(lambda: first.assigned, what="the second join")
    second = Member(cluster.but(**through))
    wait_for(lambda: not second.is_alive(), timeout_s=15.0, what="the end of the second, whose joins were answered")
    with pytest.raises(Fenced, match="another worker took over"):
        second.records  # noqa: B018 - raises what ended it
    wait_for(lambda: first.assigned)
    third = Member(cluster.but(**through))
    wait_for(lambda: not first.is_alive(), timeout_s=15.0, what="the end of the first, which did that once")
    wait_for(lambda: third.assigned)
    third.stop()


def test_a_lost_request_for_transactions_that_is_taken_later_ends_nobody(
    cluster: Cluster, proxy: Proxy, through: dict[str, Any]
) -> None:
    """It fences the producer as another worker would."""
    cluster.put(b"%d" % n for n in range(4))
    config = cluster.but(**through, delivery="exactly_once")
    source = KafkaSource(config)
    request = proxy.hold_next(INIT_PRODUCER_ID)
    breaking = threading.Thread(target=lambda: request.came.wait(20) and proxy.reset(), daemon=True)
    breaking.start()
    sink = KafkaSink(source)
    commit = commit_of(poll_until(source, 4))
    request.passes.set()
    assert request.answered.wait(20)
    with pytest.raises(CommitAborted):
        sink.commit(commit)
    sink.commit(commit)

    def written() -> list[bytes]:  # a transaction shows a moment after its commit
        return sorted(record.value for record in cluster.read(cluster.config.topics.predictions))

    wait_for(lambda: written() == [b"0", b"1", b"2", b"3"] and cluster.committed() == {0: 2, 1: 2})

    other = KafkaSink(source)  # the same name
    with pytest.raises(Fenced, match="another worker took over"):
        sink.commit(Commit([OutRecord("anchors", b"k", None)]))
    close(sink, other, source)


def test_one_that_had_not_decided_yet_where_to_begin_decides_it_then(
    cluster: Cluster, proxy: Proxy, through: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, may = LatestBeginning.decide, threading.Event()
    monkeypatch.setattr(LatestBeginning, "decide", lambda beginning: may.is_set() and decide(beginning))
    join = proxy.hold_next(JOIN_GROUP)
    worker = Member(cluster.but(**through, auto_offset_reset="latest"))
    assert join.came.wait(20)
    proxy.reset()
    wait_for(lambda: worker.assigned, what="the second join")
    before = worker.do(lambda source, _: source.group_metadata().member_id)
    join.passes.set()
    wait_for(lambda: worker.do(lambda source, _: source.group_metadata().member_id) not in ("", before))
    wait_for(lambda: worker.assigned, what="the third join")
    may.set()
    wait_for(lambda: None not in cluster.committed().values(), what="a decision")
    cluster.put(b"%d" % n for n in range(4))
    wait_for(lambda: len(worker.records) == 4)
    worker.stop()


@pytest.mark.slow
def test_a_worker_whose_group_went_back_to_its_former_self_joins_anew(
    cluster: Cluster, local_kafka: LocalKafka, proxy: Proxy, through: dict[str, Any]
) -> None:
    """A broker writes down who is in a group when all have their partitions; killed before, it knows the former."""
    former = Member(cluster.but(**through))
    other = Member(cluster.but(**through | {"group_instance_id": "b"}))
    wait_for(lambda: settled(former, other))
    time.sleep(1.5)  # the last round of a cooperative rebalance
    former.stop()
    syncs = [proxy.hold_next(SYNC_GROUP), proxy.hold_next(SYNC_GROUP)]
    other.do(lambda source, _: source._consumer._coordinator.request_rejoin())
    worker = Member(cluster.but(**through))
    assert all(sync.came.wait(20) for sync in syncs), "both have joined"
    local_kafka.kill()
    local_kafka.start()
    proxy.reset()
    wait_for(lambda: settled(worker, other), what="both, each with a partition")
    worker.stop()
    other.stop()


@pytest.mark.slow
@pytest.mark.parametrize("delivery", ["at_least_once", "exactly_once"])
def test_a_worker_whose_broker_came_back_with_an_earlier_state_of_the_group_goes_on_where_it_was(
    cluster: Cluster, local_kafka: LocalKafka, through: dict[str, Any], delivery: str
) -> None:
    """Seen of Kafka 4.3.1, which answered when it had read a part of its log: members fenced, positions of long ago.

    What such a broker has in its state is put there by somebody who has the worker's name, and then ends.
    """
    worker = Member(cluster.but(**through, delivery=delivery), copy=True)
    cluster.put(b"%d" % n for n in range(60))
    wait_for(lambda: len(worker.records) == 60, what="records")
    wait_for(lambda: cluster.committed() == {0: 30, 1: 30} or delivery == "exactly_once", what="positions")
    local_kafka.kill()
    time.sleep(2.0)
    local_kafka.start()
    wait_for(lambda: worker.do(lambda source, _: source.place._doubt._reading_until > time.monotonic()))

    may = threading.Event()  # before that the worker does not notice
    threading.Thread(target=worker.do, args=(lambda *_: may.wait(30),)).start()
    former = KafkaConsumer(
        bootstrap_servers=cluster.config.bootstrap_servers,
        group_id=cluster.config.group_id,
        group_instance_id="a",
        enable_auto_commit=False,
        partition_assignment_strategy=[StickyAssignor],
    )
    former.subscribe([cluster.config.topics.images])
    early = {TopicPartition(cluster.config.topics.images, n): OffsetAndMetadata(3, "", -1) for n in range(2)}
    wait_for(lambda: former.poll(timeout_ms=100) is not None and len(former.assignment()) == 2)
    former.commit(early)
    former.close(autocommit=False)  # a static member does not leave
    assert cluster.committed() == {0: 3, 1: 3}
    may.set()
    cluster.put(b"%d" % n for n in range(60, 80))
    wait_for(lambda: len({record.value for record in worker.records}) == 80, what="what came afterwards")
    time.sleep(2.0)  # whatever else would come
    written = [int(record.value) for record in cluster.read(cluster.config.topics.predictions)]
    # What was not committed when the worker was fenced may come twice with `at_least_once`.
    assert sorted(number for number in written if number < 60 or delivery == "exactly_once") == [
        *range(60 if delivery == "at_least_once" else 80)
    ]
    worker.stop()


def test_events_that_a_worker_has_committed_are_not_read_again(cluster: Cluster, through: dict[str, Any]) -> None:
    def go_back(source: KafkaSource, _: KafkaSink) -> None:
        for at in source.assigned:
            source._consumer.seek(TopicPartition(*at), 3)

    worker = Member(cluster.but(**through), copy=True)
    cluster.put(b"%d" % n for n in range(60))
    wait_for(lambda: cluster.committed() == {0: 30, 1: 30}, what="positions")
    worker.do(go_back)
    cluster.put(b"%d" % n for n in range(60, 70))
    wait_for(lambda: cluster.committed() == {0: 35, 1: 35}, what="positions")
    assert len(worker.records) == 70

    worker.do(lambda source, _: source.positions.reached.update(dict.fromkeys(source.assigned, 1_000)))
    worker.do(go_back)  # to a log that was cut off since: these are others
    wait_for(lambda: len(worker.records) == 70 + 2 * 32)
    worker.stop()
