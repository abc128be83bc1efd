"""What `evaluate stream` says of `default` is what a worker does: the same predictions from the same stream."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.refit import InlineExecutor
from stream_adapter.batching import Batcher
from stream_adapter.config import (
    AdapterConfig,
    AnchorsConfig,
    DeadLetterLimit,
    FilesConfig,
    PresenceConfig,
    RefitConfig,
)
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.prequential import PrequentialAccuracy
from stream_adapter.encode.base import Prepared, Vectors, check_vector
from stream_adapter.evaluate.features import UNKNOWN, Features
from stream_adapter.evaluate.methods import METHODS, Task
from stream_adapter.evaluate.stream import StreamPlan, StreamSettings, plan_stream, turns
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.metrics import Metrics
from stream_adapter.processor import Processor
from stream_adapter.reading import Reader
from stream_adapter.service.health import Health
from stream_adapter.service.worker import Worker
from stream_adapter.shared_presence import SharedPresence
from stream_adapter.teaching import Teacher
from stream_adapter.transport import dead_letters
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files import FileSink, FileSource
from stream_adapter.transport.memory import MemoryChangelog
from stream_adapter.transport.recorded import to_line
from stream_adapter.watch import Watch
from tests.evaluate.data import make_features

FINGERPRINT = "made"
# Refits by number of labels alone, traffic heard by number of events alone: the worker's clock is the real one.
ADAPTER = AdapterConfig(
    anchors=AnchorsConfig(neighbours=4, index="exact"),
    refit=RefitConfig(background=False, every_labels=8, max_age_s=1e9, steps=50, rho=10.0),
    presence=PresenceConfig(every_s=1e-6),
)
SETTINGS = StreamSettings(events=240, batch=16, label_rate=0.4, label_noise=0.1)


class VectorsOnly:
    """The encoder of a worker that gets vectors in place of pictures."""

    fingerprint = FINGERPRINT

    def __init__(self, d: int) -> None:
        self.d = d

    def prepare(self, data: bytes, content_type: str) -> Prepared:
        raise AssertionError("there are no pictures")

    def check_vector(self, data: bytes, fingerprint: str | None) -> Vectors:
        return check_vector(data, fingerprint, d=self.d, expected=FINGERPRINT)

    def encode(self, prepared: Sequence[Prepared]) -> Vectors:
        return np.stack(prepared).astype(np.float32)

    def warm_up(self, batch: int = 8) -> None:
        pass


def record_stream(path: Path, features: Features, plan: StreamPlan) -> None:
    """The stream as a recorded topic of embedding events."""
    lines = []
    for position, row in enumerate(plan.rows.tolist()):
        taught = int(plan.taught[position])
        headers = image_event_headers(
            source="evaluate",
            id=str(position),
            content_type=EMBEDDING,
            time_ms=position,
            label=None if taught == UNKNOWN else features.vocabulary.class_names[taught],
        )
        headers += (("ce_fingerprint", FINGERPRINT.encode()),)
        value = features.vectors[row].astype("<f4").tobytes()
        lines.append(to_line(Record(Partition("images", 0), position, position, None, value, headers)))
    path.write_bytes(b"".join(lines))


def run_worker(
    config: FilesConfig, features: Features, adapter_config: AdapterConfig, batch: int
) -> list[dict[str, Any]]:
    """A worker on the file transport, until its input ends: the predictions it wrote."""
    vocabulary, metrics, encoder = features.vocabulary, Metrics(), VectorsOnly(features.vocabulary.d)
    names = vocabulary.class_names
    canaries = adapter_config.canaries
    adapter = Adapter(vocabulary.text_vectors, names, vocabulary.logit_scale, adapter_config)
    canary = np.isin(np.array(names), np.array(canaries))
    watch = Watch(
        lambda: DriftMonitor(names, vocabulary.logit_scale, canary), source="/test", status_every_s=1e9, metrics=metrics
    )
    teacher = Teacher(
        adapter,
        names,
        canaries=canaries,
        accuracy=PrequentialAccuracy(canary),
        fingerprint=FINGERPRINT,
        writer="test",
        presence=SharedPresence(
            adapter,
            names,
            slot="test",
            writer="test",
            fingerprint=FINGERPRINT,
            every_s=adapter_config.presence.every_s,
            background=InlineExecutor(),
        ),
        watch=watch,
        background=InlineExecutor(),
        metrics=metrics,
    )
    processor = Processor(
        reader=Reader(encoder, names, reject_unknown_labels=True, decoders=InlineExecutor(), metrics=metrics),
        encoder=encoder,
        vocabulary=vocabulary,
        adapter=adapter,
        teacher=teacher,
        watch=watch,
        limit=dead_letters.DeadLetterLimit(DeadLetterLimit()),
        metrics=metrics,
        top_k=len(names),
        clock=time.monotonic,
    )
    source = FileSource(config)
    sink = FileSink(config, source)
    Worker(
        source=source,
        sink=sink,
        changelog=MemoryChangelog(),
        processor=processor,
        batcher=Batcher(batch, 1e9, time.monotonic),
        metrics=metrics,
        health=Health(60.0, time.monotonic),
        drain_s=5.0,
    ).run()
    sink.close()
    lines = (config.output / "predictions.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(("adapts_by", "seed"), [("ours", 0), ("ours", 1), ("llu", 0)])
def test_a_worker_on_files_and_evaluate_predict_the_same(
    tmp_path: Path, adapts_by: Literal["ours", "llu"], seed: int
) -> None:
    features = make_features()
    plan = plan_stream(features, SETTINGS, seed)
    record_stream(tmp_path / "stream.jsonl", features, plan)
    canaries = tuple(np.array(features.vocabulary.class_names)[plan.canary].tolist())
    config = FilesConfig(input=tmp_path / "stream.jsonl", format="recorded", output=tmp_path / "results")
    adapter = ADAPTER.model_copy(update={"canaries": canaries, "method": adapts_by})
    written = run_worker(config, features, adapter, SETTINGS.batch)

    method = METHODS["default"](Task(features.vocabulary, canaries, seed, adapter))
    predicted = []
    for batch, lessons, _ in turns(features, plan, SETTINGS):
        predicted.append(method.predict(batch.vectors))
        method.update(batch, lessons)
    probabilities = np.concatenate(predicted)  # (n, C)

    assert len(written) == len(plan)
    index = {name: number for number, name in enumerate(features.vocabulary.class_names)}
    of_worker = np.zeros_like(probabilities)
    for shown in written:
        for score in shown["top"]:
            of_worker[int(shown["event"]["id"]), index[score["label"]]] = score["adapted"]
    np.testing.assert_allclose(of_worker, probabilities, atol=1e-6)
    zero_shot = METHODS["zero-shot"](Task(features.vocabulary)).predict(features.vectors[plan.rows])
    assert np.abs(probabilities - zero_shot).max() > 0.05, "the comparison means something: the adapter has learned"
