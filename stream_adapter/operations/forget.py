"""Forgetting events by who labelled them, how, when and where they came from: looked for, then removed everywhere."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stream_adapter.adapter.anchors.ownership import key_of
from stream_adapter.config import Config
from stream_adapter.errors import EventError, MalformedEvent
from stream_adapter.events import AnchorRecord, anchor_tombstone, canonical_name
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent, PlainLabels, parse_label_event
from stream_adapter.events.waiting import LABEL_PREFIX, LabelRecord, waiting_record
from stream_adapter.operations.anchors import read_anchors, whoever, writer
from stream_adapter.operations.labels import come_apart, last_waiting, send_labels, waiting_events
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import Transport, read_all


@dataclass(frozen=True, slots=True)
class Criteria:
    """Which events; all that are given must hold. None, or empty, is not asked for.

    Attributes:
        events: ids of image events.
        label: the class that they are labelled as.
        annotator: who gave them their newest label.
        source: of the image events.
        since_ms: the newest label was given then or later, milliseconds since the epoch.
        until_ms: it was given before.
    """

    events: frozenset[str] = frozenset()
    label: str | None = None
    annotator: str | None = None
    source: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def mean(self, source: str, id: str) -> bool:
        """Whether this event may be meant."""
        return self.source in (None, source) and (not self.events or id in self.events)

    def mean_label(self, label: str | None, annotator: str | None, time_ms: int) -> bool:
        """Whether an event with this label may be meant."""
        return (
            (self.label is None or (label is not None and canonical_name(self.label) == canonical_name(label)))
            and self.annotator in (None, annotator)
            and (self.since_ms is None or time_ms >= self.since_ms)
            and (self.until_ms is None or time_ms < self.until_ms)
        )


@dataclass(slots=True)
class Plan:
    """What would be forgotten.

    Attributes:
        events: source and id of each event, with the time of what was last said of it, milliseconds since the epoch.
        anchors: those of them that are anchors.
        waiting: how many of them are kept for labels to come.
        labels: how many labels of them are known.
    """

    events: dict[tuple[str, str], int] = field(default_factory=dict)
    anchors: list[AnchorRecord] = field(default_factory=list)
    waiting: int = 0
    labels: int = 0

    def add(self, source: str, id: str, time_ms: int = 0) -> None:
        """Forget this event."""
        self.events[source, id] = max(time_ms, self.events.get((source, id), 0))


def plan_forgetting(config: Config, criteria: Criteria) -> Plan:
    """Look for what is known of these events, in anchors, waiting events and labels."""
    plan = Plan()
    for anchor in read_anchors(config).values():
        of = criteria.mean(anchor.event_source, anchor.event_id)
        if of and criteria.mean_label(anchor.label, anchor.annotator or None, anchor.event_time_ms):
            plan.anchors.append(anchor)
            plan.add(anchor.event_source, anchor.event_id, anchor.event_time_ms)
    if not come_apart(config):
        return plan
    transport = transport_of(config)
    waiting = last_waiting(transport)
    plain = PlainLabels(config.labels, config.events)
    # The newest label of each event, as far as anybody still knows it.
    newest = {one.anchor_id: one for one in sorted(_labels(transport, waiting, plain), key=lambda one: one.stamp)}
    for label in newest.values():
        of = criteria.mean(label.event_source, label.event_id) and not label.forget
        if of and criteria.mean_label(label.label, label.annotator, label.time_ms):
            plan.labels += 1
            plan.add(label.event_source, label.event_id, label.time_ms)
    about_labels = (criteria.label, criteria.annotator, criteria.since_ms, criteria.until_ms) != (None,) * 4
    for event in waiting_events(waiting):
        if criteria.mean(event.source, event.id) and not about_labels:
            plan.add(event.source, event.id)
        plan.waiting += (event.source, event.id) in plan.events
    return plan


def carry_out(config: Config, plan: Plan) -> None:
    """Forget what was planned, here and in every worker.

    Workers hear of it twice: by deletions, at once, and by a withdrawal on the labels' topic, which keeps older labels
    away that are read later. In this order, because files cannot be written beside a worker: were it told first, it
    would delete the anchors itself, and leave nothing to find for whoever overwrites them. Doing it again does no harm.
    """
    transport, events = transport_of(config), sorted(plan.events)
    # Also where there is no anchor: it is from here that pages hear whose pictures may not stay.
    outputs = [anchor_tombstone(anchor_id_of(*event), writer(), forgotten=True) for event in events]
    if come_apart(config):
        with contextlib.closing(transport.open_log("waiting")) as log:
            partitions = len(log.ends())
        for event in events:
            key = anchor_id_of(*event)
            outputs += [waiting_record(one, None, key_of(key) % partitions) for one in (key, LABEL_PREFIX + key)]
    transport.write(outputs)
    if come_apart(config):
        sender = f"stream_adapter/forget/{whoever()}"
        now_ms = int(time.time() * 1e3)
        times = (max(now_ms, plan.events[event] + 1) for event in events)  # a clock may have been ahead of this one
        said = zip(events, times, strict=True)
        send_labels(config, (LabelEvent.new(*event, None, time_ms=t, sender=sender, forget=True) for event, t in said))


def _labels(transport: Transport, waiting: Mapping[str, bytes], plain: PlainLabels) -> Iterator[LabelEvent]:
    for record in read_all(transport, "labels"):
        with contextlib.suppress(EventError):
            yield parse_label_event(record, plain=plain)
    for key, value in waiting.items():
        if key.startswith(LABEL_PREFIX):
            with contextlib.suppress(MalformedEvent):
                yield LabelRecord.from_value(value).event
