"""Classes that come, go and change their names while a stream runs: in force everywhere between two batches."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial

import structlog

from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.settings import DriftSettings
from stream_adapter.encode.base import Vectors
from stream_adapter.errors import MalformedEvent, StreamAdapterError
from stream_adapter.events.class_record import ClassRecord, checked_name
from stream_adapter.journey.explaining import Explaining
from stream_adapter.journey.foreign import LeftAlone
from stream_adapter.journey.labels import Labels
from stream_adapter.journey.reading import KnownLabels, Reader
from stream_adapter.journey.scoring import Scoring
from stream_adapter.journey.sharing import Sharing
from stream_adapter.journey.vocabulary import ClassesNow, LiveVocabulary
from stream_adapter.journey.watching import Watching
from stream_adapter.metrics import Metrics
from stream_adapter.throttled_log import ThrottledLog
from stream_adapter.transport.base import OutRecord, Record

log = structlog.get_logger(__name__)

_AT_ONCE = 32  # classes that are encoded together
# Labels that become classes cost memory and time for every picture: typing errors must not do so without end.
_MOST = 10_000


Encode = Callable[[Sequence[tuple[str, Sequence[str] | None]]], Vectors]
"""Makes text vectors, float32 (n, d), of n names with their prompts; None: the configured templates."""


@dataclass(eq=False, slots=True)
class ClassesInForce:
    """Takes in class events, and makes all parts of a journey go over to what follows from them.

    Belongs to the thread that owns the adapter. What classes say in words is encoded in the background.

    Attributes:
        now: what is in force.
        followers: called with what is in force from then on.
        live: the classes, as configuration and topic have them.
        drift: with the groups of the configuration.
        scale: the logit scale.
        encode: makes text vectors; None where nothing can.
        background: where it does so.
        add_unknown: whether a label that is no class becomes one.
        source: who adds such a class, CloudEvents' `source`.
        left_alone: called for records that are no class events.
    """

    live: LiveVocabulary
    labels: Labels
    scoring: Scoring
    watching: Watching
    sharing: Sharing
    explaining: Explaining
    reader: Reader
    drift: DriftSettings
    scale: float
    metrics: Metrics
    encode: Encode | None
    background: Executor
    add_unknown: bool
    source: str
    left_alone: LeftAlone
    now: ClassesNow = field(init=False)
    followers: list[Callable[[ClassesNow], None]] = field(default_factory=list, init=False)
    _asked: dict[str, bool] = field(default_factory=dict, init=False)  # labels to be classes: whether that is published
    _encoding: tuple[list[str], Future[Vectors]] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.now = self.live.now
        if self.add_unknown:
            self.labels.replica.ask_for = self.ask_for

    def apply(self, records: Sequence[Record], *, restoring: bool = False) -> None:
        """Take in what the topic says, in its order.

        Args:
            records: as they were read; what cannot be used is left alone.
            restoring: also wait for what is to be encoded.
        """
        changes = list(_changes_of(records, self.left_alone))
        for name, record in changes:
            if record is not None and record.vector is not None and len(record.vector) != self.now.texts.shape[1]:
                self.left_alone(
                    f"{len(record.vector)} numbers, expected {self.now.texts.shape[1]}", "other_length", name=name
                )
        if not restoring:
            for name, record in changes:
                _log(name, record)
        self.live.take(changes)
        for name, _ in changes:
            self._asked.pop(name, None)
        while restoring and self.live.waiting:
            self._begin()
            if self._encoding is None:
                break
            self._finish()
        self.use(self.live.now)

    def poll(self) -> list[OutRecord]:
        """Go on with what is to be encoded; what the classes topic must be told."""
        outputs = self._finish() if self._encoding is not None and self._encoding[1].done() else []
        if self._encoding is None and (self._asked or self.live.waiting):
            self._begin()
        return outputs

    def use(self, now: ClassesNow) -> None:
        """Let these classes be in force."""
        if now is self.now:
            return
        with self.metrics.stage("classes", len(now.names)):
            self.now = now
            former = self.labels.set_classes(now)
            settings = self.drift.model_copy(update={"groups": self._groups(now)})
            self.scoring.set_canaries(now.canary)
            monitor = partial(DriftMonitor, now.names, self.scale, now.canary, settings)
            self.watching.set_classes(monitor, now, settings, former)
            self.sharing.vocabulary = now.hash
            self.explaining.set_classes(now.names, now.hash)
            self.reader.labels = KnownLabels(now.names, now.aliases)
            for follower in self.followers:
                follower(now)

    def ask_for(self, label: str) -> bool:
        """A label that is no class is to be one; whether it will."""
        if label in self._asked:
            return True
        if self.live.knows(label):  # it was taken out, or it waits for its vector
            return any(record.name == label for record in self.live.waiting)
        try:
            checked_name(label)
        except MalformedEvent:
            return False
        if len(self.now.names) + len(self._asked) >= _MOST:
            return False
        self._asked[label] = False
        return True

    def _begin(self) -> None:
        if self.encode is None:
            names = [record.name for record in self.live.waiting]
            log.error("these classes have no vector, and this worker no text tower to make one", names=names)
            self.live.failed(names)
            self._asked.clear()
            return
        asked = [(record.name, record.prompts) for record in self.live.waiting]
        asked += [(name, None) for name, published in self._asked.items() if not published]
        if asked := asked[:_AT_ONCE]:
            future = self.background.submit(self.encode, asked)
            self._encoding = [name for name, _ in asked], future

    def _finish(self) -> list[OutRecord]:
        assert self._encoding is not None
        (names, future), self._encoding = self._encoding, None
        try:
            vectors = dict(zip(names, future.result(), strict=True))
        except (StreamAdapterError, RuntimeError) as error:  # of the text tower
            log.exception("classes could not be encoded", names=names, error=str(error))
            self.live.failed(names)
            for name in names:
                self._asked.pop(name, None)
            return []
        waiting = [record.name for record in self.live.waiting if record.name in vectors]
        self.live.encoded(waiting, [vectors[name] for name in waiting])
        self.use(self.live.now)
        outputs = []
        for name in names:
            if self._asked.get(name) is False:
                self._asked[name] = True
                log.info("a label becomes a class", name=name)
                outputs.append(ClassRecord(name, vectors[name], source=self.source).to_record())
        return outputs

    def _groups(self, now: ClassesNow) -> dict[str, tuple[str, ...]]:
        """Of the classes that there are; one that was merged is in the first group that names it."""
        free = Counter(now.names)
        groups = {}
        for group, members in self.drift.groups.items():
            named = dict.fromkeys(map(now.class_of, members))
            groups[group] = tuple(name for name in named if free.pop(name, None))
        return groups


def _changes_of(
    records: Iterable[Record], left_alone: Callable[..., object]
) -> Iterator[tuple[str, ClassRecord | None]]:
    """The name that each record is about, and what it says, of those that can be used."""
    for record in records:
        try:
            if record.value is None and record.key is not None:
                yield checked_name(record.key.decode()), None
            else:
                one = ClassRecord.from_record(record.key, record.value or b"", record.headers)
                yield one.name, one
        except (MalformedEvent, UnicodeDecodeError) as error:
            left_alone(error, at=f"{record.partition}@{record.offset}")


def _log(name: str, record: ClassRecord | None) -> None:
    """Who said what."""
    if record is None:
        log.info("class as configured", name=name)
    elif record.removed:
        log.info("class removed", name=name, by=record.source)
    elif record.alias_of is not None:
        log.info("name of another class", name=name, of=record.alias_of, by=record.source)
    else:
        log.info("class", name=name, canary=record.canary, by=record.source)


def changes_of(records: Iterable[Record]) -> dict[str, ClassRecord]:
    """The newest usable record of each name, in the topic's order, for whoever only looks."""
    newest: dict[str, ClassRecord] = {}
    say = ThrottledLog(log.warning)
    for name, record in _changes_of(records, lambda error, **at: say("passed over a record", error=str(error), **at)):
        newest.pop(name, None)
        if record is not None:
            newest[name] = record
    return newest
