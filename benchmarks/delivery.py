"""What exactly once costs: events a second of the whole worker on a real Kafka, with transactions and without.

    python benchmarks/delivery.py [--events 6000] [--batch 64] [--rounds 3] [--kind pictures | vectors]

Both run in this process on the same topic of events, in turn, so that a machine whose speed drifts shows itself. With
pictures the bundled small CLIP is the encoder, far faster than any that one would use; with vectors there is none, and
nothing hides what a commit costs. Every third event is labelled.
"""

import argparse
import io
import tempfile
import threading
import time
import uuid
from pathlib import Path
from statistics import median

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table

from stream_adapter.config import Config, load
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.demo.pictures import draw
from stream_adapter.demo.scenes import class_scene
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS
from stream_adapter.encode.loading import load_models
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.service.build import open_worker
from stream_adapter.service.logs import configure_logs
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.kafka import produce
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import create_topics, topic_specs

CLASSES = ("red circle", "blue star", "green triangle", "yellow diamond", "pink heart", "brown hexagon")
DELIVERIES = ("at_least_once", "exactly_once")


def configuration(folder: Path, servers: str, batch: int, delivery: str, images: str) -> Config:
    """A worker in a group of its own, with outputs of its own."""
    unique = uuid.uuid4().hex[:8]
    document = {
        "encoder": {"model": MODEL_NAME, "model_config_file": str(CONFIG), "pretrained": str(WEIGHTS)},
        "vocabulary": {"classes": list(CLASSES), "templates": "simple"},
        "batch": {"max_batch": batch, "max_wait_ms": 200},
        "kafka": {
            "bootstrap_servers": servers,
            "topics": {"images": images, **{role: f"{role}-{unique}" for role in ("predictions", "anchors", "drift")}}
            | {"dead_letters": f"dead-{unique}"},
            "group_id": unique,
            "delivery": delivery,
        },
        "service": {"http": False},
    }
    path = folder / f"{unique}.yaml"
    path.write_text(yaml.safe_dump(document))
    config = load(path)
    create_topics(Connection(config.kafka), topic_specs(config.kafka.topics, partitions=4))
    return config


def write_events(config: Config, number: int, kind: str) -> None:
    """Fill the images topic."""
    rng = np.random.default_rng(0)
    encoder, vocabulary = load_models(config.encoder, config.vocabulary)
    payloads = []
    for position in range(240):
        name = CLASSES[position % len(CLASSES)]
        if kind == "pictures":
            buffer = io.BytesIO()
            draw(class_scene(name, rng), "plain", rng).save(buffer, "JPEG", quality=92)
            payloads.append((name, buffer.getvalue()))
        else:
            vector = (
                vocabulary.text_vectors[position % len(CLASSES)] + rng.normal(size=vocabulary.d) / vocabulary.d**0.5
            )
            payloads.append((name, (vector / np.linalg.norm(vector)).astype("<f4").tobytes()))

    def records() -> list[Record]:
        made = []
        for position in range(number):
            name, value = payloads[position % len(payloads)]
            headers = image_event_headers(
                source="/benchmark",
                id=str(position),
                content_type="image/jpeg" if kind == "pictures" else EMBEDDING,
                label=name if position % 3 == 0 else None,
            )
            if kind == "vectors":
                headers = (*headers, ("ce_fingerprint", encoder.fingerprint.encode()))
            made.append(Record(Partition("", 0), position, int(time.time() * 1000), b"%d" % position, value, headers))
        return made

    for _ in produce(config.kafka, records(), config.kafka.topics.images):
        pass


def run(config: Config, number: int) -> tuple[float, float]:
    """Events a second from the first batch to the last commit, and the median seconds of a commit."""
    with open_worker(config) as worker:
        worker.restore()
        count = worker.metrics.registry.get_sample_value
        times: list[float] = []

        def watch() -> None:
            while (done := count("stream_adapter_predictions_total") or 0.0) < number:
                if done and not times:
                    times.append(time.perf_counter())
                    times.append(done)
                time.sleep(0.002)
            times.append(time.perf_counter())
            worker.stop()

        watcher = threading.Thread(target=watch)
        watcher.start()
        worker.run()
        watcher.join()
        commits = count("stream_adapter_stage_seconds_count", {"stage": "commit"}) or 1.0
        commit_s = (count("stream_adapter_stage_seconds_sum", {"stage": "commit"}) or 0.0) / commits
    started, before, ended = times
    return (number - before) / (ended - started), commit_s


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=6_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=["pictures", "vectors"], default="pictures")
    given = parser.parse_args()
    configure_logs("error", "human")
    rates: dict[str, list[float]] = {delivery: [] for delivery in DELIVERIES}
    commits: dict[str, list[float]] = {delivery: [] for delivery in DELIVERIES}
    with tempfile.TemporaryDirectory() as name, LocalKafka() as kafka:
        folder, images = Path(name), f"images-{uuid.uuid4().hex[:8]}"
        write_events(
            configuration(folder, kafka.bootstrap_servers, given.batch, "at_least_once", images),
            given.events,
            given.kind,
        )
        for _ in range(given.rounds):
            for delivery in DELIVERIES:
                config = configuration(folder, kafka.bootstrap_servers, given.batch, delivery, images)
                rate, commit_s = run(config, given.events)
                rates[delivery].append(rate)
                commits[delivery].append(commit_s)
    table = Table(title=f"{given.kind}, batch {given.batch}, {given.events} events a run")
    for column in ("", "events/s, each round", "median", "ms a commit"):
        table.add_column(column, justify="right" if column else "left")
    for delivery in DELIVERIES:
        shown = ", ".join(f"{rate:.0f}" for rate in rates[delivery])
        table.add_row(delivery, shown, f"{median(rates[delivery]):.0f}", f"{1e3 * median(commits[delivery]):.1f}")
    ratios = [exactly / least for least, exactly in zip(*rates.values(), strict=True)]
    table.add_row("exactly to at least once", ", ".join(f"{r:.1%}" for r in ratios), f"{median(ratios):.1%}", "")
    Console().print(table)


if __name__ == "__main__":
    main()
