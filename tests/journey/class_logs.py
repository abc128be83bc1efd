"""Workers that follow the classes of their group, on topics in memory."""

import json
from collections.abc import Sequence
from typing import Any

from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.events.class_record import ClassRecord
from stream_adapter.journey.outcome import Outcome
from stream_adapter.journey.processor import Processor
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import change_of
from stream_adapter.transport.memory import IMAGES
from tests.fakes import FakeClock, make_processor, vectors_of

ZEBRA = vectors_of(("dog", 77))[0]


class Worker:
    """A processor on the logs of its group; `take` reads what it has not read."""

    def __init__(self, logs: "Logs", name: str, *, owner: bool = False, **more: Any) -> None:
        self.logs, self.name, self.owner = logs, name, owner
        self.processor: Processor = make_processor(clock=logs.clock, slot=name, **more)
        self.read = {"classes": 0, "anchors": 0}
        self.offset = 0

    def take(self, channel: str) -> None:
        records = self.logs.of(channel)[self.read[channel] :]
        self.read[channel] += len(records)
        if channel == "classes":
            self.processor.apply_classes(records)
        else:
            self.follow(records)

    def follow(self, records: Sequence[Record]) -> None:
        changes = [change for record in records if (change := change_of(record, self.name)) is not None]
        self.say(self.processor.apply(changes, EVERYTHING if self.owner else None))

    def settle(self) -> None:
        for _ in range(4):
            self.take("classes")
            self.take("anchors")

    def feed(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        records = []
        for one in events:
            records.append(Record(IMAGES, self.offset, 0, one["key"], one["value"], one["headers"]))
            self.offset += 1
        outcome = self.processor.finish(self.processor.encode(self.processor.prepare(records)), EVERYTHING)
        self.say(outcome)
        return [json.loads(one.value or b"") for one in outcome.commit.outputs if one.channel == "predictions"]

    def say(self, outcome: Outcome) -> None:
        self.logs.write(outcome.commit.outputs)

    @property
    def state(self) -> dict[str, Any]:
        now, adapter = self.processor.parts.classes.now, self.processor.adapter
        return {
            "names": now.names,
            "hash": now.hash,
            "canaries": now.canaries,
            "aliases": dict(now.aliases),
            "texts": now.texts.tobytes(),
            "anchors": {anchor.anchor_id: anchor.label for anchor in adapter.anchors},
            "set aside": {key: one.label for key, one in self.processor.parts.labels.replica.set_aside.anchors.items()},
            "digest": adapter.anchors_digest,
        }


class Logs:
    """The topics of a group, in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.records: dict[str, list[Record]] = {"classes": [], "anchors": []}

    def of(self, channel: str) -> list[Record]:
        return self.records[channel]

    def write(self, outputs: Sequence[OutRecord]) -> None:
        for one in outputs:
            if one.channel in self.records:
                log = self.records[one.channel]
                log.append(Record(Partition(one.channel, 0), len(log), 0, one.key, one.value, one.headers))

    def say(self, *records: ClassRecord) -> None:
        self.write([record.to_record() for record in records])

    def compact(self) -> None:
        for channel, log in self.records.items():
            newest = {record.key: record for record in log}
            self.records[channel] = sorted(newest.values(), key=lambda record: record.offset)


def alone(**more: Any) -> tuple[Logs, Worker]:
    logs = Logs()
    return logs, Worker(logs, "me", owner=True, **more)
