"""The journey of one batch: read, decode, encode, predict, teach; and what it leaves behind.

It predicts first and learns second (prequential), so every label is also an honest test. It knows only protocols: no
Kafka, no files, no clock but the one it is given.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial

import numpy as np

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.results import AdapterPrediction
from stream_adapter.adapter.share import EVERYTHING, NOTHING, Share
from stream_adapter.encode.base import Encoder
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.events import ClassScore, ImageEvent, Neighbour, Prediction, Versions
from stream_adapter.metrics import Metrics
from stream_adapter.observing import NullObserver, Observer
from stream_adapter.reading import ReadBatch, Reader
from stream_adapter.teaching import Teacher
from stream_adapter.transport.base import Commit, OutRecord, Partition, Record
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.dead_letters import DeadLetterLimit, dead_letter
from stream_adapter.watch import Watch


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished batch leaves: what to commit, and what to count once it is durable.

    Attributes:
        commit: outputs and positions.
        refused: the partition of every dead letter, and the stage that refused the event.
        durable: to be called once it is.
    """

    commit: Commit
    refused: tuple[tuple[Partition, str], ...] = ()
    durable: tuple[Callable[[], None], ...] = ()

    def without(self, partitions: Set[Partition]) -> tuple["Outcome", list[OutRecord]]:
        """The same without what comes from these partitions' events, and the outputs that it leaves out."""
        kept = [output for output in self.commit.outputs if output.source not in partitions]
        dropped = [output for output in self.commit.outputs if output.source in partitions]
        positions = {at: to for at, to in self.commit.positions.items() if at not in partitions}
        refused = tuple((at, stage) for at, stage in self.refused if at not in partitions)
        return Outcome(Commit(kept, positions), refused, self.durable), dropped

    def report(self, metrics: Metrics) -> None:
        """Count what became durable, and tell who waits for it."""
        metrics.predictions.inc(sum(output.channel == "predictions" for output in self.commit.outputs))
        for _, stage in self.refused:
            metrics.dead_letters.labels(stage=stage).inc()
        for told in self.durable:
            told()


class Processor:
    """Turns batches of records into predictions, anchors and dead letters.

    `prepare` belongs to the loop's thread, everything else to the one thread that owns the adapter.

    Args:
        reader: records to decoded pictures.
        encoder: decoded pictures to unit vectors.
        vocabulary: the classes.
        adapter: vectors to probabilities.
        teacher: labels to anchors.
        watch: holds the update back where it does harm.
        limit: stops the worker when too many events are bad.
        metrics: where everything is counted.
        top_k: classes named in a prediction.
        clock: monotonic seconds.
        saving: called between batches, to take a snapshot where one is due.
        observer: looks on.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        encoder: Encoder,
        vocabulary: Vocabulary,
        adapter: Adapter,
        teacher: Teacher,
        watch: Watch,
        limit: DeadLetterLimit,
        metrics: Metrics,
        top_k: int,
        clock: Callable[[], float],
        saving: Callable[[], None] = lambda: None,
        observer: Observer | None = None,
    ) -> None:
        self.adapter = adapter
        self._reader = reader
        self._encoder = encoder
        self._vocabulary = vocabulary
        self._teacher = teacher
        self._watch = watch
        self._limit = limit
        self._metrics = metrics
        self._top_k = min(top_k, len(vocabulary.class_names))
        self._clock = clock
        self._saving = saving
        self._observer = observer or NullObserver()

    def prepare(self, records: Sequence[Record]) -> ReadBatch:
        """Read a batch and start to decode its pictures; does not wait for them."""
        return self._reader.read(records)

    def finish(self, batch: ReadBatch, share: Share = EVERYTHING) -> Outcome:
        """Take a batch through the rest of its journey.

        Args:
            batch: from `prepare`.
            share: the anchors that this worker decides about.

        Raises:
            DeadLetterLimitExceeded: too large a share of recent events is bad.
        """
        times = [self._clock()]
        events, pictures, refused = self._reader.decoded(batch)
        times.append(self._clock())
        with self._metrics.stage("encode", len(events)):
            vectors = self._encoder.encode(pictures)  # (B, d)
        times.append(self._clock())
        with self._metrics.stage("predict", len(events)):
            answer = self._watch.damp(self.adapter.predict(vectors))
        times.append(self._clock())
        timings_ms = {
            stage: (end - start) * 1e3
            for stage, start, end in zip(("decode_wait", "encode", "predict"), times, times[1:], strict=False)
        }
        predictions = [self._explain(event, answer, row, timings_ms) for row, event in enumerate(events)]
        learned = self._teacher.teach(events, vectors, answer, share)
        told = self._teacher.maintain(self._clock(), share)
        self._observer.on_batch(events, pictures, predictions)
        forgotten, durable = self._wishes()
        self._saving()
        self._metrics.batch_events.observe(len(batch.records))

        self._limit.observe(good=len(events), bad=[error for _, error in refused])
        outputs = [
            *(shown.to_record(event.record) for shown, event in zip(predictions, events, strict=True)),
            *learned,
            *told,
            *forgotten,
            *(dead_letter(record, error) for record, error in refused),
        ]
        stages = tuple((record.partition, error.stage) for record, error in refused)
        return Outcome(Commit(outputs, _next_offsets(batch.records)), stages, durable)

    def apply(
        self, changes: Sequence[Change], share: Share | None = None, positions: Mapping[int, int] | None = None
    ) -> Outcome:
        """Follow the changelog; without changes, only let finished refits swap in.

        Args:
            changes: what the changelog says, in its order.
            positions: how far it was followed with them.
            share: the anchors that this worker decides about; None while it has no place among the workers yet.

        Returns:
            What is to be written because of it, without positions; mostly nothing.

        Raises:
            FingerprintMismatch: an anchor comes from another encoder.
        """
        outputs = self._teacher.apply(changes, share, positions)
        if share is None:
            if not changes:  # a fit to what has been read so far would only be in the way of reading on
                self._teacher.maintain(self._clock(), NOTHING)
            return Outcome(Commit(()))
        outputs += self._teacher.maintain(self._clock(), share)
        forgotten, durable = self._wishes()
        self._saving()
        return Outcome(Commit([*outputs, *forgotten]), durable=durable)

    def undo(self, outputs: Iterable[OutRecord]) -> None:
        """Take back what was learned from events that another worker reads again; `outputs` will never be written."""
        self._teacher.undo(outputs)

    def warm_up(self) -> None:
        """Run the model once, so that the first event is not the slow one."""
        self._encoder.warm_up()

    def _wishes(self) -> tuple[list[OutRecord], tuple[Callable[[], None], ...]]:
        """Delete what the observer wants deleted: what the changelog must be told, and whom to tell when it is."""
        outputs: list[OutRecord] = []
        durable: list[Callable[[], None]] = []
        for wish in self._observer.poll():
            gone, told = self._teacher.forget(wish.anchor_ids)
            outputs += told
            durable.append(partial(wish.durable, gone))
        return outputs, tuple(durable)

    def _explain(
        self, event: ImageEvent, answer: AdapterPrediction, row: int, timings_ms: dict[str, float]
    ) -> Prediction:
        names = self._vocabulary.class_names
        adapted, zero_shot = answer.adapted[row], answer.zero_shot[row]  # (C,), (C,)
        best = np.argsort(-adapted, kind="stable")[: self._top_k]  # (k,)
        neighbours = zip(
            answer.neighbour_ids[row], answer.neighbour_classes[row], answer.neighbour_cosines[row], strict=True
        )
        self._metrics.gate.observe(float(answer.gate[row]))
        self._metrics.novelty.observe(float(answer.novelty[row]))
        return Prediction(
            event_source=event.source,
            event_id=event.id,
            event_time_ms=event.time_ms,
            top=tuple(
                ClassScore(
                    names[c], float(adapted[c]), float(zero_shot[c]), answer.kinds[c], float(answer.aliveness[c])
                )
                for c in best
            ),
            zero_shot_label=names[int(zero_shot.argmax())],
            label=event.label,
            gate=float(answer.gate[row]),
            anchors=tuple(Neighbour(id, names[c], float(cosine)) for id, c, cosine in neighbours if id is not None),
            top_has_anchors=bool(answer.has_anchor[best[0]]),
            novelty=float(answer.novelty[row]),
            versions=Versions(self._encoder.fingerprint, self._vocabulary.hash, answer.version),
            timings_ms=timings_ms,
        )


def _next_offsets(records: Sequence[Record]) -> dict[Partition, int]:
    """For each partition the offset after its last record."""
    positions: dict[Partition, int] = {}
    for record in records:
        positions[record.partition] = max(record.offset + 1, positions.get(record.partition, 0))
    return positions
