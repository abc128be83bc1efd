"""The journey of one batch: decode, encode, predict, explain, score, learn, write; and what it leaves behind.

It predicts first and learns second (prequential), so every label is also an honest test. It knows only protocols: no
Kafka, no files, no clock but the one it is given.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import Concatenate, ParamSpec, TypeVar

import numpy as np
import structlog

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.ownership import EVERYTHING, Ownership
from stream_adapter.adapter.prediction import Prediction
from stream_adapter.encode.base import Encoder
from stream_adapter.events import BY_HAND, PRESENCE_PREFIX
from stream_adapter.journey.encoded import EncodedBatch, encoded
from stream_adapter.journey.explaining import Explained, Explaining
from stream_adapter.journey.faults import UnderWay
from stream_adapter.journey.foreign import Foreign
from stream_adapter.journey.late_labels import LateLabels
from stream_adapter.journey.late_outputs import Places
from stream_adapter.journey.observing import NullObserver, Observer
from stream_adapter.journey.outcome import Outcome
from stream_adapter.journey.parts import Parts
from stream_adapter.journey.questions import Questions
from stream_adapter.journey.reading import ReadBatch, Reader
from stream_adapter.journey.suggesting import Suggesting
from stream_adapter.journey.turns import Turns
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Commit, OutRecord, Record
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.dead_letters import DeadLetterLimit, dead_letter
from stream_adapter.transport.labels import Arrivals

log = structlog.get_logger(__name__)

T = TypeVar("T")
P = ParamSpec("P")


def _in_turn(method: "Callable[Concatenate[Processor, P], T]") -> "Callable[Concatenate[Processor, P], T]":
    """Nobody else looks at the adapter meanwhile."""

    @wraps(method)
    def taking_turns(self: "Processor", /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._turns.turn():
            return method(self, *args, **kwargs)

    return taking_turns


class Processor:
    """Turns batches of records into predictions, anchors and dead letters.

    `prepare` belongs to the loop's thread, `encode` and `questions` to any, everything else to the one thread that owns
    the adapter.

    Attributes:
        parts: adapter, scoring, labels and what else remembers something.
        questions: what is asked from beside the stream.
        saving: called between batches, to take a snapshot where one is due.

    Args:
        parts: see above.
        reader: records to decoded pictures.
        encoder: decoded pictures to unit vectors.
        explaining: what was said about a batch to prediction events.
        limit: stops the worker when too many events are bad.
        foreign: sets aside what the changelog has of others.
        metrics: where everything is counted.
        clock: monotonic seconds.
        observer: looks on.
        late: labels that come apart from their events, where the transport brings any.
        suggesting: what to label next, where anything waits for labels.
        turns: who may use the adapter; its learner gives way by them.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        reader: Reader,
        encoder: Encoder,
        explaining: Explaining,
        limit: DeadLetterLimit,
        foreign: Foreign,
        metrics: Metrics,
        clock: Callable[[], float],
        observer: Observer | None = None,
        late: LateLabels | None = None,
        suggesting: Suggesting | None = None,
        turns: Turns | None = None,
    ) -> None:
        self.parts = parts
        self.late = late
        self.saving: Callable[[], None] = lambda: None
        self._reader = reader
        self._encoder = encoder
        self._explaining = explaining
        self._limit = limit
        self._foreign = foreign
        self._metrics = metrics
        self._clock = clock
        self._observer = observer or NullObserver()
        self._suggesting = suggesting
        self._turns = turns or Turns()
        self.questions = Questions(
            parts, explaining, self._turns, check_label=reader.check_label, late=late, suggesting=suggesting
        )

    @property
    def adapter(self) -> Adapter:
        """The adapter; for the thread that owns it."""
        return self.parts.adapter

    def prepare(self, records: Sequence[Record]) -> ReadBatch:
        """Read a batch and start to decode its pictures; does not wait for them."""
        return self._reader.read(records)

    def encode(self, batch: ReadBatch) -> EncodedBatch:
        """Wait for the pictures of a batch and embed them; see `encoded`."""
        return encoded(batch, self._reader, self._encoder, self._metrics, self._clock)

    def finish(self, embedded: EncodedBatch, owned: Ownership = EVERYTHING) -> Outcome:
        """Take a batch through the rest of its journey.

        An event for which a stage raises becomes a dead letter; the rest goes on.

        Args:
            embedded: from `encode`.
            owned: the anchors that this worker decides about.

        Raises:
            DeadLetterLimitExceeded: too large a share of recent events is bad.
        """
        batch, under_way = embedded.batch, embedded.under_way
        started = self._clock()
        with self._turns.turn():
            prediction = self._predict(under_way)
        timings_ms = {**embedded.timings_ms, "predict": 1e3 * (self._clock() - started)}
        # Before the label is learned: an event that cannot be written must not teach.
        explained, prediction = self._explain(under_way, prediction, timings_ms)
        with self._turns.turn():
            learned, kept = self.learn(under_way, prediction, owned)
        explained = [explained[row] for row in kept]
        self._observer.on_batch(under_way.events, under_way.pictures, [one.prediction for one in explained])
        with self._turns.turn():
            deleted, durable = self._delete_as_requested()
            outputs = [*learned, *deleted, *self._between_batches(owned)]
        self._metrics.batch_events.observe(len(batch.records))

        refused = [*embedded.refused, *under_way.refused]
        self._limit.observe(good=len(under_way.events), bad=[error for _, error in refused])
        letters = [dead_letter(record, error) for record, error in refused]
        stages = tuple((record.partition, error.stage) for record, error in refused)
        written = [*(one.record for one in explained), *outputs, *letters]
        events = {id(one.record): event.record for one, event in zip(explained, under_way.events, strict=True)}
        return Outcome(Commit(written, batch.next_offsets), stages, durable, events)

    def learn(
        self, under_way: UnderWay, prediction: Prediction, owned: Ownership = EVERYTHING
    ) -> tuple[list[OutRecord], list[int]]:
        """Score a batch that was predicted, show it to the drift monitor, and learn it.

        Args:
            under_way: B events.
            prediction: what was said about them.
            owned: the anchors that this worker decides about.

        Returns:
            What changelog and drift topic must hold of it, and which of the events could be learned.
        """
        parts, events, vectors = self.parts, under_way.events, under_way.vectors
        labels = parts.labels.read(events)
        parts.scoring.score(labels.tests, prediction, parts.adapter.shadow_answer(vectors))
        outputs = parts.watching.observe(events, vectors, prediction, labels.tests)
        self._turns.give_way()

        def learn(rows: Sequence[int]) -> list[OutRecord]:
            chosen = np.asarray(rows, np.int64)
            some = [events[row] for row in rows]
            return parts.labels.learn(some, vectors[chosen], labels.to_learn[chosen], owned)

        done, kept = under_way.through("learn", learn)
        if self.late is not None:
            outputs += self.late.tests.keep(under_way.events, under_way.vectors, prediction.at(kept))
        return [*(output for part in done for output in part), *outputs], kept

    @_in_turn
    def apply_labels(self, arrivals: Arrivals, places: Places, owned: Ownership) -> Outcome:
        """Take in labels that came apart from their events, and what waits for them; see `LateLabels.take`."""
        assert self.late is not None
        with self._metrics.stage("learn", len(arrivals.labels)):
            outputs, refused = self.late.take(arrivals, places, owned)
        if self._suggesting is not None and places:
            outputs += self._suggesting.poll(next(iter(places.values())))
        return Outcome(Commit(outputs), tuple(refused))

    @_in_turn
    def apply(
        self, changes: Sequence[Change], owned: Ownership | None = None, positions: Mapping[int, int] | None = None
    ) -> Outcome:
        """Follow the changelog; without changes, only let the learner do what is due.

        Args:
            changes: what the changelog says, in its order.
            positions: how far it was followed with them.
            owned: the anchors that this worker decides about; None while it has no place among the workers yet.

        Returns:
            What is to be written because of it, without positions; mostly nothing.
        """
        parts = self.parts
        changes = list(self._foreign.sift(changes))
        parts.labels.follow(change for change in changes if not change.key.startswith(PRESENCE_PREFIX))
        parts.sharing.follow(change for change in changes if change.key.startswith(PRESENCE_PREFIX))
        parts.positions.update(positions or {})
        forgotten = [change.key for change in changes if change.forgotten]
        if forgotten:
            self._observer.on_forgotten(forgotten)
        if owned is None:
            if not changes:  # what the learner would work out now would only be in the way of reading on
                parts.labels.tidy()
                self._show()
            return Outcome(Commit(()))
        by_hand = Counter(one.writer for one in changes if one.content is None and one.writer.startswith(BY_HAND))
        for writer, number in by_hand.items():
            log.info("anchors deleted", number=number, by=writer)
        tidied = parts.labels.tidy(owned)
        deleted, durable = self._delete_as_requested()
        return Outcome(Commit([*tidied, *deleted, *self._between_batches(owned)]), durable=durable)

    @_in_turn
    def apply_classes(self, records: Sequence[Record], *, restoring: bool = False) -> Outcome:
        """Follow the classes topic; see `ClassesInForce.apply`. There is nothing to be written."""
        self.parts.classes.apply(records, restoring=restoring)
        return Outcome(Commit(()))

    @_in_turn
    def undo(self, outputs: Iterable[OutRecord]) -> None:
        """Take back what was learned where `outputs` will never be written."""
        outputs = list(outputs)
        self.parts.labels.undo(outputs)
        self.parts.sharing.undo(outputs)

    def warm_up(self) -> None:
        """All anchors are read back: run model and learner once, so that the first event is not the slow one.

        Raises:
            FingerprintMismatch: most anchors are another encoder's.
        """
        self._foreign.start_is_over(self.adapter.n_anchors)
        self._encoder.warm_up()
        self.adapter.predict(self.adapter.classes.texts[:1])

    def _predict(self, under_way: UnderWay) -> Prediction:
        vectors = under_way.vectors
        done, _ = under_way.through("predict", lambda rows: self.adapter.predict(vectors[np.asarray(rows, np.int64)]))
        return done[0] if len(done) == 1 else self.adapter.predict(under_way.vectors)

    def _explain(
        self, under_way: UnderWay, prediction: Prediction, timings_ms: Mapping[str, float]
    ) -> tuple[list[Explained], Prediction]:
        events = under_way.events

        def explain(rows: Sequence[int]) -> list[Explained]:
            return self._explaining.explain([events[row] for row in rows], prediction.at(rows), timings_ms)

        done, kept = under_way.through("explain", explain)
        prediction = prediction.at(kept)
        self._metrics.gate.observe(prediction.gate)
        self._metrics.novelty.observe(prediction.novelty)
        self._metrics.count_unknown("all", prediction.unknown, len(prediction.novelty))
        return [one for part in done for one in part], prediction

    def _between_batches(self, owned: Ownership) -> list[OutRecord]:
        """What is due by the clock; returns what changelog and drift topic must hold of it."""
        now_s, parts = self._clock(), self.parts
        outputs = [*parts.classes.poll(), *parts.sharing.publish()]
        self._turns.give_way()
        outputs += [
            *parts.sharing.withdraw_silent(now_s, owned),
            *parts.watching.report(now_s),
        ]
        self._show()
        self.saving()
        return outputs

    def _show(self) -> None:
        metrics, adapter = self._metrics, self.adapter
        metrics.pending.set(adapter.pending)
        metrics.anchors.set(adapter.n_anchors)
        metrics.set_digest(adapter.anchors_digest)
        metrics.seen_classes.set(int(adapter.has_anchor.sum()))
        metrics.set_index(adapter.index_statistics)
        metrics.set_kinds(Counter(adapter.kinds))

    def _delete_as_requested(self) -> tuple[list[OutRecord], tuple[Callable[[], None], ...]]:
        """Delete what the observer asks for: what the changelog must be told, and whom to call when it is durable."""
        outputs: list[OutRecord] = []
        durable: list[Callable[[], None]] = []
        for request in self._observer.poll():
            if self.late is not None:
                outputs += self.late.forget(request.anchor_ids)
            gone, tombstones = self.parts.labels.replica.forget(request.anchor_ids, forgotten=True)
            outputs += tombstones
            durable.append(partial(request.durable, gone))
        return outputs, tuple(durable)
