"""Workers of one group on simulated topics, in any order of what may happen; what is drawn follows from a seed.

Real are the worker's loop, its pipeline, what it learns and forgets, and the rules on who may commit what
(`transport.kafka.ownership`). Simulated are threads, clocks and the broker: partitions move, one by one or all at once,
also away and back within one poll; commits are aborted, too large, or have no answer, and were then written or not.
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stream_adapter.config import AnchorsConfig, SnapshotsConfig
from stream_adapter.events import anchor_tombstone
from stream_adapter.events.label import LabelEvent
from stream_adapter.journey.batching import Batcher
from stream_adapter.metrics import Metrics
from stream_adapter.service import pipeline, worker
from stream_adapter.service.health import Health
from stream_adapter.service.saving import Snapshots
from stream_adapter.service.worker import Worker
from stream_adapter.snapshots import SnapshotFolder
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.kafka.labels import KafkaLabelFeed
from stream_adapter.transport.memory import MemoryTransport
from tests.fakes import CANARY, CLASSES, FakeClock, FakeEncoder, adapter_config, make_processor, picture
from tests.service.simulated_broker import Changelog, Group, Sink, Source, label_feed
from tests.service.simulated_verdict import wrong_effects, wrong_late_labels, wrong_outcomes

_STEPS_S = (0.001, 0.02, 0.2, 1.2)
_PATIENCE = 20_000  # steps until it must have come to rest
_SNAPSHOT_EVERY_S = 3.0
_PARTITIONS = 6  # at last
_LATEST = 40  # events after its own a label comes at most
_LEARNED = tuple(name for name in CLASSES if name != CANARY)


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


class Member:
    """A worker, its connections and its threads; one that begins anew has the folder of its former self."""

    def __init__(
        self, group: Group, name: str, clock: FakeClock, budget: int, feed: KafkaLabelFeed | None, folder: Path
    ) -> None:
        anchors = AnchorsConfig(neighbours=4, index="exact", budget=budget)
        metrics, number = Metrics(), int(name[0])
        self.processor = make_processor(
            metrics=metrics,
            clock=clock,
            slot=name,
            adapter=adapter_config(anchors=anchors),
            waiting_partitions=len(group.waiting) if feed is not None else 0,
            now_ms=lambda: int(clock.now_s * 1e3),
        )
        self.source = Source(group, number)
        changelog, self._background = Changelog(group, name), Later()
        self.folder = SnapshotFolder(folder)
        snapshots = Snapshots(
            self.folder,
            SnapshotsConfig(folder=folder, every_s=_SNAPSHOT_EVERY_S),
            parts=self.processor.parts,
            changelog=changelog,
            fingerprint=FakeEncoder.fingerprint,
            executor=self._background,  # type: ignore[arg-type]
            metrics=metrics,
            clock=clock,
            wall_clock=clock,
        )
        self.processor.saving = snapshots.poll
        self.worker = Worker(
            source=self.source,
            sink=Sink(group, self.source, number),
            changelog=changelog,
            classes=MemoryTransport().open_log("classes"),
            processor=self.processor,
            batcher=Batcher(8, 0.02, clock),
            metrics=metrics,
            health=Health(60.0, clock),
            drain_s=5.0,
            labels=feed,
            snapshots=snapshots,
            clock=clock,
        )
        self.worker.restore()

    def step(self, draw: random.Random) -> None:
        """The loop's thread goes on, or one of the others."""
        which = draw.random()
        if which < 0.5:
            self.worker._step()
            return
        if which < 0.6:
            self._background.work()
            return
        encode, compute = self.worker._pipeline._encode, self.worker._pipeline._compute
        assert isinstance(encode, Later) and isinstance(compute, Later)
        while encode.work():
            pass
        compute.work()


class Simulation:
    """A group of workers, events for it, and whatever may happen.

    Args:
        folder: for snapshots.
        budget: most anchors.
        late: whether labels come apart from their events.
    """

    def __init__(
        self,
        seed: int,
        monkeypatch: pytest.MonkeyPatch,
        folder: Path,
        *,
        members: int = 2,
        budget: int = 1_000,
        late: bool = False,
    ) -> None:
        self._clock = FakeClock(1_000.0)
        self._monkeypatch = monkeypatch
        self._folder = folder
        monkeypatch.setattr(pipeline, "ThreadPoolExecutor", Later)
        monkeypatch.setattr(pipeline, "wait", lambda futures, timeout: None)
        monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=self._clock, sleep=lambda seconds: None))
        self._draw = random.Random(seed)
        self._budget = budget
        self._late = late
        partitions = [Partition("images", number) for number in range(_PARTITIONS - 2)]
        self._group = Group(self._draw, {at: [] for at in partitions}, progress=self._progress)
        self._group.unanswered = self._cut_off
        self._group.committed = dict.fromkeys(partitions, (0, None))
        self._group.owners = dict.fromkeys(partitions)
        self._group.waiting = [[] for _ in partitions]
        self._moving = {at: self._draw.randrange(members) for at in partitions}  # to whom it goes
        self._joining: list[int] = []
        self._lives = Counter(range(members))
        self._members = [self._started(number) for number in range(members)]
        self._taught: list[tuple[int, str, Partition]] = []
        self._to_say: list[tuple[int, LabelEvent]] = []  # after so many events
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
        self._say(self._events + _LATEST)
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
        for member in self._members:
            member.folder.close()
        digests = {member.processor.adapter.anchors_digest for member in self._members}
        differ = [f"{len(digests)} different sets of anchors"] if len(digests) > 1 else []
        effects = wrong_late_labels if self._late else wrong_effects
        return [*wrong_outcomes(self._group), *effects(self._group), *differ]

    def _started(self, number: int) -> Member:
        self._lives[number] += 1
        feed = label_feed(self._group, self._monkeypatch) if self._late else None
        name, folder = f"{number}-{self._lives[number]}", self._folder / str(number)
        return Member(self._group, name, self._clock, self._budget, feed, folder)

    def _send(self) -> None:
        """An event: of a class, with its label or without, or the correction of an earlier one in its partition."""
        label: str | None
        if self._taught and not self._late and self._draw.random() < 0.1:
            number, name, at = self._draw.choice(self._taught[-30:])
            label = self._draw.choice(_LEARNED)
        else:
            number, name, at = self._events, self._draw.choice(CLASSES), self._draw.choice(list(self._group.images))
            self._events += 1
            label = name if name in _LEARNED and self._draw.random() < 0.6 else None
            if label is not None:
                self._taught.append((number, name, at))
        if label is not None and self._late:
            self._plan_labels(number, label)
            label = None
        sent, log = picture(name, number, label), self._group.images[at]
        time_ms = int(self._clock.now_s * 1e3)
        log.append(Record(at, len(log), time_ms, sent["key"], sent["value"], sent["headers"]))
        self._say(self._events)

    def _plan_labels(self, number: int, label: str) -> None:
        """Its label, some time later, or before it comes; and sometimes others, in any order, or that it is none."""
        said: list[str | None] = [label]
        while self._draw.random() < 0.25:
            said.append(self._draw.choice((*_LEARNED, None)))
        for order, name in enumerate(said):
            after = self._draw.choice((-1, self._draw.randrange(_LATEST)))
            time_ms = int(self._clock.now_s * 1e3) + order
            self._to_say.append((number + after, LabelEvent.new("/test", str(number), name, time_ms=time_ms)))

    def _say(self, events: int) -> None:
        """Send the labels that are due after so many events; some twice."""
        due = [label for after, label in self._to_say if after <= events]
        self._to_say = [one for one in self._to_say if one[0] > events]
        for label in due:
            for _ in range(1 + (self._draw.random() < 0.1)):
                record = label.to_record()
                at, log = Partition("labels", 0), self._group.labels
                log.append(Record(at, len(log), label.time_ms, record.key, record.value, record.headers))

    def _disturb(self) -> None:
        number = self._draw.randrange(len(self._members))
        source = self._members[number].source
        kinds = ("moves", "moves", "expelled", "expelled", "silent", "killed", "deleted", "grows")
        match self._draw.choice(kinds):
            case "moves":  # one partition, in order
                at = self._draw.choice(list(self._group.images))
                if self._group.owners[at] == number and source.belongs and at not in self._moving:
                    source.news.append(("gone", [at]))
                    self._moving[at] = self._anybody()
            case "expelled":
                self._expel(number)
            case "silent":
                source.trouble = None if source.trouble else "no broker answers"
            case "deleted":  # by hand, and whatever may be on its way
                anchors = [one for one in self._group.written if one.channel == "anchors" and one.value is not None]
                if anchors and not (key := self._draw.choice(anchors).key or b"").startswith(b"presence"):
                    self._group.write([anchor_tombstone(key.decode(), "by hand")])
            case "grows":
                at = Partition("images", len(self._group.images))
                if at.number < _PARTITIONS:
                    self._group.images[at], self._group.committed[at] = [], (0, None)
                    self._group.owners[at] = None
            case "killed":
                self._expel(number)
                self._members[number].folder.close()
                self._members[number] = self._started(number)
                self._members[number].source.belongs = False

    def _cut_off(self, number: int) -> None:
        """What follows where a broker or the network is away: it is expelled, and hears of that when it is over."""
        if self._draw.random() < 0.4:
            self._members[number].source.trouble = "no broker answers"
            self._expel(number)

    def _expel(self, number: int) -> None:
        """The group knows a member no more, until it joins again; what was on its way to it goes elsewhere, too."""
        source, stays = self._members[number].source, self._draw.random() < 0.6
        source.belongs, source.news = False, deque([("gone", list(self._group.images))])
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
