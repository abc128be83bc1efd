"""Fakes for unit tests of the package's own logic; everything with a real counterpart is tested on that elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.refit import InlineExecutor
from stream_adapter.config import AdapterConfig, AnchorsConfig, DeadLetterLimit, RefitConfig
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.prequential import PrequentialAccuracy
from stream_adapter.encode.base import Prepared, Vectors, check_vector
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import UndecodableImage
from stream_adapter.events import image_event_headers
from stream_adapter.metrics import Metrics
from stream_adapter.observing import Observer
from stream_adapter.processor import Processor
from stream_adapter.reading import Reader
from stream_adapter.shared_presence import SharedPresence
from stream_adapter.teaching import Teacher
from stream_adapter.transport import dead_letters
from stream_adapter.transport.base import Headers
from stream_adapter.watch import Watch

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


def headers(id: str, label: str | None = None, **more: Any) -> Headers:
    return image_event_headers(source="/test", id=id, content_type="image/jpeg", label=label, **more)


def make_processor(
    *,
    metrics: Metrics | None = None,
    reject_unknown_labels: bool = True,
    limit: DeadLetterLimit | None = None,
    clock: Callable[[], float] | None = None,
    refit_every: int = 4,
    encoder: Any = None,
    observer: Observer | None = None,
) -> Processor:
    """A processor on fakes at its edges and the real adapter, everything in the calling thread."""
    metrics = metrics or Metrics()
    encoder = encoder or FakeEncoder()
    vocabulary = Vocabulary(CLASSES, TEXT_VECTORS, logit_scale=10.0)
    config = AdapterConfig(
        canaries=(CANARY,),
        anchors=AnchorsConfig(neighbours=4, index="exact"),
        refit=RefitConfig(every_labels=refit_every, background=False, steps=20),
    )
    adapter = Adapter(vocabulary.text_vectors, CLASSES, vocabulary.logit_scale, config)
    canary = np.array([name == CANARY for name in CLASSES])
    watch = Watch(
        lambda: DriftMonitor(CLASSES, vocabulary.logit_scale, canary),
        source="/test",
        status_every_s=60.0,
        metrics=metrics,
    )
    return Processor(
        reader=Reader(
            encoder,
            CLASSES,
            reject_unknown_labels=reject_unknown_labels,
            decoders=InlineExecutor(),
            metrics=metrics,
        ),
        encoder=encoder,
        vocabulary=vocabulary,
        adapter=adapter,
        teacher=Teacher(
            adapter,
            CLASSES,
            canaries=[CANARY],
            accuracy=PrequentialAccuracy(canary),
            fingerprint=encoder.fingerprint,
            writer="test",
            watch=watch,
            presence=SharedPresence(
                adapter,
                CLASSES,
                slot="test",
                writer="test",
                fingerprint=encoder.fingerprint,
                every_s=1.0,
                background=InlineExecutor(),
            ),
            background=InlineExecutor(),
            metrics=metrics,
        ),
        watch=watch,
        limit=dead_letters.DeadLetterLimit(limit or DeadLetterLimit()),
        metrics=metrics,
        top_k=3,
        clock=clock or FakeClock(),
        observer=observer,
    )
