"""What it costs to add classes while a stream runs, and how soon two workers predict one more.

    python benchmarks/class_changes.py [--base 20] [--classes 1000] [--events 60] [--anchors 2000]

First in this process, without a broker: classes are added one by one, two batches of 16 events between them; how long
each holds the next batch up. Then two workers in processes of their own on a real Kafka, with the bundled small CLIP
and a stream of pictures on both partitions: from the moment a class event is on its topic until both workers'
predictions are over the same classes with one more.
"""

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import structlog
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console
from rich.table import Table

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.encode.vectors_only import FINGERPRINT, VectorsOnly
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.events.class_record import ClassRecord
from stream_adapter.metrics import Metrics
from stream_adapter.service.wiring import JourneyConfig, make_processor
from stream_adapter.transport.base import Partition, Record
from tests.integration.cluster import Cluster
from tests.integration.running import drawn, event, metric, running, write_config

D = 512


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def held_up_s(n_classes: int, anchors: int, base: int) -> tuple[np.ndarray, np.ndarray]:
    """CPU seconds of the thread that owns the adapter, for each of so many classes added one by one.

    Returns:
        Of the change alone, and of the batch after it beyond the one after that.
    """
    rng = np.random.default_rng(0)
    texts = unit(rng.standard_normal((base + n_classes, D)))
    names = tuple(f"class {number}" for number in range(base))
    processor = make_processor(
        VectorsOnly(D),
        Vocabulary(names, texts[:base]),
        JourneyConfig(),
        context=LearnerContext(clock=time.thread_time, publishes=True),
        writer="w",
        source="/s",
        decoders=InlineExecutor(),
        metrics=Metrics(),
        clock=time.monotonic,
    )

    def pictures(classes: np.ndarray) -> np.ndarray:
        return unit(texts[classes] + 0.04 * rng.standard_normal((len(classes), D)))

    labels = rng.integers(0, base, anchors)
    taught = pictures(labels)
    processor.adapter.follow([Anchor(f"{n}", taught[n], names[labels[n]], n) for n in range(anchors)])
    sent, seconds, more = 0, [], []

    def batch() -> float:
        nonlocal sent
        started = time.thread_time()
        records = []
        for vector in pictures(rng.integers(0, base, 16)):
            headers = image_event_headers(source="/s", id=f"{sent}", content_type=EMBEDDING)
            headers = (*headers, ("ce_fingerprint", FINGERPRINT.encode()))
            records.append(Record(Partition("images", 0), sent, 0, b"", vector.astype("<f4").tobytes(), headers))
            sent += 1
        processor.finish(processor.encode(processor.prepare(records)))
        return time.thread_time() - started

    for _ in range(160):
        batch()
    for number in range(n_classes):
        out = ClassRecord(f"new {number}", vector=texts[base + number]).to_record()
        record = Record(Partition("classes", 0), number, 0, out.key, out.value, out.headers)
        started = time.thread_time()
        processor.apply_classes([record])
        seconds.append(time.thread_time() - started)
        more.append(batch() - batch())
    return np.array(seconds), np.array(more)


@contextmanager
def streaming(cluster: Cluster, per_s: float) -> Iterator[None]:
    """Pictures on both partitions all the time."""
    ended = threading.Event()
    pictures: Sequence[tuple[str, bytes]] = drawn(64)

    def send() -> None:
        producer = KafkaProducer(bootstrap_servers=cluster.config.bootstrap_servers)
        number = 0
        while not ended.wait(1.0 / per_s):
            value, headers = pictures[number % 64][1], list(event(f"{number}"))
            producer.send(cluster.config.topics.images, value, headers=headers, partition=number % 2)
            number += 1
        producer.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def until_both_predict_s(number: int, per_s: float) -> list[float]:
    """Seconds from a class on its topic to predictions of both workers over it, for so many classes one by one."""
    rng, delays = np.random.default_rng(1), []
    with tempfile.TemporaryDirectory() as name, LocalKafka() as kafka, ExitStack() as stack:
        cluster, workers = Cluster(kafka.bootstrap_servers), []
        for who in ("one", "other"):
            folder = Path(name) / who
            folder.mkdir()
            config = cluster.config.model_copy(update={"group_instance_id": who}).model_dump(mode="json")
            file = write_config(folder, cluster, kafka=config | {"delivery": "exactly_once"})
            workers.append(stack.enter_context(running(file)))
        while [metric(worker, "stream_adapter_assigned_partitions") for worker in workers] != [1.0, 1.0]:
            time.sleep(0.2)
        stack.enter_context(streaming(cluster, per_s))
        topic = cluster.config.topics.predictions
        consumer = KafkaConsumer(bootstrap_servers=cluster.config.bootstrap_servers, isolation_level="read_committed")
        consumer.assign([TopicPartition(topic, partition) for partition in range(2)])
        d, newest = 0, dict[int, str]()

        def look() -> None:
            for at, records in consumer.poll(timeout_ms=5).items():
                newest[at.partition] = json.loads(records[-1].value)["versions"]["vocabulary"]

        from stream_adapter import config as settings
        from stream_adapter.encode.loading import load_encoder

        d = load_encoder(settings.load(Path(name) / "one" / "worker.yaml").encoder).d
        producer = KafkaProducer(bootstrap_servers=cluster.config.bootstrap_servers)
        while len(newest) < 2 or len(set(newest.values())) > 1:
            look()
        for one in range(number):
            before = newest[0]
            out = ClassRecord(f"new {one}", vector=unit(rng.standard_normal((1, d)))[0]).to_record()
            producer.send(cluster.config.topics.classes, out.value, out.key, headers=list(out.headers)).get(timeout=30)
            started = time.perf_counter()
            while before in newest.values() or len(set(newest.values())) > 1:
                look()
            delays.append(time.perf_counter() - started)
            time.sleep(float(rng.uniform(0.0, 0.3)))
        producer.close()
        consumer.close()
    return delays


def main() -> None:
    """Measure, and print the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--base", type=int, default=20, help="classes that are there before")
    parser.add_argument("--anchors", type=int, default=2000)
    parser.add_argument("--events", type=int, default=60, help="classes added through Kafka; 0: leave that out")
    parser.add_argument("--rate", type=float, default=40.0, help="pictures a second")
    given = parser.parse_args()
    changes, more = held_up_s(given.classes, given.anchors, given.base)
    found: list[tuple[str, Sequence[float] | np.ndarray]] = [
        (f"{given.classes} classes one by one hold a batch up", changes),
        ("the first batch after one, beyond the second", more),
    ]
    if given.events:
        found.append(
            (f"{given.events} classes until two workers predict them", until_both_predict_s(given.events, given.rate))
        )
    table = Table()
    for column in ("ms", "median", "99 %", "largest"):
        table.add_column(column, justify="right")
    for what, seconds in found:
        table.add_row(what, *(f"{1e3 * value:.0f}" for value in (*np.percentile(seconds, [50, 99]), max(seconds))))
    Console().print(table)


if __name__ == "__main__":
    main()
