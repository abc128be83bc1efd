"""One peer of `peers.py` in its process: the worker, or the loop that somebody would write in its place.

    python peer_loops.py NAME KIND SERVERS TOPICS EVENTS WARM_UP

What a loop does with a batch is the same for all of them (`Loop`): decode with Pillow and open_clip's own transform,
embed, zero-shot and the votes of the nearest labelled vectors (hnswlib), learn the labels, and JSON.
"""

import json
import os
import re
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

import stream_adapter

D = 512
NAMES = tuple(f"class {number}" for number in range(171))
CLASSES = tuple(
    f"{colour} {shape}"
    for colour in ("red", "blue", "green", "yellow", "purple", "orange", "pink", "brown")
    for shape in ("circle", "star", "triangle", "diamond", "square")
)
FINGERPRINT = "vectors-of-somebody"
MODEL = Path(stream_adapter.__file__).parent / "demo" / "model" / "small-clip.json"
_TOP, _NEIGHBOURS, _BATCH = 5, 16, {"pictures": 64, "vectors": 500}


class Event(NamedTuple):
    """A record, as far as a loop reads it."""

    key: bytes
    value: bytes
    headers: dict[str, bytes]


class Written(NamedTuple):
    """What is written about an event: a prediction, and an anchor where there is a label."""

    key: bytes
    prediction: bytes
    anchor: tuple[bytes, list[tuple[str, bytes]]] | None


def class_vectors() -> NDArray[np.float32]:
    """Unit vectors, float32 (C, d), in place of a text tower's."""
    texts = np.random.default_rng(1).normal(size=(len(NAMES), D)).astype(np.float32)
    return texts / np.linalg.norm(texts, axis=1, keepdims=True)


class Loop:
    """The part that is about pictures and labels, as short as somebody would write it."""

    def __init__(self, kind: str, capacity: int) -> None:
        import hnswlib

        self._kind = kind
        if kind == "pictures":
            import open_clip
            import torch

            open_clip.add_model_config(MODEL)
            weights = str(MODEL.with_suffix(".safetensors"))
            self._model, _, self._transform = open_clip.create_model_and_transforms("small-clip", pretrained=weights)
            self._model.eval()
            self.names: Sequence[str] = CLASSES
            with torch.inference_mode():
                texts = self._model.encode_text(open_clip.get_tokenizer("small-clip")(list(CLASSES)), normalize=True)
            self._texts, self._scale = texts.numpy(), float(self._model.logit_scale.exp())
        else:
            self.names, self._texts, self._scale = NAMES, class_vectors(), 100.0
        self._index = hnswlib.Index("ip", self._texts.shape[1])
        self._index.init_index(capacity, M=16, ef_construction=100)
        self._index.set_num_threads(1)
        self._labels: list[int] = []
        self._number = {name: index for index, name in enumerate(self.names)}

    def __call__(self, events: Sequence[Event]) -> list[Written]:
        """Answer, then learn the labels."""
        vectors = self._embed(events)
        logits = self._scale * (vectors @ self._texts.T)
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        zero_shot = scores.copy()
        near = cosines = np.zeros((len(events), 0))
        if self._labels:
            near, distances = self._index.knn_query(vectors, k=min(_NEIGHBOURS, len(self._labels)))
            cosines = 1.0 - distances
            for row, (ids, weights) in enumerate(zip(near, np.exp(10.0 * (cosines - 1.0)), strict=True)):
                np.add.at(scores[row], [self._labels[id] for id in ids], weights)
            scores /= scores.sum(axis=1, keepdims=True)
        best = np.argsort(-scores, axis=1)[:, :_TOP]
        written = []
        for row, event in enumerate(events):
            said = {
                "event": {name: event.headers[f"ce_{name}"].decode() for name in ("id", "source", "time")},
                "top": [
                    {
                        "label": self.names[c],
                        "adapted": float(round(scores[row, c], 6)),
                        "zero_shot": float(round(zero_shot[row, c], 6)),
                    }
                    for c in best[row]
                ],
                "anchors": [
                    {"id": int(id), "label": self.names[self._labels[id]], "cosine": float(round(cosine, 6))}
                    for id, cosine in zip(near[row], cosines[row], strict=True)
                ],
            }
            label, anchor = event.headers.get("ce_label"), None
            if label is not None:
                headers = [("label", label), ("id", event.headers["ce_id"]), ("time", event.headers["ce_time"])]
                anchor = vectors[row].astype(np.float16).tobytes(), headers
            written.append(Written(event.key, json.dumps(said).encode(), anchor))
        rows = [row for row, event in enumerate(events) if "ce_label" in event.headers]
        if rows:
            first = len(self._labels)
            self._index.add_items(vectors[rows], np.arange(first, first + len(rows)))
            self._labels += [self._number[events[row].headers["ce_label"].decode()] for row in rows]
        return written

    def _embed(self, events: Sequence[Event]) -> NDArray[np.float32]:
        if self._kind == "vectors":
            return np.stack([np.frombuffer(event.value, "<f4") for event in events])
        import io

        import torch
        from PIL import Image

        pictures = torch.stack([self._transform(Image.open(io.BytesIO(event.value))) for event in events])
        with torch.inference_mode():
            return np.asarray(self._model.encode_image(pictures, normalize=True).numpy())


class Meter:
    """Watches a counter from a thread of its own; prints the figures and ends the process when all events are done."""

    def __init__(self, events: int, warm_up: int) -> None:
        self.done = 0
        self._events, self._warm_up = events, warm_up

    def start(self, done: Callable[[], float] | None = None) -> None:
        """Begin to watch; `done` gives how many events are done, in place of the attribute."""
        threading.Thread(target=self._watch, args=(done or (lambda: self.done),), daemon=True).start()

    def _watch(self, done: Callable[[], float]) -> None:
        began: tuple[float, float, float] | None = None
        while True:
            used = resource.getrusage(resource.RUSAGE_SELF)
            now = done(), used.ru_utime + used.ru_stime, time.perf_counter()
            if began is None or (began[0] < self._warm_up and now[0] < self._events):
                began = now
            if now[0] >= self._events:
                number, cpu_s, wall_s = (end - start for start, end in zip(began, now, strict=True))
                peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
                rss_mb = int(peak[1]) / 1024 if peak else 0.0
                print(
                    json.dumps({"cpu_us": cpu_s / number * 1e6, "events_per_s": number / wall_s, "rss_mb": rss_mb}),
                    flush=True,
                )
                os._exit(0)
            time.sleep(0.01)


def bare_kafka_python(loop: Loop, kind: str, servers: str, topics: str, meter: Meter) -> None:
    """kafka-python, a transaction for each batch."""
    from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata

    consumer = KafkaConsumer(
        kind,
        bootstrap_servers=servers,
        group_id=topics,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        max_poll_records=_BATCH[kind],
    )
    producer = KafkaProducer(bootstrap_servers=servers, transactional_id=topics, acks="all", linger_ms=5)
    producer.init_transactions()
    meter.start()
    while True:
        polled = consumer.poll(timeout_ms=100)
        events = [Event(one.key, one.value, dict(one.headers)) for batch in polled.values() for one in batch]
        if not events:
            continue
        producer.begin_transaction()
        for one in loop(events):
            producer.send(f"{topics}-predictions", one.prediction, key=one.key)
            if one.anchor is not None:
                producer.send(f"{topics}-anchors", one.anchor[0], key=one.key, headers=one.anchor[1])
        offsets = {at: OffsetAndMetadata(batch[-1].offset + 1, "", -1) for at, batch in polled.items()}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        producer.commit_transaction()
        meter.done += len(events)


def bare_confluent(loop: Loop, kind: str, servers: str, topics: str, meter: Meter) -> None:
    """confluent-kafka, a transaction for each batch."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": topics,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([kind])
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topics, "acks": "all", "linger.ms": 5})
    producer.init_transactions()
    meter.start()
    while True:
        messages = consumer.consume(_BATCH[kind], timeout=0.1)
        if not messages:
            continue
        producer.begin_transaction()
        for one in loop([Event(one.key(), one.value(), dict(one.headers())) for one in messages]):
            producer.produce(f"{topics}-predictions", one.prediction, one.key)
            if one.anchor is not None:
                producer.produce(f"{topics}-anchors", one.anchor[0], one.key, headers=one.anchor[1])
        ends = {(one.topic(), one.partition()): one.offset() + 1 for one in messages}
        offsets = [TopicPartition(*at, offset) for at, offset in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        producer.commit_transaction()
        meter.done += len(messages)


def quix(loop: Loop, kind: str, servers: str, topics: str, meter: Meter) -> None:
    """Quix Streams, exactly once; it hands over one event at a time."""
    from quixstreams import Application

    app = Application(
        servers,
        consumer_group=topics,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_every=_BATCH[kind],
        auto_create_topics=False,
        loglevel="ERROR",
    )
    images = app.topic(kind, key_deserializer="bytes", value_deserializer="bytes")
    predictions = app.topic(f"{topics}-predictions", key_serializer="bytes", value_serializer="bytes")
    anchors = app.topic(f"{topics}-anchors", key_serializer="bytes", value_serializer="bytes")

    def answer(value: bytes, key: bytes, _timestamp: int, headers: Any) -> Written:
        (written,) = loop([Event(key, value, dict(headers))])
        meter.done += 1
        return written

    answers = app.dataframe(images).apply(answer, metadata=True)
    answers.apply(lambda one: one.prediction).to_topic(predictions)
    labelled = answers.filter(lambda one: one.anchor is not None)
    labelled = labelled.set_headers(lambda one, _key, _timestamp, _headers: one.anchor[1])
    labelled.apply(lambda one: one.anchor[0]).to_topic(anchors)
    meter.start()
    app.run()


def bytewax(loop: Loop, kind: str, servers: str, topics: str, meter: Meter) -> None:
    """Bytewax in batches, at least once: its Kafka sink has no transactions."""
    from datetime import timedelta

    import bytewax.operators as op
    from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.recovery import RecoveryConfig, init_db_dir
    from bytewax.testing import run_main

    recovery = Path(topics)
    recovery.mkdir()
    init_db_dir(recovery, 1)

    def answer(batch: Sequence[Any]) -> list[Written]:
        written = loop([Event(one.key, one.value, dict(one.headers)) for one in batch])
        meter.done += len(batch)
        return written

    flow = Dataflow("peer")
    source = KafkaSource([servers], [kind], batch_size=_BATCH[kind])
    answers = op.flat_map_batch("answer", op.input("images", flow, source), answer)
    predictions = op.map("prediction", answers, lambda one: KafkaSinkMessage(one.key, one.prediction))
    op.output("predictions", predictions, KafkaSink([servers], f"{topics}-predictions"))
    labelled = op.filter("labelled", answers, lambda one: one.anchor is not None)
    anchors = op.map("anchor", labelled, lambda one: KafkaSinkMessage(one.key, one.anchor[0], headers=one.anchor[1]))
    op.output("anchors", anchors, KafkaSink([servers], f"{topics}-anchors"))
    meter.start()
    run_main(flow, epoch_interval=timedelta(seconds=1), recovery_config=RecoveryConfig(recovery))


class VectorsOnly:
    """An encoder for events that bring their vectors."""

    Settings: ClassVar[Any] = None
    d, fingerprint, logit_scale = D, FINGERPRINT, 100.0

    def __init__(self, _config: Any, *, text: bool) -> None:
        pass

    def encoder(self) -> "VectorsOnly":
        """Itself."""
        return self

    def prepare(self, data: bytes, content_type: str) -> NDArray[np.uint8]:
        """There are no pictures."""
        raise NotImplementedError

    def check_vector(self, data: bytes, fingerprint: str | None) -> NDArray[np.float32]:
        """As every encoder does."""
        from stream_adapter.encode.base import check_vector

        return check_vector(data, fingerprint, d=D, expected=FINGERPRINT)

    def encode(self, prepared: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Pass them through."""
        return np.stack(prepared) if len(prepared) else np.zeros((0, D), np.float32)

    def warm_up(self, batch: int = 8) -> None:
        """Nothing to do."""


def topics_of(kind: str, topics: str) -> dict[str, str]:
    """The worker's topics by role: the images are everybody's, the others its own."""
    from stream_adapter.config import KafkaTopics

    own = {role: f"{topics}-{role.replace('_', '-')}" for role in KafkaTopics.model_fields if role != "images"}
    return {"images": kind, **own}


def worker(kind: str, servers: str, topics: str, meter: Meter) -> None:
    """The worker as it is configured by default, exactly once."""
    import yaml

    from stream_adapter.config import Section, parse
    from stream_adapter.plugins import ENCODERS
    from stream_adapter.service.build import open_worker
    from stream_adapter.service.logs import configure_logs

    configure_logs("warning", "human")
    document: dict[str, Any] = {
        "kafka": {
            "bootstrap_servers": servers,
            "group_id": topics,
            "topics": topics_of(kind, topics),
        },
        "service": {"http": False},
    }
    if kind == "pictures":
        document["encoder"] = {
            "model": "small-clip",
            "model_config_file": str(MODEL),
            "pretrained": str(MODEL.with_suffix(".safetensors")),
        }
        document["vocabulary"] = {"classes": list(CLASSES), "templates": "none"}
    else:
        VectorsOnly.Settings = Section
        assert isinstance(ENCODERS.built_in, dict)
        ENCODERS.built_in["vectors"] = "__main__:VectorsOnly"
        np.savez("vocabulary.npz", class_names=np.array(NAMES), text_vectors=class_vectors())
        document["encoder"] = {"type": "vectors"}
        document["vocabulary"] = {"vectors": str(Path("vocabulary.npz").resolve())}
    with open_worker(parse(yaml.safe_dump(document))) as ours:
        # Of this counter alone: asking the registry reads every metric, a hundred times a second, on our account.
        meter.start(lambda: next(iter(ours.metrics.predictions.collect())).samples[0].value)
        ours.run()


LOOPS: Mapping[str, Callable[[Loop, str, str, str, Meter], None]] = {
    "bare-kafka-python": bare_kafka_python,
    "bare-confluent": bare_confluent,
    "quix": quix,
    "bytewax": bytewax,
}


def main() -> None:
    """Run one; it ends when all events are done."""
    name, kind, servers, topics, events, warm_up = sys.argv[1:]
    meter = Meter(int(events), int(warm_up))
    if name == "stream-adapter":
        worker(kind, servers, topics, meter)
    else:
        LOOPS[name](Loop(kind, int(events)), kind, servers, topics, meter)


if __name__ == "__main__":
    main()
