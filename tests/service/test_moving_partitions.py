"""Partitions come to a worker and leave it: what was under way for them, and what others learned meanwhile."""

import json
import time
from collections.abc import Iterator, Sequence

from stream_adapter.transport.changelog import Change
from stream_adapter.transport.labels import SingleLabelFeed
from stream_adapter.transport.memory import MemoryChangelog, MemorySource
from tests.fakes import picture
from tests.service.rig import ONE, ZERO, Rig, SlowEncoder, learned_elsewhere, wait_for


def test_records_of_a_partition_that_moves_away_are_left_to_its_new_owner() -> None:
    source = MemorySource([ZERO, ONE], endless=True)
    source.add(**picture("cat", 1), partition=ONE)
    rig = Rig(source, max_wait_s=30.0)
    thread = rig.run_in_thread()
    wait_for(lambda: source.lag()[ONE] == 0)
    source.revoke(ONE)
    for number in range(2, 6):
        source.add(**picture("cat", number), partition=ZERO)
    wait_for(lambda: rig.sink.commits)
    rig.worker.stop()
    thread.join(10)
    assert rig.sink.positions == {ZERO: 4}
    assert [record.key for record in rig.sink.records["predictions"]] == [b"2", b"3", b"4", b"5"]
    assert rig.metrics.registry.get_sample_value("stream_adapter_rebalances_total") == 2  # what came, and what went


def test_a_partition_that_goes_and_comes_back_teaches_what_was_under_way_meanwhile() -> None:
    """Its batch is left and read again: what it taught must be taken back before, or its labels would be known."""
    encoder = SlowEncoder()
    source = MemorySource([ONE], endless=True)
    source.add(**picture("cat", 1, "cat"), partition=ONE)
    rig = Rig(source, encoder)
    thread = rig.run_in_thread()
    assert encoder.entered.wait(10)

    def rebalances() -> float | None:
        return rig.metrics.registry.get_sample_value("stream_adapter_rebalances_total")

    source.revoke(ONE)
    wait_for(lambda: rebalances() == 2)
    source.assign(ONE)
    wait_for(lambda: rebalances() == 3)
    source.add(**picture("cat", 1, "cat"), partition=ONE)
    wait_for(lambda: source.lag()[ONE] == 0)
    time.sleep(0.1)  # time to hand it over, where nothing held it back
    encoder.go.set()
    wait_for(lambda: rig.sink.records["predictions"])
    rig.worker.stop()
    thread.join(10)
    assert rig.processor.adapter.n_anchors == 1
    assert [record.value is not None for record in rig.sink.records["anchors"]] == [True]


class Feed(SingleLabelFeed):
    """Nothing comes; remembers what it was assigned."""

    def __init__(self) -> None:
        super().__init__(lambda _: (), lambda _: ())
        self.assigned: list[frozenset[int]] = []

    def assign(self, numbers: frozenset[int]) -> None:
        if self.assigned[-1:] != [numbers]:
            self.assigned.append(numbers)


def test_labels_of_a_partition_that_goes_and_comes_back_begin_anew() -> None:
    """What was under way for it was left out: whoever owns it next, be it this worker, applies these labels."""
    encoder, feed = SlowEncoder(), Feed()
    source = MemorySource([ZERO], endless=True)
    source.add(**picture("cat", 1), partition=ZERO)
    rig = Rig(source, encoder, labels=feed)
    thread = rig.run_in_thread()
    assert encoder.entered.wait(10)
    source.revoke(ZERO)
    wait_for(lambda: rig.metrics.registry.get_sample_value("stream_adapter_rebalances_total") == 2)
    source.assign(ZERO, 1)
    wait_for(lambda: rig.metrics.registry.get_sample_value("stream_adapter_rebalances_total") == 3)
    already = len(feed.assigned)
    encoder.go.set()
    wait_for(lambda: feed.assigned[already:][-1:] == [frozenset({0})])
    rig.worker.stop()
    thread.join(10)
    assert frozenset() in feed.assigned[already:]


def test_after_an_assignment_it_knows_what_the_former_owner_learned_before_it_reads_on() -> None:
    """What the former owner wrote just before it lost the partition is in the changelog, but `poll` may not have it."""

    class Late(MemoryChangelog):
        """It hands out nothing that was written since unless it is read to its end."""

        def read_to_end(self) -> Iterator[Sequence[Change]]:
            yield super().poll()

        def poll(self) -> Sequence[Change]:
            return []

    source = MemorySource([ZERO, ONE], endless=True)
    rig = Rig(source)
    rig.changelog = rig.worker._changelog = Late((), rig.sink, writer="test")
    source.revoke(ONE)
    thread = rig.run_in_thread()
    wait_for(lambda: not rig.health.missing)
    rig.changelog.write(learned_elsewhere(picture("dog", 1, "dog")))
    assert rig.processor.adapter.n_anchors == 0
    source.assign(ONE)
    source.add(**picture("dog", 2), partition=ONE)
    wait_for(lambda: rig.sink.records["predictions"])
    rig.worker.stop()
    thread.join(10)
    (prediction,) = [json.loads(record.value or b"") for record in rig.sink.records["predictions"]]
    assert [anchor["label"] for anchor in prediction["anchors"]] == ["dog"]
