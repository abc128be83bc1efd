"""`evaluate stream --delay` says what a worker on a real Kafka does with labels that come so many events later."""

import contextlib
import json
import threading
import time
from typing import Any

import numpy as np
from kafka import KafkaProducer

from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import AdapterConfig, AnchorsConfig
from stream_adapter.encode.vectors_only import FINGERPRINT, VectorsOnly
from stream_adapter.evaluate.methods import METHODS, Task
from stream_adapter.evaluate.stream import StreamSettings, batches, plan_stream
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent
from stream_adapter.journey.batching import Batcher
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.wiring import JourneyConfig, make_processor
from stream_adapter.service.worker import Worker
from stream_adapter.transport.base import OutRecord
from stream_adapter.transport.kafka.transport import KafkaTransport
from tests.evaluate.data import make_features
from tests.integration.cluster import Cluster, wait_for

SETTINGS = StreamSettings(events=1_024, batch=64, label_rate=0.4, delay=500)


class WholeBatches(Batcher):
    """Batches as `evaluate` makes them: they do not become smaller where the machine is slow."""

    def took(self, records: int, seconds: float) -> None:
        """See `Batcher.took`."""


def test_evaluate_and_a_worker_on_kafka_predict_the_same_when_labels_are_late(bootstrap_servers: str) -> None:
    features = make_features(1_024, d=64)
    names, seed = features.vocabulary.class_names, 0
    plan = plan_stream(features, SETTINGS, seed)
    canaries = tuple(np.array(names)[plan.canary].tolist())
    adapter = AdapterConfig(anchors=AnchorsConfig(neighbours=4, index="exact"), canaries=canaries)
    cluster = Cluster(bootstrap_servers, partitions=1)
    transport, metrics = KafkaTransport(cluster.but(delivery="exactly_once")), Metrics()
    feed = transport.open_labels()
    processor = make_processor(
        VectorsOnly(features.vocabulary.d),
        features.vocabulary,
        JourneyConfig(adapter=adapter, top_k=len(names)),
        context=LearnerContext(),  # without a clock: what is learned is in force at once
        writer="test",
        source="/test",
        decoders=InlineExecutor(),
        metrics=metrics,
        clock=time.monotonic,
        waiting_partitions=feed.partitions,
    )
    producer = KafkaProducer(bootstrap_servers=bootstrap_servers)
    method = METHODS["default"](Task(features.vocabulary, canaries, seed, adapter))
    said: dict[int, dict[str, float]] = {}
    predicted = []
    with contextlib.ExitStack() as stack:
        stack.callback(feed.close)
        source, sink = transport.connect(stack)
        worker = Worker(
            source=source,
            sink=sink,
            changelog=transport.open_changelog("test"),
            classes=transport.open_log("classes"),
            processor=processor,
            batcher=WholeBatches(SETTINGS.batch, 1e9, time.monotonic),
            metrics=metrics,
            health=Health(60.0, time.monotonic),
            drain_s=5.0,
            labels=feed,
        )
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            for batch, lessons, _ in batches(features, plan, SETTINGS):
                predicted.append(method.predict(batch.vectors))
                method.update(batch, lessons)
                for id, vector in zip(batch.ids.tolist(), batch.vectors, strict=True):
                    headers = image_event_headers(source="evaluate", id=str(id), content_type=EMBEDDING, time_ms=id)
                    fingerprint = ("ce_fingerprint", FINGERPRINT.encode())
                    value = vector.astype("<f4").tobytes()
                    producer.send(cluster.config.topics.images, value, headers=[*headers, fingerprint])
                producer.flush()
                done = int(batch.ids[-1]) + 1
                wait_for(lambda: _total(metrics, "predictions_total") >= done, what=f"{done} predictions")  # noqa: B023
                late = zip(lessons.ids.tolist(), lessons.classes.tolist(), strict=True)
                labels = [LabelEvent.new("evaluate", str(id), names[label], time_ms=done - 1) for id, label in late]
                records = [label.to_record() for label in labels]
                transport.write([OutRecord("labels", one.key, one.value, one.headers) for one in records])
                keys = {anchor_id_of("evaluate", str(id)) for id in lessons.ids.tolist()}
                wait_for(lambda: all(map(processor.adapter.anchors.get, keys)), what="the labels to be learned")  # noqa: B023
        finally:
            worker.stop()
            thread.join(30)
            producer.close()
    index = {name: number for number, name in enumerate(names)}
    for record in cluster.read(cluster.config.topics.predictions):
        prediction: dict[str, Any] = json.loads(record.value)
        said[int(prediction["event"]["id"])] = {one["label"]: one["adapted"] for one in prediction["top"]}
    probabilities = np.concatenate(predicted)  # (n, C)
    of_worker = np.zeros_like(probabilities)
    for id, scores in said.items():
        for name, score in scores.items():
            of_worker[id, index[name]] = score
    assert len(said) == len(plan)
    # A unit in the last place of a logit around 25 may move the last of the six digits that are written.
    np.testing.assert_allclose(of_worker, probabilities.round(6), rtol=0, atol=1.1e-6)
    zero_shot = METHODS["zero-shot"](Task(features.vocabulary)).predict(features.vectors[plan.rows])
    assert np.abs(probabilities[600:] - zero_shot[600:]).max() > 0.05, "the comparison means something"


def _total(metrics: Metrics, name: str) -> float:
    return metrics.registry.get_sample_value(f"stream_adapter_{name}") or 0.0
