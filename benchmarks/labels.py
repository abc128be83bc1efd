"""What waiting for labels costs, and how fast events are forgotten.

    python benchmarks/labels.py [--events 100000] [--anchors 100000]

Vectors are made up, 512 numbers each; one process without a broker, so that what is measured is the worker's own part:
what is written and kept of each event, taking events over, labels that come a day later (a worker applies 64 at a
time), and forgetting 1 % of the anchors until the next answer knows it. CPU seconds of the process. Ends with status 1
where an event takes more than docs/events.md states, a label is lost or doubled, or forgetting takes two seconds.
"""

import argparse
import gc
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import AdapterConfig, AnchorsConfig, LabelsConfig
from stream_adapter.encode.vectors_only import FINGERPRINT, VectorsOnly
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.events import EMBEDDING, AnchorRecord, ImageEvent
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.service.wiring import JourneyConfig, make_processor
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.labels import LABELS_AT_ONCE, Arrivals

D, CLASSES, BATCH, DAY_MS = 512, 100, 64, 24 * 3_600_000
MEMORY, DISK = 2_200, 1_400  # bytes an event at most, as docs/events.md says
FORGOTTEN_S = 2.0
IMAGES, WAITING = Partition("images", 0), Partition("waiting", 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--anchors", type=int, default=100_000)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    problems = [*waiting(given.events, random), *forgetting(given.anchors, random)]
    sys.exit("\n".join(problems) or None)


def waiting(number: int, random: np.random.Generator) -> list[str]:
    """Keep events, hand them over, and label all of them a day later."""
    now_ms = [0]
    processor, names = make(random, number, lambda: now_ms[0])
    late = processor.late
    assert late is not None
    processor.adapter.predict(unit(random.normal(size=(BATCH, D))))
    before = resident()
    records: list[Record] = []
    predicting = keeping = 0.0
    for start in range(0, number, BATCH):
        vectors = unit(random.normal(size=(min(BATCH, number - start), D)))
        events = [image(start + row) for row in range(len(vectors))]
        began = time.process_time()
        prediction = processor.adapter.predict(vectors)
        predicting += time.process_time() - began
        began = time.process_time()
        outputs = late.tests.keep(events, vectors, prediction)
        keeping += time.process_time() - began
        records += [Record(WAITING, start + n, 0, one.key, one.value, one.headers) for n, one in enumerate(outputs)]
    size = sum(len(one.key or b"") + len(one.value or b"") for one in records)
    print(f"a record of a waiting event: {size / number:,.0f} bytes; made in {keeping / number * 1e6:.0f} µs an event")
    print(f"(the prediction beside it: {predicting / number * 1e6:.0f} µs an event, {CLASSES} classes)")
    began = time.process_time()
    processor.apply_labels(Arrivals(frozenset({0}), records, frozenset({0})), {0: IMAGES}, EVERYTHING)
    print(f"{number:,} waiting events taken over in {time.process_time() - began:.2f} s")
    del records
    gc.collect()
    memory = (resident() - before) / number
    print(f"memory: {memory:+,.0f} bytes an event")
    now_ms[0] = DAY_MS
    learned: Counter[bytes] = Counter()
    began, longest = time.process_time(), 0.0
    for start in range(0, number, LABELS_AT_ONCE):
        labels = [label(n, names[n % CLASSES]) for n in range(start, min(start + LABELS_AT_ONCE, number))]
        now = time.process_time()
        outcome = processor.apply_labels(Arrivals(labels=labels), {0: IMAGES}, EVERYTHING)
        longest = max(longest, time.process_time() - now)
        learned.update(out.key or b"" for out in outcome.commit.outputs if out.channel == "anchors" and out.value)
    took = time.process_time() - began
    at_most = f"at most {longest * 1e3:.0f} ms for {LABELS_AT_ONCE}"
    print(f"{number:,} labels a day later: {took / number * 1e6:.0f} µs each, {at_most}")
    doubled = sum(times > 1 for times in learned.values())
    print(f"of {number:,} labels {number - len(learned)} were lost and {doubled} doubled")
    problems = {
        f"{memory:.0f} bytes of memory an event, more than {MEMORY}": memory > MEMORY,
        f"{size / number:.0f} bytes on the disk an event, more than {DISK}": size > DISK * number,
        "labels were lost or doubled": len(learned) < number or doubled,
    }
    return [problem for problem, found in problems.items() if found]


def forgetting(number: int, random: np.random.Generator) -> list[str]:
    """Forget 1 % of the anchors as a worker follows it, until the next answer."""
    processor, names = make(random, 1)
    vectors = unit(random.normal(size=(number, D)))
    changes = [
        Change(anchor_id_of("/benchmark", str(n)), anchor(n, vectors[n], names[n % CLASSES])) for n in range(number)
    ]
    processor.apply(changes, EVERYTHING)
    probe = vectors[:BATCH].copy()
    processor.adapter.predict(probe)
    doomed = [Change(change.key, None, forgotten=True) for change in changes[: number // 100]]
    began = time.process_time()
    processor.apply(doomed, EVERYTHING)
    processor.adapter.predict(probe)
    took = time.process_time() - began
    print(f"{len(doomed):,} of {number:,} anchors forgotten, and the next answer, in {took:.3f} s")
    return [f"forgetting took {took:.1f} s, more than {FORGOTTEN_S}"] if took > FORGOTTEN_S else []


def make(
    random: np.random.Generator, events: int, now_ms: Callable[[], int] = lambda: 0
) -> tuple[Processor, tuple[str, ...]]:
    """A worker's journey on made-up classes, and their names."""
    names = tuple(f"class-{number}" for number in range(CLASSES))
    vocabulary = Vocabulary(names, unit(random.normal(size=(CLASSES, D))), logit_scale=100.0)
    anchors = AnchorsConfig(budget=10**6, budget_per_class=10**5)
    processor = make_processor(
        VectorsOnly(D),
        vocabulary,
        JourneyConfig(adapter=AdapterConfig(anchors=anchors), labels=LabelsConfig(wait_max_events=2 * events)),
        context=LearnerContext(clock=time.monotonic, publishes=True),
        writer="benchmark",
        source="benchmark",
        decoders=InlineExecutor(),
        metrics=Metrics(),
        clock=time.monotonic,
        waiting_partitions=1,
        now_ms=now_ms,
    )
    return processor, names


def image(number: int) -> ImageEvent:
    """An event without a label."""
    record = Record(IMAGES, number, 0, None, b"")
    return ImageEvent("/benchmark", str(number), 0, EMBEDDING, b"", None, FINGERPRINT, record)


def label(number: int, name: str) -> Record:
    """Its label, a day later."""
    record = LabelEvent.new("/benchmark", str(number), name, time_ms=DAY_MS).to_record()
    return replace(record, offset=number)


def anchor(number: int, vector: np.ndarray, name: str) -> AnchorRecord:
    """What somebody learned of an event."""
    key = anchor_id_of("/benchmark", str(number))
    return AnchorRecord(key, vector, name, number, "/benchmark", str(number), "images", 0, number, FINGERPRINT)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Float32, of unit length."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
