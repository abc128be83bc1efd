"""What happens to batches that are under way when their commit is aborted or their partitions move."""

import threading
from collections.abc import Sequence

import pytest

from stream_adapter.adapter.anchors.ownership import EVERYTHING, Ownership
from stream_adapter.errors import Unreachable
from stream_adapter.journey.outcome import Outcome
from stream_adapter.metrics import Metrics
from stream_adapter.service.pipeline import Pipeline
from stream_adapter.transport.base import Commit, CommitAborted, OutputTooLarge, Record
from stream_adapter.transport.dead_letters import size_of
from stream_adapter.transport.memory import MemorySink, MemorySource
from tests.fakes import FakeClock, headers, picture
from tests.service.rig import ONE, ZERO, Rig, SlowEncoder, wait_for


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
    (anchor,) = rig.processor.adapter.anchors
    assert anchor.label == "cat"


class Narrow(MemorySink):
    """Takes no output that is larger than this."""

    most = 10_000

    def commit(self, commit: Commit) -> None:
        large = [one for one in commit.outputs if size_of(one) > self.most and one.channel != "dead_letters"]
        if large:
            raise OutputTooLarge("the topic does not take it", large[0])
        super().commit(commit)


@pytest.mark.parametrize("channel", ["anchors", "predictions"])
def test_outputs_that_are_too_large_are_left_out_and_end_nothing(channel: str) -> None:
    """They are counted, and what they would have taught is taken back."""
    source = MemorySource()
    for number in range(6):
        long = {"source": "/" + "s" * 2_000} if number in (1, 4) else {}
        source.add(**picture("cat", number, "cat") | {"headers": headers(str(number), "cat", **long)})
    rig = Rig(source)
    sink = Narrow()
    rig.sink = rig.changelog._sink = rig.worker._pipeline._sink = sink
    sink.most = 2_000
    rig.worker.run()
    assert sink.positions == {ZERO: 6}
    assert [record.key for record in sink.records["predictions"]] == [b"0", b"2", b"3", b"5"]
    assert len(sink.records["anchors"]) == 4 == rig.processor.adapter.n_anchors, "what is not written is not kept"
    letters = [dict(record.headers) for record in sink.records["dead_letters"]]
    assert [letter["ce_id"] for letter in letters] == [b"1", b"4"], "no event goes without a word"
    assert {letter["__connect.errors.stage"] for letter in letters} == {b"commit"}
    assert b"the topic does not take it" in letters[0]["__connect.errors.exception.message"]
    sample = rig.metrics.registry.get_sample_value
    assert sample("stream_adapter_dead_letters_total", {"stage": "commit"}) == 2
    assert sample("stream_adapter_outputs_too_large_total", {"channel": channel}) == 2
    assert sample("stream_adapter_predictions_total") == 4


class Held:
    """A processor whose batches are finished when the test says so."""

    def __init__(self) -> None:
        self.go = [threading.Event() for _ in range(4)]
        self._begun = self.encoded = 0

    def prepare(self, records: Sequence[Record]) -> Sequence[Record]:
        return records

    def encode(self, records: Sequence[Record]) -> Sequence[Record]:
        self.encoded += 1
        return records

    def finish(self, records: Sequence[Record], owned: Ownership) -> Outcome:
        go = self.go[self._begun]
        self._begun += 1
        assert go.wait(20)
        return Outcome(Commit([], {ZERO: records[-1].offset + 1}))


def held(batches: int) -> tuple[Held, Pipeline, MemorySink, FakeClock]:
    processor, sink, clock = Held(), MemorySink(), FakeClock()
    pipeline = Pipeline(
        sink=sink,
        processor=processor,  # type: ignore[arg-type]
        metrics=Metrics(),
        progress=lambda: None,
        took=lambda records, seconds: None,
        poll=lambda: None,
        clock=clock,
    )
    for number in range(batches):
        pipeline.take([Record(ZERO, number, 0, None, b"")], EVERYTHING)
    return processor, pipeline, sink, clock


def finish(processor: Held, pipeline: Pipeline, number: int) -> None:
    processor.go[number].set()
    pipeline._jobs[number].future.result(10)


def test_the_encoder_does_not_wait_for_what_becomes_of_its_vectors() -> None:
    processor, pipeline, _, _ = held(3)
    wait_for(lambda: processor.encoded == 3)
    assert not pipeline._jobs[0].future.done()
    for go in processor.go:
        go.set()
    pipeline.close()


def test_what_is_finished_waits_a_moment_for_what_is_about_to_be() -> None:
    processor, pipeline, sink, _ = held(4)
    finish(processor, pipeline, 0)
    pipeline.commit_finished()
    assert sink.commits == []
    finish(processor, pipeline, 1)
    finish(processor, pipeline, 2)
    pipeline.commit_finished()
    assert [commit.positions for commit in sink.commits] == [{ZERO: 3}], "three batches in one commit"
    processor.go[3].set()
    pipeline.close()


def test_nothing_is_waited_for_where_there_is_time_for_each() -> None:
    processor, pipeline, sink, _ = held(3)
    finish(processor, pipeline, 0)
    pipeline.commit_finished()
    assert [commit.positions for commit in sink.commits] == [{ZERO: 1}]
    for go in processor.go:
        go.set()
    pipeline.close()


def test_nothing_is_waited_for_that_takes_long() -> None:
    processor, pipeline, sink, clock = held(4)
    finish(processor, pipeline, 0)
    pipeline.commit_finished()
    assert sink.commits == []
    clock.now_s += 0.051
    pipeline.commit_finished()
    assert [commit.positions for commit in sink.commits] == [{ZERO: 1}]
    for go in processor.go:
        go.set()
    pipeline.close()


def test_a_batch_alone_and_three_together_do_not_wait() -> None:
    processor, pipeline, sink, _ = held(1)
    finish(processor, pipeline, 0)
    pipeline.commit_finished()
    assert len(sink.commits) == 1
    pipeline.close()
    processor, pipeline, sink, _ = held(4)
    for number in range(3):
        finish(processor, pipeline, number)
    pipeline.commit_finished()
    assert [commit.positions for commit in sink.commits] == [{ZERO: 3}]
    processor.go[3].set()
    pipeline.close()


def test_a_sink_in_doubt_is_asked_again_though_nothing_of_the_commit_is_left() -> None:
    """Else it would take the next commit for the one that it has no answer for, and nobody would write that."""
    processor, pipeline, sink, _ = held(1)
    commit = sink.commit

    def unreachable(_: Commit) -> None:
        sink.commit = commit  # type: ignore[method-assign]
        raise Unreachable("no answer")

    sink.commit = unreachable  # type: ignore[method-assign]
    finish(processor, pipeline, 0)
    with pytest.raises(Unreachable):
        pipeline.commit_finished()
    pipeline.keep_only(frozenset())
    pipeline.commit_finished()
    assert sink.commits == [Commit([])]
    assert len(pipeline) == 0
    pipeline.close()


def test_between_two_attempts_of_a_commit_the_group_is_polled_and_what_moved_away_is_left_out() -> None:
    """A consumer that is not polled loses its place, and would commit what its successor reads again."""
    processor, pipeline, sink, _ = held(1)
    attempts, polls = [CommitAborted("a rebalance"), CommitAborted("and again")], []
    commit = sink.commit

    def flaky(batch: Commit) -> None:
        if attempts:
            raise attempts.pop()
        commit(batch)

    def poll() -> None:
        polls.append(len(attempts))
        pipeline.keep_only(frozenset())

    sink.commit = flaky  # type: ignore[method-assign]
    pipeline._poll = poll
    finish(processor, pipeline, 0)
    pipeline.commit_finished()
    assert len(polls) >= 1
    assert sink.commits == [], "the partition moved away between the attempts"
    pipeline.close()
