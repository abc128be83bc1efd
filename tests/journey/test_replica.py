"""Several workers, one changelog: whatever happens in whatever order, all come to the same anchors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.ownership import EVERYTHING, Ownership
from stream_adapter.adapter.anchors.results import ForgetResult, LearnResult
from stream_adapter.config import AnchorsConfig
from stream_adapter.events import AnchorRecord, anchor_tombstone, round_through_float16
from stream_adapter.journey.replica import Replica
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change, change_of
from tests.fakes import CLASSES, TEXT_VECTORS, D, adapter_config, unit

VECTORS = round_through_float16(unit(np.random.default_rng(5).normal(size=(6, D))))
WORKERS = 3


def adapter_of(budget: int) -> Adapter:
    config = adapter_config(canaries=(), anchors=AnchorsConfig(budget=budget, index="exact", neighbours=2))
    return Adapter(TEXT_VECTORS, CLASSES, 10.0, config)


def record(
    anchor_id: str, label: str, *, vector: int = 0, time: int = 0, partition: int = 0, offset: int = 0
) -> AnchorRecord:
    return AnchorRecord(
        anchor_id, VECTORS[vector], label, time, "/s", anchor_id, "images", partition, offset, "fake-encoder"
    )


def learn(replica: Replica, records: list[AnchorRecord], owned: Ownership) -> tuple[LearnResult, list[OutRecord]]:
    """Labels without traffic."""
    return replica.learn((), np.zeros((0, D), np.float32), records, owned)


@dataclass
class Worker:
    name: str
    adapter: Adapter
    outbox: list[OutRecord] = field(default_factory=list)
    read: int = 0

    def __post_init__(self) -> None:
        self.replica = Replica(self.adapter, fingerprint="fake-encoder", writer=self.name, metrics=Metrics())


@dataclass
class Group:
    """Workers, their changelog, and which of them decides about which anchors."""

    budget: int
    log: list[OutRecord] = field(default_factory=list)
    offset: int = 0

    def __post_init__(self) -> None:
        self.workers = [Worker(str(number), adapter_of(self.budget)) for number in range(WORKERS)]

    def owned(self, number: int) -> Ownership:
        return Ownership(frozenset({number}), WORKERS)

    def teach(self, number: int, anchor_id: str, label: str, vector: int, time: int) -> None:
        self.offset += 1
        lesson = record(anchor_id, label, vector=vector, time=time, partition=number, offset=self.offset)
        _, outputs = learn(self.workers[number].replica, [lesson], self.owned(number))
        self.workers[number].outbox += outputs

    def forget(self, number: int, anchor_id: str) -> None:
        worker = self.workers[number]
        worker.outbox += worker.replica.forget([anchor_id])[1]

    def commit(self, number: int) -> None:
        worker = self.workers[number]
        self.log += worker.outbox
        worker.outbox = []

    def lose(self, number: int) -> None:
        """The partition of what was not committed moves away."""
        worker = self.workers[number]
        gone = [output for output in worker.outbox if output.source == Partition("images", number)]
        worker.outbox = [output for output in worker.outbox if output.source != Partition("images", number)]
        worker.replica.undo(gone)

    def follow(self, number: int, most: int) -> None:
        worker = self.workers[number]
        new = self.log[worker.read : worker.read + most]
        worker.replica.follow(changes_of(new, worker.name, worker.read))
        worker.read += len(new)
        worker.outbox += worker.replica.reassert(self.owned(number))
        worker.outbox += worker.replica.prune(self.owned(number))

    def settle(self) -> None:
        """Everything is committed and followed until nothing is left to say."""
        for _ in range(20):
            for number in range(WORKERS):
                self.follow(number, len(self.log))
                self.commit(number)
            if all(worker.read == len(self.log) and not worker.outbox for worker in self.workers):
                return
        raise AssertionError("the workers never come to an end")

    def compacted(self) -> list[OutRecord]:
        last = {output.key: position for position, output in enumerate(self.log)}
        return [output for position, output in enumerate(self.log) if last[output.key] == position]


def changes_of(outputs: list[OutRecord], writer: str, start: int = 0) -> list[Change]:
    records = [
        Record(Partition("anchors", 0), start + position, 0, output.key, output.value, output.headers)
        for position, output in enumerate(outputs)
    ]
    return [change_of(one, writer) for one in records]


NUMBERS = st.integers(0, WORKERS - 1)
IDS = st.sampled_from("abcdef")
STEPS = st.one_of(
    st.tuples(
        st.just("teach"), NUMBERS, IDS, st.sampled_from(CLASSES), st.integers(0, len(VECTORS) - 1), st.integers(0, 3)
    ),
    st.tuples(st.just("commit"), NUMBERS),
    st.tuples(st.just("follow"), NUMBERS, st.integers(1, 4)),
    st.tuples(st.just("lose"), NUMBERS),
    st.tuples(st.just("forget"), NUMBERS, IDS),
    st.tuples(st.just("delete"), IDS),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60), st.integers(2, 8))
def test_all_workers_and_whoever_restores_from_the_topic_come_to_the_same(steps: list[tuple], budget: int) -> None:
    group = Group(budget)
    for name, *arguments in steps:
        if name == "delete":
            group.log.append(anchor_tombstone(arguments[0], "an operator"))
        else:
            getattr(group, name)(*arguments)
    group.settle()
    digests = {worker.adapter.anchors_digest for worker in group.workers}
    for history in (group.log, group.compacted()):
        restored = Worker("new", adapter_of(budget))
        restored.replica.follow(changes_of(history, "new"))
        digests.add(restored.adapter.anchors_digest)
        assert restored.adapter.n_anchors <= budget
    assert len(digests) == 1
    assert not any(worker.replica.unconfirmed for worker in group.workers)


def test_what_was_learned_counts_at_once_and_its_echo_changes_nothing() -> None:
    worker = Worker("me", adapter_of(10))
    _, outputs = learn(worker.replica, [record("a", "cat")], EVERYTHING)
    assert worker.adapter.n_anchors == 1 and set(worker.replica.unconfirmed) == {"a"}
    version = worker.adapter.version
    assert worker.replica.follow(changes_of(outputs, "me")) == 0
    assert worker.adapter.version == version
    assert not worker.replica.unconfirmed


def test_what_somebody_wants_forgotten_is_gone_here_at_once_and_there_with_the_changelog() -> None:
    here, there = Worker("here", adapter_of(10)), Worker("there", adapter_of(10))
    _, log = learn(here.replica, [record("a", "cat"), record("b", "dog", vector=1)], EVERYTHING)
    gone, told = here.replica.forget(["a", "nothing", "a"])
    assert gone == ["a"]
    assert [(output.key, output.value, output.source) for output in told] == [(b"a", None, None)]
    assert here.adapter.anchors.get("a") is None
    for worker in (here, there):
        worker.replica.follow(changes_of([*log, *told], worker.name))
        assert [anchor.anchor_id for anchor in worker.adapter.anchors] == ["b"]
        assert not worker.replica.unconfirmed


def test_what_will_never_be_written_is_taken_back() -> None:
    worker = Worker("me", adapter_of(10))
    worker.replica.follow(changes_of([record("a", "cat").to_record("other")], "me"))
    before = worker.adapter.anchors_digest
    _, outputs = learn(worker.replica, [record("a", "dog", time=5), record("b", "cat", vector=1)], EVERYTHING)
    assert worker.adapter.anchors_digest != before
    worker.replica.undo(outputs)
    assert worker.adapter.anchors_digest == before


def test_so_is_what_waits_for_its_class() -> None:
    worker = Worker("me", adapter_of(10))
    worker.replica.ask_for = lambda _: True
    _, outputs = learn(worker.replica, [record("a", "zebra")], EVERYTHING)
    assert worker.replica.set_aside.anchors.keys() == {"a"} and len(outputs) == 1
    worker.replica.undo(outputs)
    assert not worker.replica.set_aside.anchors


def test_a_deletion_by_an_operator_counts_when_it_comes_after_our_own_record() -> None:
    worker = Worker("me", adapter_of(10))
    _, ours = learn(worker.replica, [record("a", "cat")], EVERYTHING)
    deletion = anchor_tombstone("a", "an operator")
    worker.replica.follow(changes_of([deletion], "me"))
    assert worker.adapter.n_anchors == 1, "the deletion came before our record, which is still on its way"
    worker.replica.follow(changes_of([*ours, deletion], "me"))
    assert worker.adapter.n_anchors == 0


def test_all_deletions_of_a_block_are_one_and_what_comes_after_its_own_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Worker("me", adapter_of(10))
    forgotten: list[list[str]] = []
    forget = worker.adapter.forget

    def noted(anchor_ids: Sequence[str]) -> ForgetResult:
        forgotten.append(list(anchor_ids))
        return forget(anchor_ids)

    monkeypatch.setattr(worker.adapter, "forget", noted)
    a, b, c = (record(name, "cat", vector=n).to_record("other") for n, name in enumerate("abc"))
    gone = {name: anchor_tombstone(name, "other") for name in "abc"}
    worker.replica.follow(changes_of([a, b, gone["a"], gone["b"], a, c, gone["c"]], "me"))
    assert forgotten == [["a", "b", "c"]]
    assert [anchor.anchor_id for anchor in worker.adapter.anchors] == ["a"]


def test_whoever_decides_about_an_anchor_writes_it_again_when_an_older_record_came_later() -> None:
    newer, older = record("a", "cat", time=9), record("a", "dog", time=1)
    worker = Worker("me", adapter_of(10))
    worker.replica.follow(changes_of([newer.to_record("x"), older.to_record("y")], "me"))
    nobody = Ownership(frozenset(), 1)
    assert worker.replica.reassert(nobody) == []
    (again,) = worker.replica.reassert(EVERYTHING)
    (change,) = changes_of([again], "me")
    assert isinstance(change.content, AnchorRecord)
    assert (change.content.label, change.content.stamp) == ("cat", newer.stamp)
    assert again.source is None, "it is written whatever becomes of the partition that it once came from"
    assert worker.replica.reassert(EVERYTHING) == []


def test_what_is_written_again_is_on_its_way_until_it_has_come_back() -> None:
    worker = Worker("me", adapter_of(10))
    newer = [record(name, "cat", vector=n, time=9).to_record("x") for n, name in enumerate("ab")]
    older = [record(name, "dog", vector=n, time=1).to_record("y") for n, name in enumerate("ab")]
    worker.replica.follow(changes_of([*newer, *older], "me"))
    again = worker.replica.reassert(EVERYTHING)
    assert set(worker.replica.unconfirmed) == {"a", "b"}
    worker.replica.follow(changes_of(again, "me"))
    assert not worker.replica.unconfirmed
    assert [anchor.label for anchor in worker.adapter.anchors] == ["cat", "cat"]


def test_so_it_does_when_the_older_record_is_its_own() -> None:
    worker = Worker("me", adapter_of(10))
    _, ours = learn(worker.replica, [record("a", "dog", time=1)], EVERYTHING)
    newer = record("a", "cat", time=9)
    worker.replica.follow(changes_of([newer.to_record("x"), *ours], "me"))
    found = worker.adapter.anchors.get("a")
    assert found is not None and found.label == "cat"
    (again,) = worker.replica.reassert(EVERYTHING)
    (change,) = changes_of([again], "me")
    assert isinstance(change.content, AnchorRecord) and change.content.label == "cat"
