"""What happens to batches that are under way when their commit is aborted or their partitions move."""

from stream_adapter.transport.base import CommitAborted
from stream_adapter.transport.memory import MemorySource
from tests.fakes import picture
from tests.service.test_worker import ONE, ZERO, Rig, SlowEncoder, wait_for


def test_an_aborted_commit_is_tried_again_and_everything_is_written_once() -> None:
    source = MemorySource()
    for number in range(8):
        source.add(**picture("cat", number, "cat"))
    rig = Rig(source)
    rig.sink.error = CommitAborted("a rebalance")
    rig.worker.run()
    assert sorted(record.key or b"" for record in rig.sink.records["predictions"]) == [b"%d" % n for n in range(8)]
    assert len(rig.sink.records["anchors"]) == 8 == rig.processor.adapter.n_anchors
    assert rig.metrics.registry.get_sample_value("stream_adapter_aborted_commits_total") == 1


def test_what_was_learned_from_a_partition_that_moved_away_is_neither_written_nor_kept() -> None:
    encoder = SlowEncoder()
    source = MemorySource([ZERO, ONE], endless=True)
    source.add(**picture("cat", 1, "cat"), partition=ZERO)
    source.add(**picture("dog", 2, "dog"), partition=ONE)
    rig = Rig(source, encoder)
    thread = rig.run_in_thread()
    assert encoder.entered.wait(10)
    source.revoke(ONE)
    polls = source.polls
    wait_for(lambda: source.polls > polls + 2)  # the loop has seen it
    encoder.go.set()
    wait_for(lambda: rig.sink.commits and rig.processor.adapter.n_anchors == 1)
    rig.worker.stop()
    thread.join(10)
    assert [record.key for record in rig.sink.records["predictions"]] == [b"1"]
    assert len(rig.sink.records["anchors"]) == 1
    assert rig.sink.positions == {ZERO: 1}
    (anchor,) = rig.processor.adapter.anchors()
    assert anchor.label == "cat"


def test_batches_that_are_finished_together_are_committed_together() -> None:
    encoder = SlowEncoder()
    source = MemorySource(endless=True)
    for number in range(12):
        source.add(**picture("cat", number))
    rig = Rig(source, encoder)
    thread = rig.run_in_thread()
    assert encoder.entered.wait(10)
    wait_for(lambda: source.lag()[ZERO] == 0)
    encoder.go.set()
    wait_for(lambda: rig.sink.positions.get(ZERO) == 12)
    rig.worker.stop()
    thread.join(10)
    with_events = [commit for commit in rig.sink.commits if commit.positions]
    assert len(with_events) < 3, "three batches of four events"
