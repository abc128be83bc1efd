"""How long a worker needs to have its anchors again: from a snapshot with a short tail, and from the topic alone.

    python benchmarks/restore.py [--anchors 100000] [--classes 1000] [--tail 1000] [--json FILE]

On a real Kafka (KAFKA_BOOTSTRAP_SERVERS, or one of its own) and a real disk; vectors are made up, 512 numbers each. The
topic also holds what another worker said about its traffic: directions half way, as they are found ever more rarely,
and evidence at the end.
"CPU" is what this process used, over all of its threads: on a shared machine the one that repeats. Ready is a worker
whose anchors are all in force, and that has answered once. The end is when the index answers; exact search does before.
"""

import argparse
import contextlib
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import AdapterConfig, AnchorsConfig, KafkaConfig, KafkaTopics
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.events import PRESENCE_PREFIX, AnchorRecord, PresenceRecord, round_through_float16
from stream_adapter.journey.foreign import LeftAlone
from stream_adapter.journey.replica import Replica
from stream_adapter.journey.sharing import Sharing
from stream_adapter.metrics import Metrics
from stream_adapter.service.heap import uncollected
from stream_adapter.service.restoring import RESTORED_AT_ONCE
from stream_adapter.snapshots import Snapshot, SnapshotFolder
from stream_adapter.transport.changelog import in_larger_portions
from stream_adapter.transport.kafka import KafkaChangelog, ensure_topics, write_outputs

D = 512
FINGERPRINT = "0123456789abcdef"
VOCABULARY = "fedcba9876543210"
TRAFFIC = 2_000  # events of another worker


class Clock:
    """Measures what happens between two calls, by the wall and by this process's use of the CPU."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []
        self._last = (time.perf_counter(), time.process_time())

    def lap(self, name: str) -> None:
        """Call what happened since the last call `name`."""
        now = (time.perf_counter(), time.process_time())
        self.rows.append((name, now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def until(self, lap: int) -> dict[str, float]:
        """Seconds of the first laps together."""
        return {
            "seconds": sum(wall for _, wall, _ in self.rows[:lap]),
            "cpu_s": sum(cpu for _, _, cpu in self.rows[:lap]),
        }


class Worker:
    """What of a worker holds anchors."""

    def __init__(self, kafka: KafkaConfig, texts: np.ndarray, budget: int, background: ThreadPoolExecutor) -> None:
        context = LearnerContext(clock=time.monotonic, background=background, slot="benchmark", publishes=True)
        config = AdapterConfig(anchors=AnchorsConfig(budget=budget, budget_per_class=budget, index="hnsw"))
        self.adapter = Adapter(texts, class_names(texts), 100.0, config, context=context)
        self.replica = Replica(self.adapter, fingerprint=FINGERPRINT, writer="benchmark", metrics=Metrics())
        self.sharing = Sharing(
            self.adapter,
            slot="benchmark",
            writer="benchmark",
            fingerprint=FINGERPRINT,
            vocabulary=VOCABULARY,
            left_alone=LeftAlone(Metrics()),
        )
        self.changelog = KafkaChangelog(kafka, writer="benchmark")

    @uncollected()
    def read_to_end(self) -> int:
        """Follow the topic to its end; returns how many records that were."""
        number = 0
        for changes in in_larger_portions(self.changelog.read_to_end(), RESTORED_AT_ONCE):
            number += len(changes)
            self.replica.follow(change for change in changes if not change.key.startswith(PRESENCE_PREFIX))
            self.sharing.follow(change for change in changes if change.key.startswith(PRESENCE_PREFIX))
        return number

    def take_effect(self) -> None:
        """Answer once, and wait until all anchors are in force, as `service.restoring.get_ready` does."""
        self.adapter.predict(self.adapter.classes.texts[:1])
        self.adapter.learn(())
        while self.adapter.pending:
            self.adapter.learn(())
            time.sleep(0.01)

    def build_index(self) -> None:
        """Wait until the graph answers."""
        while self.adapter.index_statistics.kind != "hnsw":
            self.adapter.learn(())
            time.sleep(0.01)


def class_names(texts: np.ndarray) -> list[str]:
    """A name for each class."""
    return [f"class {number}" for number in range(len(texts))]


def said_about_traffic(texts: np.ndarray) -> dict[str, PresenceRecord]:
    """What another worker says about its traffic, by key: directions, and evidence."""
    other = Adapter(texts, class_names(texts), 100.0, context=LearnerContext(slot="another", publishes=True))
    rng = np.random.default_rng(1)
    vectors = texts[rng.integers(len(texts), size=TRAFFIC)] + rng.normal(size=(TRAFFIC, D)) / np.sqrt(D)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    said: dict[str, bytes] = {}
    for start in range(0, TRAFFIC, 500):
        ids = [f"traffic {number}" for number in range(start, start + 500)]
        other.predict(vectors[start : start + 500])
        other.update(ids, vectors[start : start + 500])
        said |= other.records()
        other.follow((), other.records())
    return {key: PresenceRecord(key, value, FINGERPRINT, VOCABULARY) for key, value in said.items()}


def records(texts: np.ndarray, numbers: range) -> list[AnchorRecord]:
    """Anchors around their classes' text vectors."""
    classes = np.array(numbers) % len(texts)
    noise = np.random.default_rng(numbers.start).normal(size=(len(numbers), D)) / np.sqrt(D)
    vectors = texts[classes] + noise
    vectors = round_through_float16((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32))
    return [
        AnchorRecord(
            anchor_id=f"{number:032x}",
            vector=vectors[row],
            label=f"class {classes[row]}",
            event_time_ms=1_700_000_000_000 + number,
            event_source="/benchmark",
            event_id=f"{number:012d}.jpg",
            topic="images",
            partition=number % 4,
            offset=number // 4,
            fingerprint=FINGERPRINT,
        )
        for row, number in enumerate(numbers)
    ]


def fill(kafka: KafkaConfig, texts: np.ndarray, numbers: range) -> None:
    """Write anchors to the topic."""
    for start in range(numbers.start, numbers.stop, 10_000):
        portion = records(texts, range(start, min(start + 10_000, numbers.stop)))
        write_outputs(kafka, [record.to_record("another worker") for record in portion])


def from_topic(make: Callable[[], Worker]) -> tuple[Worker, Clock]:
    """Nothing but the topic."""
    worker, clock = make(), Clock()
    worker.read_to_end()
    clock.lap("read the topic")
    worker.take_effect()
    clock.lap("a first answer, all in force")
    worker.build_index()
    clock.lap("build the index in the background")
    return worker, clock


def from_snapshot(
    make: Callable[[], Worker], folder: SnapshotFolder, said: Mapping[str, bytes]
) -> tuple[Worker, Clock]:
    """A snapshot, what other workers said by then, and what came after it."""
    worker, clock = make(), Clock()
    snapshot = folder.newest(fingerprint=FINGERPRINT, changelog=worker.changelog.identity)
    assert snapshot is not None
    clock.lap("read the file, all checksums")
    with uncollected():
        worker.adapter.restore(snapshot.arrays)
        worker.sharing.restore(said)
    clock.lap("restore store and learner")
    assert worker.changelog.go_on_from(snapshot.offsets)
    tail = worker.read_to_end()
    clock.lap(f"read the tail, {tail} records")
    worker.take_effect()
    clock.lap("a first answer, all in force")
    worker.build_index()
    clock.lap("build the index in the background")
    return worker, clock


def take(worker: Worker, folder: SnapshotFolder) -> Clock:
    """Take a snapshot, step by step."""
    clock = Clock()
    copying = worker.adapter.copy()
    clock.lap("begin the copy (owner's thread)")
    copying.run()
    clock.lap("copy vectors (background)")
    state, learner = copying.finish(), worker.adapter.learner_state()
    clock.lap("finish the copy (owner's thread)")
    arrays = {**state.arrays(), **learner}
    clock.lap("pack (background)")
    offsets = worker.changelog.positions
    size = folder.save(Snapshot(FINGERPRINT, "", 0, worker.changelog.identity, offsets, {}, arrays))
    clock.lap(f"write {size / 1e6:.0f} MB (background)")
    return clock


def show(title: str, clock: Clock, until: int | None = None) -> Table:
    """A table of laps, with their sum."""
    table = Table("", "seconds", "CPU", title=title)
    for name, wall, cpu in clock.rows:
        table.add_row(name, f"{wall:.3f}", f"{cpu:.3f}")
    table.add_section()
    sums = {"all": clock.rows} | ({} if until is None else {"until it is ready": clock.rows[:until]})
    for name, rows in sums.items():
        table.add_row(name, f"{sum(wall for _, wall, _ in rows):.2f}", f"{sum(cpu for _, _, cpu in rows):.2f}")
    return table


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """The broker to measure on."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
    else:
        with LocalKafka(heap_mb=512) as kafka:
            yield kafka.bootstrap_servers


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anchors", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=1_000)
    parser.add_argument("--tail", type=int, default=1_000, help="records that came after the snapshot")
    parser.add_argument("--json", type=Path, help="write here how long it took until the worker was ready")
    arguments = parser.parse_args()
    console = Console()
    texts = np.random.default_rng(0).normal(size=(arguments.classes, D)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    unique = uuid.uuid4().hex[:8]
    topics = {role: f"{role.replace('_', '-')}-{unique}" for role in KafkaTopics.model_fields}

    with broker() as servers, ThreadPoolExecutor(2) as background, tempfile.TemporaryDirectory() as scratch:
        kafka = KafkaConfig(bootstrap_servers=servers, topics=KafkaTopics(**topics))
        ensure_topics(kafka)
        half = arguments.anchors // 2
        said = said_about_traffic(texts)
        fill(kafka, texts, range(half))
        write_outputs(kafka, [said.pop("directions").to_record("another worker")])
        fill(kafka, texts, range(half, arguments.anchors))
        write_outputs(kafka, [record.to_record("another worker") for record in said.values()])

        def make() -> Worker:
            return Worker(kafka, texts, 2 * arguments.anchors, background)

        worker, clock = from_topic(make)
        size = f"{worker.adapter.n_anchors:,} anchors, {arguments.classes:,} classes"
        console.print(show(f"From the topic alone: {size}", clock, 2))
        ready = {"topic": clock.until(2)}
        with SnapshotFolder(Path(scratch)) as folder:
            console.print(show("Taking a snapshot", take(worker, folder)))
        fill(kafka, texts, range(arguments.anchors, arguments.anchors + arguments.tail))
        worker.read_to_end()
        with SnapshotFolder(Path(scratch)) as folder:
            restored, clock = from_snapshot(make, folder, worker.sharing.state())
            assert restored.adapter.anchors_digest == worker.adapter.anchors_digest
            console.print(show("From a snapshot", clock, 4))
            ready["snapshot"] = clock.until(4)
    if arguments.json:
        arguments.json.write_text(json.dumps({"anchors": arguments.anchors, **ready}))


if __name__ == "__main__":
    main()
