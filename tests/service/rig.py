"""A worker on in-memory transports, with the real loop and threads."""

import threading
import time
from typing import Any

from stream_adapter.events import AnchorRecord
from stream_adapter.journey.batching import Batcher
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.worker import Worker
from stream_adapter.transport.base import Partition
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.memory import MemoryChangelog, MemorySink, MemorySource, MemoryTransport
from tests.fakes import FakeEncoder, make_processor

ZERO, ONE = Partition("images", 0), Partition("images", 1)


class Rig:
    """A worker on in-memory transports, with the real loop and compute thread."""

    def __init__(
        self, source: MemorySource, encoder: Any = None, *, restored: Any = (), max_wait_s: float = 0.01, **worker: Any
    ) -> None:
        self.source = source
        self.sink = MemorySink()
        self.changelog = MemoryChangelog(restored, self.sink, writer="test")
        self.metrics = Metrics()
        self.health = Health(60.0, time.monotonic)
        waiting = {"waiting_partitions": 1, "now_ms": lambda: 0} if "labels" in worker else {}
        self.processor = make_processor(metrics=self.metrics, encoder=encoder, clock=time.monotonic, **waiting)
        self.worker = Worker(
            source=source,
            sink=self.sink,
            changelog=self.changelog,
            classes=MemoryTransport(source, self.sink).open_log("classes"),
            processor=self.processor,
            batcher=Batcher(4, max_wait_s, time.monotonic),
            metrics=self.metrics,
            health=self.health,
            drain_s=worker.pop("drain_s", 5.0),
            **worker,
        )

    def run_in_thread(self) -> threading.Thread:
        thread = threading.Thread(target=self.worker.run)
        thread.start()
        return thread


def wait_for(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


class SlowEncoder(FakeEncoder):
    """Waits for `go` before it encodes."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.entered = threading.Event()

    def encode(self, prepared: Any) -> Any:
        self.entered.set()
        assert self.go.wait(20)
        return super().encode(prepared)


def learned_elsewhere(*pictures: dict[str, Any]) -> Change:
    """The record of an anchor that another worker made of a picture."""
    other = Rig(MemorySource())
    for one in pictures:
        other.source.add(**one)
    other.worker.run()
    (record,) = other.sink.records["anchors"]
    content = AnchorRecord.from_record(record.key, record.value or b"", record.headers)
    return Change(content.anchor_id, content)
