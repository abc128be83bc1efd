"""Topics and a group as a broker has them, simulated; and how a worker reads and writes them."""

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from stream_adapter.errors import Unreachable
from stream_adapter.transport.base import Commit, CommitAborted, OutputTooLarge, OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change, change_of
from stream_adapter.transport.kafka import labels
from stream_adapter.transport.kafka.labels import KafkaLabelFeed
from stream_adapter.transport.kafka.ownership import Ownership

TOO_LARGE = 23  # of so many events the anchor of one is larger than its topic takes, and the prediction of another


@dataclass
class Group:
    """What the broker knows.

    Attributes:
        images: the records of each partition.
        committed: the group's positions, and the mark of the commit that each is from.
        written: what is visible to readers of what was committed, in order.
        waiting: of that the records of each partition of the waiting topic.
        labels: the records of the labels topic.
        owners: who may commit positions of a partition; None between two owners.
        faults: whether anything goes wrong.
        progress: called whenever somebody asks for news.
        unanswered: called with the number of a member whose commit has no answer.
    """

    draw: random.Random
    images: dict[Partition, list[Record]]
    committed: dict[Partition, tuple[int, object]] = field(default_factory=dict)
    written: list[OutRecord] = field(default_factory=list)
    waiting: list[list[Record]] = field(default_factory=list)
    labels: list[Record] = field(default_factory=list)
    owners: dict[Partition, int | None] = field(default_factory=dict)
    faults: bool = True
    progress: Callable[[], None] = lambda: None
    unanswered: Callable[[int], None] = lambda number: None

    def write(self, outputs: Iterable[OutRecord]) -> None:
        """Let readers see these."""
        for output in outputs:
            self.written.append(output)
            if output.channel == "waiting":
                assert output.partition is not None
                log = self.waiting[output.partition]
                at, time_ms = Partition("waiting", output.partition), output.timestamp_ms or 0
                log.append(Record(at, len(log), time_ms, output.key, output.value, output.headers))

    def chance(self, share: float) -> bool:
        """Whether a fault happens that does so with this probability."""
        return self.faults and self.draw.random() < share


class Source:
    """As `KafkaSource`, of what concerns who owns what.

    Attributes:
        news: what the group tells this member in its next poll: "gone" or "assigned", and partitions.
        belongs: whether the group knows this member.
        trouble: see `Source`.
    """

    exhausted = False

    def __init__(self, group: Group, number: int) -> None:
        self.ownership = Ownership()
        self.news: deque[tuple[str, list[Partition]]] = deque()
        self.belongs = True
        self.trouble: str | None = None
        self._group = group
        self._number = number
        self._next: dict[Partition, int] = {}
        self._paused = False

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        group = self._group
        group.progress()
        if self.trouble is not None:
            return []
        self.ownership.poll_begins()
        while self.news:
            what, partitions = self.news.popleft()
            if what == "gone":
                self.ownership.revoked(partitions)
                for at in partitions:
                    if group.owners[at] == self._number:
                        group.owners[at] = None
            else:
                mine = [at for at in partitions if group.owners[at] == self._number]
                self.ownership.assigned(mine)
                self._next |= {at: group.committed[at][0] for at in mine}
        records: list[Record] = []
        visible = sorted(self.ownership.visible) if max_records > 0 and not self._paused else []
        for at in group.draw.sample(visible, len(visible)):
            most = min(max_records - len(records), group.draw.choice((0, 2, 5, 16)))
            new = group.images[at][self._next[at] : self._next[at] + most]
            self._next[at] += len(new)
            records += new
        self.ownership.delivered(records)
        return records

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False

    @property
    def assigned(self) -> frozenset[Partition]:
        return self.ownership.visible

    @property
    def partition_count(self) -> int:
        return len(self._group.images)

    def lag(self) -> dict[Partition, int]:
        return {at: len(self._group.images[at]) - self._next[at] for at in self.assigned}

    def close(self) -> None:
        """Nothing is open."""


class Sink:
    """As `KafkaSink` with `exactly_once`: see `ExactlyOnce`."""

    def __init__(self, group: Group, source: Source, number: int) -> None:
        self._group = group
        self._source = source
        self._number = number
        self._in_doubt: tuple[object, set[Partition]] | None = None

    def commit(self, commit: Commit) -> None:
        if not (commit.outputs or commit.positions or self._in_doubt):
            return
        if self._source.trouble is not None:
            raise Unreachable(self._source.trouble)
        if self._in_doubt is not None:
            (mark, partitions), self._in_doubt = self._in_doubt, None
            decisive = partitions & self._source.assigned or partitions
            if decisive and all(self._group.committed[at][1] is mark for at in decisive):
                return
        if not (commit.outputs or commit.positions):
            return
        if commit.positions.keys() - self._source.ownership.committable(commit.positions).keys():
            raise CommitAborted("some moved to another worker")
        if not self._source.belongs:
            raise CommitAborted("fell out of the group")
        self._transact(commit)

    def _transact(self, commit: Commit) -> None:
        group, mark = self._group, object()
        sources = {output.source for output in commit.outputs if output.source is not None}
        positions = dict(commit.positions) or {at: group.committed[at][0] for at in sources & self._source.assigned}
        if large := [output for output in commit.outputs if too_large(output)]:
            raise OutputTooLarge("the topic does not take it", group.draw.choice(large))
        fenced = any(group.owners[at] != self._number for at in positions)
        if group.chance(0.15):
            self._in_doubt = mark, set(positions)
            if not fenced and group.chance(0.5):
                self._write(commit, positions, mark)
            group.unanswered(self._number)
            raise Unreachable("no answer")
        if fenced or group.chance(0.15):
            raise CommitAborted("the transaction was aborted")
        self._write(commit, positions, mark)

    def _write(self, commit: Commit, positions: dict[Partition, int], mark: object) -> None:
        self._group.write(commit.outputs)
        for at, to in positions.items():
            assert to >= self._group.committed[at][0], "a position goes back"
            self._group.committed[at] = to, mark

    def close(self) -> None:
        """Nothing is open."""


class Changelog:
    """What is written to the anchors, now and then less of it than there is."""

    identity = "simulated"
    deletions_kept_ms = None

    def __init__(self, group: Group, writer: str) -> None:
        self._group = group
        self._writer = writer
        self._next = self._delivered = 0

    def read_to_end(self) -> Iterator[Sequence[Change]]:
        if changes := self._new(len(self._group.written)):
            yield changes

    def poll(self) -> Sequence[Change]:
        left = len(self._group.written) - self._next
        return self._new(self._group.draw.choice((0, 3, left)) if self._group.faults else left)

    def _new(self, most: int) -> list[Change]:
        outputs = self._group.written[self._next : self._next + most]
        self._next += len(outputs)
        changes = []
        for output in outputs:
            if output.channel == "anchors":
                at = Partition("anchors", 0)
                record = Record(at, self._delivered, 0, output.key, output.value, output.headers)
                changes.append(change_of(record, self._writer))
                self._delivered += 1
        return changes

    @property
    def positions(self) -> dict[int, int]:
        return {0: self._delivered}

    def go_on_from(self, positions: Mapping[int, int]) -> bool:
        places = [n for n, output in enumerate(self._group.written) if output.channel == "anchors"]
        self._delivered = positions.get(0, 0)
        self._next = places[self._delivered - 1] + 1 if self._delivered else 0
        return True

    def close(self) -> None:
        """Nothing is open."""


class WaitingConsumer:
    """What `KafkaLabelFeed` uses of kafka-python's consumer, of the waiting topic; now and then there is less."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._next: dict[Any, int] = {}

    def beginning_offsets(self, partitions: Iterable[Any], timeout_ms: int) -> dict[Any, int]:
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: Iterable[Any], timeout_ms: int) -> dict[Any, int]:
        return {at: len(self._group.waiting[at.partition]) for at in partitions}

    def assign(self, partitions: Iterable[Any]) -> None:
        self._next = dict.fromkeys(partitions, 0)

    def seek(self, at: Any, offset: int) -> None:
        self._next[at] = offset

    def position(self, at: Any, timeout_ms: int) -> int:
        return self._next[at]

    def poll(self, timeout_ms: int, max_records: int) -> dict[Any, list[Record]]:
        polled = {}
        for at, start in self._next.items():
            log = self._group.waiting[at.partition]
            most = self._group.draw.choice((0, 2, len(log))) if self._group.faults else len(log)
            if records := log[start : start + most]:
                polled[at] = records
                self._next[at] += len(records)
        return polled

    def close(self, timeout_ms: int) -> None:
        """Nothing is open."""


class LabelsReader:
    """What `KafkaLabelFeed` uses of `TopicReader`, of the labels topic."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._next = 0

    def seek(self, offsets: Mapping[int, int]) -> bool:
        self._next = offsets.get(0, 0)
        return True

    def new(self) -> list[Record]:
        labels = self._group.labels[self._next :]
        self._next += len(labels)
        return labels

    def close(self) -> None:
        """Nothing is open."""


class _Connection:
    def retried(self, what: str, call: Callable[[int], Any]) -> Any:
        return call(1_000)

    def errors_of(self, what: str) -> AbstractContextManager[None]:
        return nullcontext()

    def consumer(self, **_: Any) -> WaitingConsumer:
        return WaitingConsumer(self._group)

    def __init__(self, group: Group) -> None:
        self._group = group


def label_feed(group: Group, monkeypatch: pytest.MonkeyPatch) -> KafkaLabelFeed:
    """The real feed, on simulated topics."""
    monkeypatch.setattr(labels, "Connection", lambda _: _Connection(group))
    monkeypatch.setattr(labels, "TopicReader", lambda connection, topic: LabelsReader(group))
    monkeypatch.setattr(labels, "require_topics", lambda connection, topics: {topics[0]: len(group.waiting)})
    config: Any = SimpleNamespace(topics=SimpleNamespace(waiting="waiting", labels="labels"))
    return KafkaLabelFeed(config)


def too_large(output: OutRecord) -> bool:
    """Whether its topic does not take it: anchors of some events, predictions of others."""
    headers = dict(output.headers)
    if output.channel == "anchors" and output.value is not None and "event_id" in headers:
        return int(headers["event_id"]) % TOO_LARGE == 0
    return output.channel == "predictions" and int(headers["ce_subject"]) % TOO_LARGE == 1
