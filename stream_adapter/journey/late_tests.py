"""Tests that wait for their label: what was predicted of an event is kept, and scored when the first one comes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.prediction import Prediction
from stream_adapter.events import ImageEvent, round_through_float16
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import WaitingEvent, waiting_record
from stream_adapter.journey.labels import Labels
from stream_adapter.journey.scoring import Scoring
from stream_adapter.journey.vocabulary import ClassesNow
from stream_adapter.journey.waiting import partition_of
from stream_adapter.journey.watching import Watching
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord


@dataclass(eq=False, slots=True)
class LateTests:
    """Belongs to the thread that owns the adapter.

    Attributes:
        labels: know which class a label means, and which classes have anchors.
        scoring: labels as tests.
        watching: the drift monitor.
        partitions: of the waiting topic.
        fingerprint: the encoder's.
        classes: those that are in force; what waits was predicted under those that it names.
        metrics: label delay.
        now_ms: milliseconds since the epoch.
    """

    labels: Labels
    scoring: Scoring
    watching: Watching
    partitions: int
    fingerprint: str
    classes: ClassesNow
    metrics: Metrics
    now_ms: Callable[[], int]

    def set_classes(self, now: ClassesNow) -> None:
        """Go over to other classes."""
        self.classes = now

    def keep(
        self, events: Sequence[ImageEvent], vectors: NDArray[np.float32], prediction: Prediction
    ) -> list[OutRecord]:
        """What is to be kept of a batch: B events, of which those without a label wait for one.

        Args:
            events: B events.
            vectors: float32 (B, d), unit.
            prediction: what was said about them.
        """
        rows = [row for row, event in enumerate(events) if event.label is None]
        if not rows:
            return []
        said = [
            _best(self.classes.names, of[rows])
            for of in (prediction.adapted, prediction.zero_shot, prediction.undamped)
        ]
        anchored = np.packbits(prediction.has_anchor).tobytes()
        now_ms, outputs = self.now_ms(), []
        for row, vector, (adapted, zero_shot, undamped) in zip(
            rows, round_through_float16(vectors[rows]), zip(*said, strict=True), strict=True
        ):
            event, at = events[row], events[row].record.partition
            waiting = WaitingEvent(
                source=event.source,
                id=event.id,
                time_ms=event.time_ms,
                topic=at.topic,
                partition=at.number,
                offset=event.record.offset,
                fingerprint=self.fingerprint,
                vocabulary=self.classes.hash,
                adapted=adapted,
                zero_shot=zero_shot,
                undamped=undamped[0],
                reference="" if event.reference is None else str(event.reference),
                anchored=anchored,
                vector=vector,
            )
            key = event.anchor_id
            outputs.append(waiting_record(key, waiting.to_value(), partition_of(key, self.partitions), now_ms, at))
        return outputs

    def score(self, tests: Sequence[tuple[LabelEvent, WaitingEvent]]) -> list[OutRecord]:
        """Score first labels by what was predicted of their events; what the drift topic must hold of it."""
        outputs: list[OutRecord] = []
        for standing, together in groupby(tests, lambda one: (one[1].vocabulary, one[1].anchored)):
            outputs += self._score(list(together), *standing)
        return outputs

    def _score(
        self, tests: Sequence[tuple[LabelEvent, WaitingEvent]], vocabulary: str, anchored: bytes
    ) -> list[OutRecord]:
        """These were predicted under the same classes, of which the same had anchors."""
        has_anchor = self.labels.replica.adapter.has_anchor
        if vocabulary == self.classes.hash:
            bits = np.unpackbits(np.frombuffer(anchored, np.uint8), count=len(has_anchor))
            has_anchor = bits.astype(np.bool_)
        for label, event in tests:
            self.metrics.label_delay.observe(max(0, label.time_ms - event.time_ms) / 1e3)
        names = [(one.label or "", event.zero_shot[0], event.adapted[0], event.undamped) for one, event in tests]
        classes = np.array([list(map(self.labels.class_of, row)) for row in names], np.int64)  # (T, 4)
        known = classes[:, 0] >= 0
        true, zero_shot, adapted, undamped = classes[known].T
        ids = [event.id for (_, event), one in zip(tests, known.tolist(), strict=True) if one]
        if not ids:
            return []
        self.scoring.count(true, zero_shot, adapted, has_anchor)
        return self.watching.observe_labels(true, zero_shot, adapted, undamped, has_anchor, ids)


def _best(names: Sequence[str], probabilities: NDArray[np.float32]) -> list[tuple[str, float]]:
    """The most probable class of each event, (B, C), and its probability."""
    best = probabilities.argmax(axis=1)  # (B,)
    values = np.take_along_axis(probabilities, best[:, None], axis=1)[:, 0]
    return [(names[c], round(value, 6)) for c, value in zip(best.tolist(), values.tolist(), strict=True)]
