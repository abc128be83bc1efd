"""Whether a worker's memory stays flat, and how large it is without a model: vectors, journey and all, without Kafka.

    OMP_NUM_THREADS=1 python benchmarks/flat.py [--events 1000000] [--minutes 9] [--json FILE]

Every second vector has a label (d = 512, 171 classes), the budget is 10,000 anchors, everything else as by default;
anchors and events that wait for labels come back to the journey as they do from their topics. What 200,000 events would
take to fill, 100,000 of them that wait and as many labels that are remembered, is there from the beginning; resident
memory counts from where the anchors are full, too.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from memory import resident
from peer_work import NAMES, D, class_vectors

from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import AdapterConfig, AnchorsConfig, LabelsConfig
from stream_adapter.encode.vectors_only import VectorsOnly
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.events.image import anchor_id_of
from stream_adapter.metrics import Metrics
from stream_adapter.service.heap import keep_heap_small
from stream_adapter.service.wiring import JourneyConfig, make_processor
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.changelog import change_of
from stream_adapter.transport.labels import Arrivals

BATCH = 256
BUDGET = 10_000
FULL = 3 * BUDGET  # events, one in two labelled: from here on nothing grows
IMAGES, ANCHORS, WAITING = (Partition(topic, 0) for topic in ("images", "anchors", "waiting"))


class Journey:
    """A processor whose outputs come back to it."""

    def __init__(self) -> None:
        self._encoder = VectorsOnly(D)
        self._processor = make_processor(
            self._encoder,
            Vocabulary(NAMES, class_vectors(), 100.0),
            JourneyConfig(adapter=AdapterConfig(anchors=AnchorsConfig(budget=BUDGET))),
            context=LearnerContext(clock=time.monotonic, background=ThreadPoolExecutor(2), slot="flat", publishes=True),
            writer="flat",
            source="/flat",
            decoders=ThreadPoolExecutor(1),
            metrics=Metrics(),
            clock=time.monotonic,
            notify=lambda _: None,
            waiting_partitions=1,
        )
        self._processor.apply_labels(Arrivals(fresh=frozenset({0}), restored=frozenset({0})), {0: IMAGES}, EVERYTHING)
        self._rng = np.random.default_rng(0)
        self._centres = self._rng.normal(size=(len(NAMES), D))
        self._written = 0
        self.events = 0

    @property
    def anchors(self) -> int:
        """How many there are."""
        return self._processor.adapter.n_anchors

    def fill(self) -> None:
        """As many waiting events and remembered labels as there can be; made of the first batch."""
        waiting = next(output for output in self.batch() if output.channel == "waiting" and output.value)
        before = [anchor_id_of("/before", str(number)) for number in range(LabelsConfig().wait_max_events)]
        records = [
            Record(
                WAITING,
                number,
                int(time.time() * 1e3),
                key.encode(),
                bytes(bytearray(waiting.value or b"")),
                waiting.headers,
            )
            for number, key in enumerate(before)
        ]
        self._processor.apply_labels(Arrivals(waiting=records), {0: IMAGES}, EVERYTHING)
        self._processor.parts.labels.restore([(key[::-1], NAMES[0]) for key in before])

    def batch(self) -> list[OutRecord]:
        """The next events, from records to what is written, and back."""
        classes = self._rng.integers(len(NAMES), size=BATCH)
        vectors = self._centres[classes] + self._rng.normal(size=(BATCH, D))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        records = []
        for row, vector in enumerate(vectors.astype("<f4")):
            number = self.events + row
            label = NAMES[classes[row]] if number % 2 else None
            headers = image_event_headers(source="/flat", id=str(number), content_type=EMBEDDING, label=label)
            headers += (("ce_fingerprint", self._encoder.fingerprint.encode()),)
            records.append(Record(IMAGES, number, number, None, vector.tobytes(), headers))
        self.events += BATCH
        outputs = list(self._processor.finish(self._processor.encode(self._processor.prepare(records))).commit.outputs)
        first = outputs
        while outputs:  # what comes back may have something to say in its turn
            back: dict[str, list[Record]] = {"anchors": [], "waiting": []}
            for output in outputs:
                if output.channel in back:
                    at = ANCHORS if output.channel == "anchors" else WAITING
                    back[output.channel].append(Record(at, self._written, 0, output.key, output.value, output.headers))
                    self._written += 1
            changes = [change_of(record, "flat") for record in back["anchors"]]
            outputs = list(self._processor.apply(changes, EVERYTHING, {0: self._written}).commit.outputs)
            arrivals = Arrivals(waiting=back["waiting"])
            outputs += self._processor.apply_labels(arrivals, {0: IMAGES}, EVERYTHING).commit.outputs
        return first


def main() -> None:
    """Run it, and print a line every so often."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000, help="after everything is full")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which it ends in any case")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    keep_heap_small()  # as a worker does
    journey, ending_s = Journey(), time.monotonic() + 60.0 * arguments.minutes
    full_mb: list[float] = []
    journey.fill()
    shown = 0
    while journey.events < FULL + arguments.events and time.monotonic() < ending_s:
        journey.batch()
        if journey.events - shown >= 10_000:
            shown = journey.events
            megabytes = resident() / 1e6
            if journey.events >= FULL:
                full_mb.append(megabytes)
            print(f"{journey.events:,} events, {journey.anchors:,} anchors: {megabytes:.0f} MB", flush=True)
    figures = {"events": journey.events, "events_full": journey.events - FULL, "mb": full_mb}
    if full_mb:
        middle, spread = float(np.median(full_mb)), max(abs(one / np.median(full_mb) - 1.0) for one in full_mb)
        print(f"{figures['events_full']:,} events after everything was full: {middle:.0f} MB, ±{spread:.1%}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
