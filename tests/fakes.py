"""Fakes for unit tests of the package's own logic; everything with a real counterpart is tested on that elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import AdapterConfig, AnchorsConfig, DeadLetterLimit, LabelsConfig
from stream_adapter.drift.settings import DriftSettings
from stream_adapter.encode.base import Prepared, Vectors, check_vector
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import UndecodableImage
from stream_adapter.events import image_event_headers
from stream_adapter.journey.classes import Encode
from stream_adapter.journey.observing import Observer
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.references import References
from stream_adapter.service.wiring import JourneyConfig
from stream_adapter.service.wiring import make_processor as make_journey
from stream_adapter.transport.base import Headers
from tests import learners as learners  # registers its learner

D = 16
CLASSES = ("cat", "dog", "horse", "house")
CANARY = "house"


def unit(vectors: np.ndarray) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), dtype=np.float32)


TEXT_VECTORS = unit(np.random.default_rng(0).normal(size=(len(CLASSES), D)))


class FakeEncoder:
    """A "picture" is the text `CLASS SEED`: its vector is near the class's text vector, elsewhere for each seed."""

    d = D
    fingerprint = "fake-encoder"

    def __init__(self) -> None:
        self.warm = False

    def prepare(self, data: bytes, content_type: str) -> Prepared:
        name, _, seed = data.decode(errors="replace").partition(" ")
        if name not in CLASSES:
            raise UndecodableImage(f"not a fake picture: {data[:20]!r}")
        noise = np.random.default_rng(int(seed)).normal(size=D)
        return unit(TEXT_VECTORS[CLASSES.index(name)] + 0.1 * noise)

    def check_vector(self, data: bytes, fingerprint: str | None) -> Vectors:
        return check_vector(data, fingerprint, d=D, expected=self.fingerprint)

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        return np.stack(prepared).astype(np.float32) if prepared else np.zeros((0, D), np.float32)

    def warm_up(self, batch: int = 8) -> None:
        self.warm = True


@dataclass
class FakeClock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def picture(name: str, number: int, label: str | None = None, **more: Any) -> dict[str, Any]:
    """Arguments for `MemorySource.add`: event `number`, a picture of class `name`."""
    return {"value": f"{name} {number}".encode(), "headers": headers(str(number), label, **more), "key": b"%d" % number}


def vectors_of(*pictures: tuple[str, int]) -> Vectors:
    """The vectors of pictures, by class and number."""
    encoder = FakeEncoder()
    return encoder.encode([encoder.prepare(f"{name} {number}".encode(), "image/jpeg") for name, number in pictures])


def headers(id: str, label: str | None = None, **more: Any) -> Headers:
    return image_event_headers(**{"source": "/test", "content_type": "image/jpeg", **more}, id=id, label=label)


def make_processor(
    *,
    metrics: Metrics | None = None,
    unknown_labels: Literal["reject", "ignore", "add"] = "reject",
    limit: DeadLetterLimit | None = None,
    clock: Callable[[], float] | None = None,
    encoder: Any = None,
    observer: Observer | None = None,
    adapter: AdapterConfig | None = None,
    drift: DriftSettings | None = None,
    slot: str = "test",
    encode: Encode | None = None,
    labels: LabelsConfig | None = None,
    waiting_partitions: int = 0,
    now_ms: Callable[[], int] = lambda: 10_000,
    references: References | None = None,
) -> Processor:
    """A processor on fakes at its edges, everything in the calling thread."""
    clock = clock or FakeClock()
    config = JourneyConfig(
        adapter=adapter or adapter_config(),
        drift=drift or DriftSettings(),
        dead_letters=limit or DeadLetterLimit(),
        unknown_labels=unknown_labels,
        labels=labels or LabelsConfig(),
        top_k=3,
    )
    return make_journey(
        encoder or FakeEncoder(),
        Vocabulary(CLASSES, TEXT_VECTORS, logit_scale=10.0),
        config,
        context=LearnerContext(clock=clock, slot=slot, publishes=True),
        writer=slot,
        source="/test",
        decoders=InlineExecutor(),
        metrics=metrics or Metrics(),
        clock=clock,
        observer=observer,
        encode=encode,
        waiting_partitions=waiting_partitions,
        now_ms=now_ms,
        references=references,
    )


def adapter_config(**more: Any) -> AdapterConfig:
    """The small learner of `tests.learners`, with one canary."""
    anchors = AnchorsConfig(neighbours=4, index="exact")
    return AdapterConfig(
        **{"method": "class-means", "protection": 0.0, "canaries": (CANARY,), "anchors": anchors, **more}
    )
