"""What `evaluate stream` says of `default` is what a worker does: the same predictions from the same stream."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import AdapterConfig, AnchorsConfig, FilesConfig, LatentUpdatesConfig, RefitConfig
from stream_adapter.encode.vectors_only import FINGERPRINT, VectorsOnly
from stream_adapter.evaluate.features import UNKNOWN, Features
from stream_adapter.evaluate.methods import METHODS, Task
from stream_adapter.evaluate.stream import StreamPlan, StreamSettings, batches, plan_stream
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.journey.batching import Batcher
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.wiring import JourneyConfig, make_processor
from stream_adapter.service.worker import Worker
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files import FileSink, FileSource
from stream_adapter.transport.memory import MemoryChangelog, MemoryTransport
from stream_adapter.transport.recorded import to_line
from tests import learners as learners  # registers its learner
from tests.evaluate.data import make_features

ANCHORS = AnchorsConfig(neighbours=4, index="exact")
LLU = LatentUpdatesConfig(refit=RefitConfig(every_labels=8, steps=50, rho=10.0))  # a fit after a batch, that moves
SETTINGS = StreamSettings(events=240, batch=16, label_rate=0.4, label_noise=0.1)


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
    metrics = Metrics()
    processor = make_processor(
        VectorsOnly(features.vocabulary.d),
        features.vocabulary,
        JourneyConfig(adapter=adapter_config, top_k=len(features.vocabulary.class_names)),
        context=LearnerContext(),  # the clock of a worker would decide when what is learned is in force
        writer="test",
        source="/test",
        decoders=InlineExecutor(),
        metrics=metrics,
        clock=time.monotonic,
    )
    source = FileSource(config)
    sink = FileSink(config, source)
    Worker(
        source=source,
        sink=sink,
        changelog=MemoryChangelog(),
        classes=MemoryTransport().open_log("classes"),
        processor=processor,
        batcher=Batcher(batch, 1e9, time.monotonic),
        metrics=metrics,
        health=Health(60.0, time.monotonic),
        drain_s=5.0,
    ).run()
    sink.close()
    lines = (config.output / "predictions.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(("learner", "seed"), [("mixture", 0), ("mixture", 1), ("llu", 0), ("class-means", 0)])
def test_a_worker_on_files_and_evaluate_predict_the_same(tmp_path: Path, learner: str, seed: int) -> None:
    features = make_features()
    plan = plan_stream(features, SETTINGS, seed)
    record_stream(tmp_path / "stream.jsonl", features, plan)
    canaries = tuple(np.array(features.vocabulary.class_names)[plan.canary].tolist())
    config = FilesConfig(input=tmp_path / "stream.jsonl", format="recorded", output=tmp_path / "results")
    adapter = AdapterConfig(method=learner, anchors=ANCHORS, canaries=canaries, llu=LLU)
    written = run_worker(config, features, adapter, SETTINGS.batch)

    method = METHODS["default"](Task(features.vocabulary, canaries, seed, adapter))
    predicted = []
    for batch, lessons, _ in batches(features, plan, SETTINGS):
        predicted.append(method.predict(batch.vectors))
        method.update(batch, lessons)
    probabilities = np.concatenate(predicted)  # (n, C)

    assert len(written) == len(plan)
    index = {name: number for number, name in enumerate(features.vocabulary.class_names)}
    of_worker = np.zeros_like(probabilities)
    for shown in written:
        for score in shown["top"]:
            of_worker[int(shown["event"]["id"]), index[score["label"]]] = score["adapted"]
    # A unit in the last place of a logit around 25 may move the last of the six digits that are written.
    np.testing.assert_allclose(of_worker, probabilities.round(6), rtol=0, atol=1.1e-6)
    zero_shot = METHODS["zero-shot"](Task(features.vocabulary)).predict(features.vectors[plan.rows])
    assert np.abs(probabilities - zero_shot).max() > 0.05, "the comparison means something: the adapter has learned"
