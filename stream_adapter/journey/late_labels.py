"""Labels that come apart from their events: which of them count, and what becomes of them.

What is known of an event is two things, each written by one worker alone: what was predicted (by the worker that read
the picture) and the newest label (by the worker that owns the event). An event belongs to a partition of the waiting
topic by a hash of its ids, and with it to one worker. The outcome does not depend on the order in which labels arrive,
nor on how often: what is read twice, after a hand-over or a crash, is known already.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog

from stream_adapter.adapter.anchors.ownership import EVERYTHING, Ownership
from stream_adapter.config import LabelsConfig
from stream_adapter.errors import EventError, ForeignVector, LabelWithoutEvent
from stream_adapter.events import AnchorRecord
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import LabelRecord, LabelState, WaitingEvent
from stream_adapter.journey.anchor_records import record_of_label
from stream_adapter.journey.faults import Unexpected
from stream_adapter.journey.foreign import LeftAlone
from stream_adapter.journey.labels import Labels
from stream_adapter.journey.late_outputs import LateOutputs, Places
from stream_adapter.journey.late_pictures import LatePictures
from stream_adapter.journey.late_tests import LateTests
from stream_adapter.journey.waiting import Waiting
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.labels import Arrivals

log = structlog.get_logger(__name__)

# So long an event may be on its way: only then the picture is fetched that a label refers to.
_FETCHED_AFTER_S = 60.0

_Known = WaitingEvent | AnchorRecord
"""What is known of an event: what was predicted, or, of one that came with a label, its anchor."""


@dataclass(eq=False, slots=True)
class LateLabels:
    """Belongs to the thread that owns the adapter.

    Attributes:
        labels: labels as lessons.
        tests: labels as tests.
        config: how much waits, and for how long.
        partitions: of the waiting topic.
        pictures: fetches those that labels refer to.
        fingerprint: the encoder's.
        check: raises an `UnknownLabel` for a label that is to be refused.
        parse: reads a label; raises an `EventError` for what is none.
        unexpected: called for errors that nobody foresaw.
        left_alone: called for records of the waiting topic that cannot be read.
        slot: this worker's, for whoever asks what became of a label.
        metrics: labels by outcome, what waits.
        now_ms: milliseconds since the epoch.
    """

    labels: Labels
    tests: LateTests
    config: LabelsConfig
    partitions: int
    pictures: LatePictures
    fingerprint: str
    check: Callable[[str], None]
    parse: Callable[[Record], LabelEvent]
    unexpected: Unexpected
    left_alone: LeftAlone
    slot: str
    metrics: Metrics
    now_ms: Callable[[], int]
    _parts: dict[int, Waiting] = field(default_factory=dict, init=False)
    _call: LateOutputs = field(init=False)  # the one under way

    def __post_init__(self) -> None:
        self._call = LateOutputs({}, self.partitions, self.now_ms)

    def forget(self, anchor_ids: Iterable[str]) -> list[OutRecord]:
        """What tells the owners of these anchors' events that nothing of them may stay, in labels' own words."""
        anchors = filter(None, map(self.labels.replica.record, anchor_ids))
        return [
            LabelEvent.new(
                one.event_source,
                one.event_id,
                None,
                time_ms=max(self.now_ms(), one.event_time_ms + 1),
                sender=f"stream_adapter/{self.slot}",
                forget=True,
            ).to_output()
            for one in anchors
        ]

    def unlabelled(self, most: int, among: Collection[str] | None = None) -> list[WaitingEvent]:
        """The newest events of this worker and encoder that nobody has labelled, of all or of these anchor ids."""
        known = (event for part in self._parts.values() if part.restored for event in part.unlabelled(most, among))
        mine = [event for event in known if event.fingerprint == self.fingerprint]
        return sorted(mine, key=lambda event: -event.time_ms)[:most]

    def said_of(self, anchor_ids: Iterable[str]) -> dict[str, str]:
        """What the labels of these events say, by anchor id, of those that came apart from their events to here."""
        found = {}
        for key in anchor_ids:
            part = self._parts.get(self._call.number(key))
            label = None if part is None else part.label(key)
            if label is not None and label.event.label is not None:
                found[key] = label.event.label
        return found

    def take(
        self, arrivals: Arrivals, places: Places, owned: Ownership = EVERYTHING
    ) -> tuple[list[OutRecord], list[tuple[Partition, str]]]:
        """Take in what has come, apply the labels that can be, and let go of what waited too long.

        Args:
            arrivals: what was read.
            places: what of the waiting topic this worker owns.
            owned: the anchors that this worker decides about.

        Returns:
            What is to be written, and for each label that was refused whose it was and the stage.
        """
        call = self._call = LateOutputs(places, self.partitions, self.now_ms)
        for number in self._parts.keys() - places.keys():
            del self._parts[number]
        for number in arrivals.fresh & places.keys():
            config = self.config
            bounds = (-(-most // self.partitions) for most in (config.wait_max_events, config.reference_max_events))
            ages = self.config.wait_max_age, self.config.early_max_age
            self._parts[number] = Waiting(*bounds, *(int(age * 1e3) for age in ages), left_alone=self.left_alone)
        due: dict[str, None] = {}  # anchor ids whose label may be applied, in order
        for record in arrivals.waiting:
            part = self._parts.get(record.partition.number)
            key = None if part is None else part.take_in(record)
            if key is not None:
                due[key] = None
        for number in arrivals.restored & self._parts.keys():
            self._parts[number].restored = True
            due |= dict.fromkeys(self._parts[number].early)
        advanced = set()
        for record in arrivals.labels:
            number, event = self._read(record)
            if number not in self._parts:
                continue
            self._parts[number].positions[record.partition.number] = record.offset + 1
            advanced.add(number)
            if event is not None and self._is_news(event, self._parts[number]):
                due[event.anchor_id] = None
        self._apply(due, owned)
        self._expire(owned)
        self._learn_fetched(owned)
        call.close(self._parts, advanced)
        self.metrics.waiting_events.set(sum(map(len, self._parts.values())))
        self.metrics.waiting_labels.set(sum(len(part.early) for part in self._parts.values()))
        return call.written, call.refused

    def _read(self, record: Record) -> tuple[int, LabelEvent | None]:
        """The partition that a label belongs to, and the label; None where it was refused, if it is ours at all."""
        number = self._call.number(f"{record.partition}@{record.offset}")
        try:
            event = self.parse(record)
            number = self._call.number(event.anchor_id)
            if number in self._parts and event.label is not None:
                self.check(event.label)
        except Exception as error:  # noqa: BLE001 - one label must not stop a worker, whatever it brings to light
            if number in self._parts:
                known = error if isinstance(error, EventError) else self.unexpected("parse", record, error)
                self._call.refuse(record, known, number)
            return number, None
        return number, event

    def _is_news(self, event: LabelEvent, part: Waiting) -> bool:
        known = part.label(event.anchor_id)
        if known is not None and event.stamp <= known.stamp:
            outcome = "repeated" if event.stamp == known.stamp else "outdated"
            self.metrics.labels.labels(outcome=outcome).inc()
            return False
        assert event.record is not None
        at = event.record.partition
        label = LabelRecord(
            event=replace(event, record=None),
            place=(at.topic, at.number, event.record.offset),
            state="waiting",
            why="",
            tested=known is not None and known.tested,
            worker=self.slot,
            at_ms=self.now_ms(),
        )
        self._set(label, part)
        return True

    def _apply(self, keys: Iterable[str], owned: Ownership) -> None:
        """Score and learn the labels that wait, and whose event is known."""
        ready: list[tuple[LabelRecord, _Known]] = []
        for key in keys:
            part = self._parts.get(self._call.number(key))
            label = part.label(key) if part is not None and part.restored and key in part.early else None
            if part is None or label is None:
                continue
            event = part.event(key) or self.labels.replica.record(key)
            gone = None if event else part.gone(key)
            if event is None:
                if label.event.label is not None and gone is not None:
                    self.pictures.ask(label, gone.reference)
                elif label.event.label is None:  # kept, so that an older label that comes later stays away
                    self._finish(label, "withdrawn", "nothing was known of the event")
            elif label.event.label is not None and not (
                event.fingerprint == self.fingerprint and self.labels.fits(event.vector)
            ):
                why = f"the event was embedded by encoder {event.fingerprint}, this worker runs {self.fingerprint}"
                self._dismiss(label, ForeignVector(why))
            else:
                ready.append((label, event))
        self._learn(ready, owned)

    def _learn(self, known: Sequence[tuple[LabelRecord, _Known]], owned: Ownership) -> None:
        """Score labels that are their events' first, and make the anchors what the labels say.

        None, or one of this label, time and annotator.
        """
        ready, stale = list[tuple[LabelRecord, _Known]](), list[str]()
        tests: list[tuple[LabelEvent, WaitingEvent]] = []
        for label, event in known:
            said, anchor = label.event, self.labels.replica.record(label.event.anchor_id)
            if anchor is not None and said.time_ms < anchor.event_time_ms:
                self._finish(label, "outdated", "the event came again with a newer label")
                continue
            ready.append((label, event))
            if anchor is not None and said.label in (None, anchor.label):
                stale.append(anchor.anchor_id)
            elif anchor is None and said.label is not None and not label.tested and isinstance(event, WaitingEvent):
                tests.append((said, event))
        if not ready:
            return
        self._call.written += self.tests.score(tests)
        outputs = self.labels.replica.forget(stale)[1]
        records = [record_of_label(label.event, event) for label, event in ready if label.event.label is not None]
        ignored, learned, failed = self.labels.learn_late(records, owned)
        # What was learned wrongly of an event that is a canary's must not stay.
        more = self.labels.replica.forget([key for key, why in ignored.items() if why != "outdated"])[1]
        for output in (*outputs, *learned, *more):
            self._call.write_anchor(output)
        for label, _ in ready:
            if (error := failed.get(label.event.anchor_id)) is not None:
                self._dismiss(label, self.unexpected("learn", label.to_record(), error))
                continue
            why = ignored.get(label.event.anchor_id)
            if label.event.label is None:
                self.metrics.labels.labels(outcome="withdrawn").inc()
                self._finish(label, "withdrawn")
            else:
                self._finish(replace(label, tested=True), "learned" if why is None else "scored", why or "")

    def _expire(self, owned: Ownership) -> None:
        now_ms = self.now_ms()
        for number, part in self._parts.items():
            if not part.restored:
                continue
            for label in part.overdue(now_ms, int(min(_FETCHED_AFTER_S, self.config.early_max_age) * 1e3)):
                if label.event.reference:
                    self.pictures.ask(label, label.event.reference)
            overdue = [label for label in part.overdue(now_ms) if not self.pictures.awaits(label)]
            # An event that comes with a label of its own is not kept: what is known of it is its anchor.
            self._apply([label.event.anchor_id for label in overdue], owned)
            for label in overdue:
                if label.event.anchor_id in part.early:
                    self._dismiss(label, LabelWithoutEvent(_gone(label.event)))
            for key, value in part.outdated(now_ms):
                self._call.write(key, value, number)

    def _learn_fetched(self, owned: Ownership) -> None:
        """Learn labels whose picture was fetched; a test is what was predicted of it, where that is still known."""
        ready: list[tuple[LabelRecord, _Known]] = []
        for label, found in self.pictures.found():
            said, key = label.event, label.event.anchor_id
            part = self._parts.get(self._call.number(key))
            if part is None or key not in part.early or part.label(key) != label:
                continue
            if isinstance(found, EventError):
                self._dismiss(label, found)
            elif (gone := part.gone(key)) is not None:
                ready.append((label, replace(gone, vector=found, fingerprint=self.fingerprint)))
            else:
                event = said.event_source, said.event_id, *label.place, self.fingerprint
                ready.append((label, AnchorRecord(key, found, said.label or "", said.time_ms, *event)))
        self._learn(ready, owned)

    def _finish(self, label: LabelRecord, state: LabelState, why: str = "") -> None:
        """Keep what became of a label; of one that asks for it, nothing else."""
        key = label.event.anchor_id
        part = self._parts[self._call.number(key)]
        self._set(replace(label, state=state, why=why, at_ms=self.now_ms()), part)
        if label.event.forget:
            log.info("forgot an event", anchor=key, asked_by=label.event.source)
            if part.drop_event(key):
                self._call.write(key, None, self._call.number(key))

    def _set(self, label: LabelRecord, part: Waiting) -> None:
        key = label.event.anchor_id
        part.set_label(key, label)
        self._call.changed[key] = None

    def _dismiss(self, label: LabelRecord, error: EventError) -> None:
        """A label that was kept becomes a dead letter; it may be sent again."""
        key = label.event.anchor_id
        number = self._call.number(key)
        self._parts[number].drop_label(key)
        self._call.changed[key] = None
        self._call.refuse(label.to_record(), error, number)


def _gone(label: LabelEvent) -> str:
    return (
        f"no event {label.event_id!r} of source {label.event_source!r} is known: it never came, waited for longer than "
        "`labels.wait_max_age`, or more than `labels.wait_max_events` came after it; send the picture with this label, "
        "or the label with a `reference` to it"
    )
