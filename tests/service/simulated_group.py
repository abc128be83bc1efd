"""Workers of one group on simulated topics, in any order of what may happen; what is drawn follows from a seed.

Real are the worker's loop, its pipeline, what it learns and forgets, and the rules on who may commit what
(`transport.kafka.ownership`). Simulated are threads, clocks and the broker: partitions move, one by one or all at once,
also away and back within one poll; commits are aborted, too large, or have no answer, and were then written or not.
"""

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from stream_adapter.config import AnchorsConfig
from stream_adapter.errors import Unreachable
from stream_adapter.events.image import anchor_id_of
from stream_adapter.journey.batching import Batcher
from stream_adapter.metrics import Metrics
from stream_adapter.service import pipeline, worker
from stream_adapter.service.health import Health
from stream_adapter.service.worker import Worker
from stream_adapter.transport.base import Commit, CommitAborted, OutputTooLarge, OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change, change_of
from stream_adapter.transport.kafka.ownership import Ownership
from stream_adapter.transport.memory import MemoryTransport
from tests.fakes import CANARY, CLASSES, FakeClock, adapter_config, make_processor, picture

_STEPS_S = (0.001, 0.02, 0.2, 1.2)
_PATIENCE = 20_000  # steps until it must have come to rest
_TOO_LARGE = 23  # of so many events the anchor of one is larger than its topic takes, and the prediction of another


class Later:
    """An executor of one thread that works when it is told to."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._queue: deque[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()

    def submit(self, call: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future = Future[Any]()
        self._queue.append((future, call, arguments))
        return future

    def work(self) -> bool:
        """Do one thing, where there is any."""
        if not self._queue:
            return False
        future, call, arguments = self._queue.popleft()
        try:
            future.set_result(call(*arguments))
        except Exception as error:
            future.set_exception(error)
        return True

    def shutdown(self, **_: Any) -> None:
        """There is no thread."""


@dataclass
class Group:
    """What the broker knows.

    Attributes:
        images: the records of each partition.
        committed: the group's positions, and the mark of the commit that each is from.
        written: what is visible to readers of what was committed, in order.
        owners: who may commit positions of a partition; None between two owners.
        faults: whether anything goes wrong.
    """

    draw: random.Random
    images: dict[Partition, list[Record]]
    committed: dict[Partition, tuple[int, object]] = field(default_factory=dict)
    written: list[OutRecord] = field(default_factory=list)
    owners: dict[Partition, int | None] = field(default_factory=dict)
    faults: bool = True
    progress: Callable[[], None] = lambda: None

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
            raise Unreachable("no answer")
        if fenced or group.chance(0.15):
            raise CommitAborted("the transaction was aborted")
        self._write(commit, positions, mark)

    def _write(self, commit: Commit, positions: dict[Partition, int], mark: object) -> None:
        self._group.written += commit.outputs
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

    def go_on_from(self, positions: Any) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""


class Member:
    """A worker, its connections and its two threads."""

    def __init__(self, group: Group, number: int, life: int, clock: FakeClock, budget: int) -> None:
        anchors = AnchorsConfig(neighbours=4, index="exact", budget=budget)
        metrics, name = Metrics(), f"{number}-{life}"
        self.processor = make_processor(
            metrics=metrics, clock=clock, slot=name, adapter=adapter_config(anchors=anchors)
        )
        self.source = Source(group, number)
        self.worker = Worker(
            source=self.source,
            sink=Sink(group, self.source, number),
            changelog=Changelog(group, name),
            classes=MemoryTransport().open_log("classes"),
            processor=self.processor,
            batcher=Batcher(8, 0.02, clock),
            metrics=metrics,
            health=Health(60.0, clock),
            drain_s=5.0,
            clock=clock,
        )
        self.worker.restore()

    def step(self, draw: random.Random) -> None:
        """The loop's thread goes on, or the two others."""
        if draw.random() < 0.5:
            self.worker._step()
            return
        encode, compute = self.worker._pipeline._encode, self.worker._pipeline._compute
        assert isinstance(encode, Later) and isinstance(compute, Later)
        while encode.work():
            pass
        compute.work()


class Simulation:
    """A group of workers, events for it, and whatever may happen.

    Args:
        budget: most anchors.
    """

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch, *, members: int = 2, budget: int = 1_000) -> None:
        self._clock = FakeClock(1_000.0)
        monkeypatch.setattr(pipeline, "ThreadPoolExecutor", Later)
        monkeypatch.setattr(pipeline, "wait", lambda futures, timeout: None)
        monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=self._clock, sleep=lambda seconds: None))
        self._draw = random.Random(seed)
        self._budget = budget
        partitions = [Partition("images", number) for number in range(4)]
        self._group = Group(self._draw, {at: [] for at in partitions}, progress=self._progress)
        self._group.committed = dict.fromkeys(partitions, (0, None))
        self._group.owners = dict.fromkeys(partitions)
        self._moving = {at: self._draw.randrange(members) for at in partitions}  # to whom it goes
        self._joining: list[int] = []
        self._lives = Counter(range(members))
        self._members = [self._started(number) for number in range(members)]
        self._taught: list[tuple[int, str, Partition]] = []
        self._events = 0

    def run(self, steps: int = 400) -> list[str]:
        """Disturb it for so many steps, let it come to rest, and say what is wrong then."""
        for _ in range(steps):
            if self._draw.random() < 0.5:
                self._send()
            if self._draw.random() < 0.06:
                self._disturb()
            self._step()
        self._group.faults = False
        for member in self._members:
            member.source.trouble = None
        for number in range(_PATIENCE):
            self._step()
            if number > 200 and self._all_read():
                break
        else:
            return [f"still not read: {self._group.committed}, owned by {self._group.owners}"]
        for _ in range(400):
            self._step()
        return [*self._wrong_outcomes(), *self._wrong_effects(), *self._differences()]

    def _started(self, number: int) -> Member:
        self._lives[number] += 1
        return Member(self._group, number, self._lives[number], self._clock, self._budget)

    def _send(self) -> None:
        """An event: of a class, with its label or without, or the correction of an earlier one in its partition."""
        if self._taught and self._draw.random() < 0.1:
            number, name, at = self._draw.choice(self._taught[-30:])
            label: str | None = self._draw.choice([one for one in CLASSES if one != CANARY])
        else:
            number, name, at = self._events, self._draw.choice(CLASSES), self._draw.choice(list(self._group.images))
            self._events += 1
            label = name if name != CANARY and self._draw.random() < 0.6 else None
            if label is not None:
                self._taught.append((number, name, at))
        sent, log = picture(name, number, label), self._group.images[at]
        time_ms = int(self._clock.now_s * 1e3)
        log.append(Record(at, len(log), time_ms, sent["key"], sent["value"], sent["headers"]))

    def _disturb(self) -> None:
        number = self._draw.randrange(len(self._members))
        source = self._members[number].source
        match self._draw.choice(("moves", "moves", "expelled", "expelled", "silent", "killed")):
            case "moves":  # one partition, in order
                at = self._draw.choice(list(self._group.images))
                if self._group.owners[at] == number and source.belongs and at not in self._moving:
                    source.news.append(("gone", [at]))
                    self._moving[at] = self._anybody()
            case "expelled":
                self._expel(number, stays=self._draw.random() < 0.6)
                source.news = deque([("gone", list(self._group.images))])
            case "silent":
                source.trouble = None if source.trouble else "no broker answers"
            case "killed":
                self._expel(number, stays=self._draw.random() < 0.6)
                self._members[number] = self._started(number)
                self._members[number].source.belongs = False

    def _expel(self, number: int, *, stays: bool) -> None:
        """The group knows a member no more, until it joins again; what was on its way to it goes elsewhere, too."""
        self._members[number].source.belongs = False
        for at, owner in self._group.owners.items():
            if owner == number:
                self._group.owners[at] = None
                self._moving[at] = number if stays else self._anybody()
        self._joining.append(number)

    def _anybody(self) -> int:
        return self._draw.randrange(len(self._members))

    def _progress(self) -> None:
        """Time passes, and the group gets on with what it was about."""
        self._clock.now_s += self._draw.choice(_STEPS_S)
        if self._joining and self._draw.random() < 0.5:
            self._members[self._joining.pop(0)].source.belongs = True
        for at, to in list(self._moving.items()):
            source = self._members[to].source
            if self._group.owners[at] is None and source.belongs and self._draw.random() < 0.6:
                del self._moving[at]
                self._group.owners[at] = to
                source.news.append(("assigned", [at]))
        for at, owner in self._group.owners.items():
            if owner is None:
                self._moving.setdefault(at, self._anybody())

    def _step(self) -> None:
        self._draw.choice(self._members).step(self._draw)

    def _all_read(self) -> bool:
        return all(self._group.committed[at][0] == len(log) for at, log in self._group.images.items())

    def _wrong_outcomes(self) -> list[str]:
        outcomes = Counter[str]()
        for output in self._group.written:
            if output.channel == "predictions":
                outcomes[dict(output.headers)["ce_id"].decode()] += 1
            elif output.channel == "dead_letters":
                said = dict(output.headers)
                topic, number, offset = (
                    said[f"__connect.errors.{of}"].decode() for of in ("topic", "partition", "offset")
                )
                outcomes[f"{topic}-{number}@{offset}"] += 1
        places = [f"{at}@{record.offset}" for at, log in self._group.images.items() for record in log]
        return [f"{place} has {outcomes[place]} outcomes" for place in places if outcomes[place] != 1]

    def _wrong_effects(self) -> list[str]:
        effects: defaultdict[str, Counter[str]] = defaultdict(Counter)
        deleted = set()
        for output in self._group.written:
            if output.channel == "anchors" and output.value is None:
                deleted.add(output.key)
            elif output.channel == "anchors" and b"presence" not in (output.key or b""):
                headers = dict(output.headers)
                effects[headers["event_id"].decode()][headers["label"].decode()] += 1
        said: defaultdict[str, list[str]] = defaultdict(list)
        for log in self._group.images.values():
            for record in log:
                headers = dict(record.headers)
                if "ce_label" in headers:
                    said[headers["ce_id"].decode()].append(headers["ce_label"].decode())
        wrong = []
        for event, labels in said.items():
            took = effects[event]
            gone = anchor_id_of("/test", event).encode() in deleted or int(event) % _TOO_LARGE == 0
            if not took[labels[-1]] and not gone:
                wrong.append(f"event {event}: of its labels {labels} the last had no effect: {dict(took)}")
            wrong += [f"event {event}: {name!r} taught {n} times" for name, n in took.items() if n > labels.count(name)]
        return wrong

    def _differences(self) -> list[str]:
        digests = {member.processor.adapter.anchors_digest for member in self._members}
        return [f"{len(digests)} different sets of anchors"] if len(digests) > 1 else []


def too_large(output: OutRecord) -> bool:
    """Whether its topic does not take it: anchors of some events, predictions of others."""
    headers = dict(output.headers)
    if output.channel == "anchors" and output.value is not None and "event_id" in headers:
        return int(headers["event_id"]) % _TOO_LARGE == 0
    return output.channel == "predictions" and int(headers["ce_subject"]) % _TOO_LARGE == 1
