"""A journey whose outputs come back as they do from topics, with labels that come apart from their events."""

from typing import Any

from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.config import LabelsConfig
from stream_adapter.drift.settings import DriftSettings
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import LABEL_PREFIX, LabelRecord
from stream_adapter.journey.observing import DeletionRequest, NullObserver
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.references import References
from stream_adapter.transport.base import Partition
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.memory import MemoryChangelog, MemoryTransport
from tests.fakes import FakeClock, adapter_config, make_processor
from tests.journey.running import run

IMAGES = Partition("images", 0)


class Journey(NullObserver):
    """A processor whose outputs are written and come back."""

    def __init__(
        self,
        transport: MemoryTransport | None = None,
        *,
        method: str = "class-means",
        references: References | None = None,
        **config: Any,
    ) -> None:
        self.now_ms = 100_000
        self.requests: list[DeletionRequest] = []
        self.deleted: list[str] = []
        self.forgotten: list[Change] = []
        self.clock = FakeClock()
        self.transport = transport or MemoryTransport()
        self.metrics = Metrics()
        self.processor: Processor = make_processor(
            metrics=self.metrics,
            labels=LabelsConfig(**config),
            adapter=adapter_config(method=method),
            drift=DriftSettings(mode="alarm_only"),
            clock=self.clock,
            observer=self,
            waiting_partitions=1,
            now_ms=lambda: self.now_ms,
            references=references,
        )
        self.feed = self.transport.open_labels()
        self.feed.assign(frozenset({0}))
        self.changelog = MemoryChangelog(sink=self.transport.sink, writer="test")
        self.processor.apply([change for portion in self.changelog.read_to_end() for change in portion])
        self.settle()

    def send(self, *pictures: dict[str, Any]) -> None:
        self.transport.sink.commit(run(self.processor, *pictures).commit)
        self.settle()

    def say(self, *labels: LabelEvent) -> None:
        self.transport.write([label.to_output() for label in labels])
        self.settle()

    def settle(self) -> None:
        while True:
            arrivals = self.feed.poll()
            outcome = self.processor.apply_labels(arrivals, {0: IMAGES}, EVERYTHING)
            assert all(output.source == IMAGES for output in outcome.commit.outputs)
            self.transport.sink.commit(outcome.commit)
            if not arrivals:
                break
        changes = self.changelog.poll()
        self.forgotten += [change for change in changes if change.forgotten]
        outcome = self.processor.apply(changes, EVERYTHING)
        self.transport.sink.commit(outcome.commit)
        outcome.report(self.metrics)

    def poll(self) -> list[DeletionRequest]:
        asked, self.requests = self.requests, []
        return asked

    @property
    def anchors(self) -> dict[str, tuple[str, int, str]]:
        """Label, time and annotator, by event id."""
        found = self.processor.adapter.anchors
        return {one.origin.event_id: (one.label, one.event_time_ms, one.origin.annotator) for one in found}

    def label_of(self, number: int) -> LabelRecord | None:
        key = (LABEL_PREFIX + anchor_id_of("/test", str(number))).encode()
        values = [output.value for output in self.transport.sink.records["waiting"] if output.key == key]
        return None if not values or values[-1] is None else LabelRecord.from_value(values[-1])

    def letters(self) -> list[Any]:
        return list(self.transport.open_log("dead_letters")._read())


def said(
    number: int, label: str | None, time_ms: int = 50_000, annotator: str | None = None, **more: Any
) -> LabelEvent:
    return LabelEvent.new("/test", str(number), label, time_ms=time_ms, annotator=annotator, **more)
