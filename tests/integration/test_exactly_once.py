import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from stream_adapter.errors import Fenced, Unreachable
from stream_adapter.transport.base import Commit, CommitAborted, OutputTooLarge, OutRecord
from stream_adapter.transport.kafka import KafkaSink, KafkaSource, exactly_once
from stream_adapter.transport.kafka.exactly_once import ExactlyOnce
from stream_adapter.transport.kafka.internals import end_transaction
from stream_adapter.transport.kafka.writing import Sending
from tests.integration.cluster import Cluster, Member, close, commit_of, poll_until, settled, wait_for


def values(cluster: Cluster, *, committed_only: bool = True) -> list[bytes]:
    return [record.value for record in cluster.read(cluster.config.topics.predictions, committed_only=committed_only)]


def test_outputs_and_positions_become_visible_together(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(10))
    source = KafkaSource(cluster.but(delivery="exactly_once"))
    sink = KafkaSink(source)
    for _ in range(2):
        sink.commit(commit_of(poll_until(source, 5)))
    sink.commit(Commit([OutRecord("anchors", b"k", None)]))  # no positions
    sink.commit(Commit([]))
    assert sorted(values(cluster)) == sorted(b"%d" % n for n in range(10))
    assert cluster.committed() == {0: 5, 1: 5}
    assert len(cluster.read(cluster.config.topics.anchors)) == 1
    close(sink, source)


def test_outputs_alone_are_written_once_though_their_answer_is_lost(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what late labels leave, of which no position of the images topic tells whether it was written."""
    cluster.put(b"%d" % n for n in range(2))
    source = KafkaSource(cluster.but(delivery="exactly_once"))
    sink = KafkaSink(source)
    sink.commit(commit_of(poll_until(source, 2)))

    def lost(producer: KafkaProducer, *, commit: bool, timeout_s: float) -> None:
        end_transaction(producer, commit=commit, timeout_s=timeout_s)
        raise KafkaTimeoutError("the answer is lost")

    outputs = Commit([OutRecord("anchors", b"k", None, source=cluster.at(0))])
    with monkeypatch.context() as patch, pytest.raises(Unreachable, match="answer is lost"):
        patch.setattr(exactly_once, "end_transaction", lost)
        sink.commit(outputs)
    sink.commit(outputs)  # finds out that it was written
    assert len(cluster.read(cluster.config.topics.anchors)) == 1
    with monkeypatch.context() as patch, pytest.raises(Unreachable, match="answer is lost"):
        patch.setattr(exactly_once, "end_transaction", lost)
        sink.commit(outputs)
    sink.commit(Commit([]))  # finds it out, too, where nothing is left to be written; the next is another one
    sink.commit(Commit([OutRecord("anchors", b"next", None, source=cluster.at(0))]))
    assert [record.key for record in cluster.read(cluster.config.topics.anchors)] == [b"k", b"k", b"next"]
    assert cluster.committed() == {0: 1, 1: 1}
    close(sink, source)


def test_what_cannot_be_written_leaves_nothing_behind(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(4))
    source = KafkaSource(cluster.but(delivery="exactly_once"))
    sink = KafkaSink(source)
    commit = commit_of(poll_until(source, 4))
    large = OutRecord("predictions", b"k", bytes(2 * 2**20))
    with pytest.raises(OutputTooLarge, match=r"bytes; raise the topic's `max\.message\.bytes`") as caught:
        sink.commit(Commit([*commit.outputs, large], commit.positions))
    assert caught.value.output is large, "it would fail again and again with it"
    sink.commit(commit)
    assert values(cluster, committed_only=False).count(b"0") == 2, "the first attempt was really written"
    assert sorted(values(cluster)) == [b"0", b"1", b"2", b"3"]
    assert cluster.committed() == {0: 2, 1: 2}
    close(sink, source)


def test_after_an_abort_the_sink_takes_the_next_commit(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(4))
    source = KafkaSource(cluster.but(delivery="exactly_once"))
    sink = KafkaSink(source)
    records = poll_until(source, 4)
    foreign = Commit(commit_of(records).outputs, {cluster.at(0): 100})  # as if of a former ownership
    with pytest.raises(CommitAborted, match="moved to another worker"):
        sink.commit(foreign)
    assert values(cluster) == []
    sink.commit(commit_of(records))
    assert sorted(values(cluster)) == [b"0", b"1", b"2", b"3"]
    close(sink, source)


def test_a_second_worker_with_the_same_identity_fences_the_first(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(4))
    identity = {"delivery": "exactly_once", "transactional_id": cluster.config.group_id}
    source = KafkaSource(cluster.but(**identity))
    first = KafkaSink(source)
    records = poll_until(source, 4)
    other = KafkaSource(cluster.but(group_id=cluster.config.group_id + "-other", **identity))
    second = KafkaSink(other)
    with pytest.raises(Fenced, match="another worker took over the identity"):
        first.commit(commit_of(records))
    assert values(cluster) == [] and cluster.committed() == {0: None, 1: None}
    close(first, second, source, other)


def test_a_batch_whose_partition_moved_is_undone_as_a_whole(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(10))
    a = Member(cluster.but(delivery="exactly_once"))
    wait_for(lambda: len(a.records) == 10)
    a.do(lambda source, _: source.pause())
    b = Member(cluster.config, paused=True)
    wait_for(lambda: settled(a, b))
    (kept,) = a.assigned

    def commit_old(source: KafkaSource, sink: KafkaSink) -> bool:
        try:
            sink.commit(commit_of(a.records))
        except CommitAborted:
            return True
        return False

    assert a.do(commit_old)
    assert values(cluster) == [] and cluster.committed() == {0: None, 1: None}
    mine = [record for record in a.records if record.partition == kept]
    a.do(lambda _, sink: sink.commit(commit_of(mine)))
    assert sorted(values(cluster)) == [record.value for record in mine]
    assert cluster.committed() == {0: None, 1: None} | {kept.number: 5}
    a.stop()
    b.stop()


def test_a_member_that_fell_out_of_the_group_commits_nothing(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(4))
    source = KafkaSource(cluster.but(delivery="exactly_once", max_poll_interval_ms=1_000, session_timeout_ms=1_000))
    sink = KafkaSink(source)
    records = poll_until(source, 4)
    time.sleep(3.0)
    with pytest.raises(CommitAborted):
        sink.commit(commit_of(records))
    assert values(cluster) == [] and cluster.committed() == {0: None, 1: None}
    close(sink, source)


@pytest.mark.slow
def test_a_transaction_that_its_worker_left_open_for_too_long_is_tried_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a process stands still: the broker undoes it, and fences whoever began it."""
    cluster.put(b"%d" % n for n in range(4))
    config = cluster.but(delivery="exactly_once", group_instance_id="slow", transaction_timeout_ms=1_000)
    source = KafkaSource(config)
    sink = KafkaSink(source)
    commit = commit_of(poll_until(source, 4))
    assert isinstance(sink._how, ExactlyOnce)
    start = sink._how._writer.start
    source.before_poll = lambda: None  # a worker never polls within a commit, and nothing else may begin then

    def late(producer: KafkaProducer, outputs: Sequence[OutRecord]) -> Sending:
        sending = start(producer, outputs)
        sending.wait(5.0)
        until = time.monotonic() + 13.0  # brokers look for such transactions every 10 s
        while time.monotonic() < until:
            source.poll(0, 0.1)
        return sending

    with monkeypatch.context() as patch:
        patch.setattr(sink._how._writer, "start", late)
        with pytest.raises(CommitAborted):
            sink.commit(commit)
    assert values(cluster) == []
    sink.commit(commit)
    assert sorted(values(cluster)) == [b"0", b"1", b"2", b"3"] and cluster.committed() == {0: 2, 1: 2}
    close(sink, source)


COPY_ALL = """
import sys
from stream_adapter.config import KafkaConfig
from stream_adapter.transport.kafka import KafkaSink, KafkaSource
from tests.integration.cluster import commit_of

source = KafkaSource(KafkaConfig.model_validate_json(sys.argv[1]))
sink = KafkaSink(source)
while True:
    records = source.poll(3, 0.1)
    sink.commit(commit_of(records))
    print(len(records), flush=True)
"""


@pytest.mark.slow
def test_a_worker_that_is_killed_again_and_again_writes_every_output_once(cluster: Cluster) -> None:
    cluster.put(b"%d" % n for n in range(150))
    config = cluster.but(delivery="exactly_once", group_instance_id="only")
    for commits in (3, 8, 14, 60):
        worker = subprocess.Popen(
            [sys.executable, "-c", COPY_ALL, config.model_dump_json()], stdout=subprocess.PIPE, text=True
        )
        assert worker.stdout is not None
        for _ in range(commits):
            worker.stdout.readline()
        if commits == 60:
            wait_for(lambda: sum(part or 0 for part in cluster.committed().values()) == 150, what="all records")
        else:
            time.sleep(0.02)  # somewhere in the midst of a transaction
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        worker.stdout.close()
    assert sorted(values(cluster)) == sorted(b"%d" % n for n in range(150))
