"""The worker's loop: poll, batch, hand over to the compute thread, commit in order.

Three threads share the work. The loop's thread owns source, sink and changelog: it polls whatever happens downstream
(a Kafka consumer that is not polled loses its place in the group) and pauses the source while enough is under way.
The compute thread owns the adapter: it finishes one batch after the other, while the loop commits the previous one,
the encoder embeds the next one, and the decoding pool works on the one after that.
"""

import contextlib
import time
from collections.abc import Callable

import structlog

from stream_adapter.adapter.anchors.ownership import Ownership
from stream_adapter.errors import StreamAdapterError, Unreachable
from stream_adapter.journey.batching import Batcher
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.outage import Outage
from stream_adapter.service.pipeline import Pipeline
from stream_adapter.service.restoring import get_ready, read_anchors, read_classes
from stream_adapter.service.saving import Snapshots
from stream_adapter.transport.base import Partition, Sink, Source
from stream_adapter.transport.changelog import Changelog
from stream_adapter.transport.labels import LabelFeed
from stream_adapter.transport.transport import Log

log = structlog.get_logger(__name__)

_POLL_WHILE_BUSY_S = 0.005
_WAIT_WHILE_BUSY_S = 0.02
_POLL_WHILE_IDLE_S = 0.1
_LAG_EVERY_S = 1.0
_CLASSES_EVERY_S = 0.1
_LABELS_UNDER_WAY = 2
# While batches are computed: what is followed takes effect between two of them, and each look costs a round through the
# client's threads. A portion that is full is followed by the next at once.
_FOLLOW_EVERY_S = 0.1
_MANY = 500
_LABELS_EVERY_S = 1.0  # also without labels: what waited too long is let go of


class DrainBudgetExceeded(StreamAdapterError):
    """Batches under way at shutdown were not finished within `service.drain_s`."""


class Worker:
    """Runs a processor between a source and a sink until it is asked to stop or the source is exhausted.

    Args:
        classes: what the classes are, from the first event on.
        metrics: stage "commit", lag, readiness; public, for whoever runs the worker in its own process.
        health: told of progress and readiness.
        labels: labels that come apart from their events, where the transport brings any.
        outage: told of a transport that does not answer.
        snapshots: the state on the disk, where it is kept.
        drain_s: seconds to finish and commit what is under way when it stops.
        supervise: called in every step of the loop; raises when something that the worker depends on has died.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        source: Source,
        sink: Sink,
        changelog: Changelog,
        classes: Log,
        processor: Processor,
        batcher: Batcher,
        metrics: Metrics,
        health: Health,
        drain_s: float,
        labels: LabelFeed | None = None,
        outage: Outage | None = None,
        snapshots: Snapshots | None = None,
        supervise: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._changelog = changelog
        self._classes = classes
        self._classes_due_at = 0.0
        self._labels = labels
        self._labels_due_at = self._feed_due_at = self._changelog_due_at = float("-inf")
        self._processor = processor
        self._batcher = batcher
        self.metrics = metrics
        self._health = health
        self._drain_s = drain_s
        self._snapshots = snapshots
        self._supervise = supervise
        self._clock = clock
        self._pipeline = Pipeline(
            sink=sink,
            processor=processor,
            metrics=metrics,
            progress=health.progress,
            took=batcher.took,
            poll=self._poll_nothing,
            clock=clock,
        )
        self._outage = outage or Outage(health, metrics, clock)
        self._assigned: frozenset[Partition] = frozenset()
        self._left: frozenset[Partition] = frozenset()  # since labels were last followed
        self._behind = False  # of what the former owners of new partitions learned
        self._lag_due_at = 0.0
        self._stopping = False
        self._restored = False

    def stop(self) -> None:
        """Ask the loop to drain and return; safe from a signal handler or another thread."""
        self._stopping = True

    def run(self) -> None:
        """Restore where that was not done, then work until `stop` or the end of the input; then drain and commit."""
        try:
            if not self._restored:
                self.restore()
            while not self._stopping and not self._finished:
                self._step()
            self._drain()
        finally:
            self._pipeline.close()

    @property
    def restored(self) -> bool:
        """Whether the start is over; until then nothing was read that would have to be drained."""
        return self._restored

    @property
    def _finished(self) -> bool:
        if not self._source.exhausted or self._pipeline.batches or len(self._batcher):
            return False
        return self._labels is None or (self._labels.exhausted and not self._pipeline.labels)

    def restore(self) -> None:
        """Read the anchors back and warm the model up: the first event is like any other.

        Where nobody answers, that is waited out.
        """
        started = self._clock()
        # First: what the state is about. It is small, and a snapshot would not know what was taken back meanwhile.
        processor = self._processor
        self._outage.wait_out(lambda: read_classes(self._classes, processor, self._health))
        if self._snapshots is not None and self._outage.wait_out(self._snapshots.restore):
            self.metrics.restored_anchors.set(processor.adapter.n_anchors)
        self._outage.wait_out(lambda: read_anchors(self._changelog, processor, self._health, self.metrics))
        get_ready(processor, self._health)
        self._restored = True
        self._health.set("restored", True)
        self._health.set("model_warm", True)
        anchors = processor.adapter.n_anchors
        log.info("restored", anchors=anchors, seconds=round(self._clock() - started, 3))

    def _step(self) -> None:
        """One step of the loop; returns quickly, and makes progress or says why not.

        A transport that does not answer is waited for: nothing is lost by it, and a restart would not help.
        """
        self._supervise()
        with self._health.asking():
            trouble = self._ask()
            self._outage.report(trouble)  # before it stops asking: or it would be ready for a moment
        self.metrics.ready.set(not self._health.missing)
        if trouble is not None or not self._pipeline.batches:
            self._health.progress()
        if trouble is not None:
            time.sleep(_POLL_WHILE_IDLE_S)

    def _ask(self) -> str | None:
        """Read, hand over, commit and follow; returns why there is no answer, as far as that is so."""
        try:
            self._read()
            self._catch_up()
            if self._batcher.due or (self._source.exhausted and len(self._batcher)):
                self._hand_over()
            self._pipeline.commit_finished()
            self._follow_classes()
            self._follow_changelog()
            self._follow_labels()
        except Unreachable as error:
            return self._source.trouble or str(error)
        return self._source.trouble

    def _read(self) -> None:
        busy = self._pipeline.full
        (self._source.pause if busy else self._source.resume)()
        if busy:
            self._pipeline.wait(_WAIT_WHILE_BUSY_S)
            timeout_s = 0.0
        elif self._pipeline.batches:
            timeout_s = _POLL_WHILE_BUSY_S
        elif len(self._batcher):  # however long it may wait to be full, others' anchors and labels do not
            timeout_s = min(self._batcher.remaining_wait_s, _POLL_WHILE_IDLE_S)
        else:
            timeout_s = _POLL_WHILE_IDLE_S
        records = self._source.poll(self._batcher.room, timeout_s)
        self._look_at_assignment()
        self._batcher.add(record for record in records if record.partition in self._assigned)
        self._health.set("partitions_assigned", bool(self._assigned))
        if self._clock() >= self._lag_due_at:
            self._lag_due_at = self._clock() + _LAG_EVERY_S
            lag = self._source.lag()
            self.metrics.set_lag(lag)
            self._batcher.behind(sum(lag.values()))

    def _look_at_assignment(self) -> None:
        """After every poll: drop what belongs to others now."""
        assigned, before = self._source.assigned, self._assigned
        self._batcher.keep_only(assigned)
        self._pipeline.keep_only(assigned)
        self._assigned = assigned
        if assigned != before:
            self.metrics.rebalances.inc()
        self._behind |= bool(assigned - before)
        self._left |= before - assigned

    def _catch_up(self) -> None:
        """Know what the former owner of a partition learned, before anything of it is handed over."""
        if self._behind:
            for changes in self._changelog.read_to_end():
                self._pipeline.follow(changes, self._owned, self._changelog.positions)
            self._behind = False

    def _poll_nothing(self) -> None:
        """Keep the place in the group, without reading on."""
        self._source.poll(0, _POLL_WHILE_BUSY_S)
        self._look_at_assignment()

    @property
    def _owned(self) -> Ownership:
        return Ownership(frozenset(at.number for at in self._assigned), self._source.partition_count)

    def _hand_over(self) -> None:
        if not self._pipeline.full and not self._pipeline.leaving:
            self._pipeline.take(self._batcher.take(), self._owned)

    def _follow_classes(self) -> None:
        """Several that come at once go into one change: each is between two batches."""
        if self._clock() >= self._classes_due_at:
            self._classes_due_at = self._clock() + _CLASSES_EVERY_S
            if records := self._classes.new():
                self._pipeline.follow_classes(records)

    def _follow_changelog(self) -> None:
        """Between batches: take in what others wrote, and do what is due by the clock."""
        if self._pipeline.batches and self._clock() < self._changelog_due_at:
            return
        changes = self._changelog.poll()
        self._changelog_due_at = self._clock() + (_FOLLOW_EVERY_S if len(changes) < _MANY else 0.0)
        if changes or not len(self._pipeline):
            self._pipeline.follow(changes, self._owned, self._changelog.positions)

    def _follow_labels(self) -> None:
        """Between batches: apply the labels of the events that belong to this worker."""
        if self._labels is None or self._pipeline.leaving or self._pipeline.labels >= _LABELS_UNDER_WAY:
            return
        if self._pipeline.batches and self._clock() < self._feed_due_at:
            return
        inputs = {at.number: at for at in self._assigned}
        count = self._source.partition_count
        places = {
            number: inputs[number % count] for number in range(self._labels.partitions) if number % count in inputs
        }
        if self._left:  # what has come back since begins anew: what was under way for it was not written
            self._labels.assign(frozenset(number for number, at in places.items() if at not in self._left))
            self._left = frozenset()
        self._labels.assign(frozenset(places))
        arrivals = self._labels.poll()
        many = arrivals.labels or len(arrivals.waiting) >= _MANY
        self._feed_due_at = self._clock() + (0.0 if many else _FOLLOW_EVERY_S)
        if arrivals or self._clock() >= self._labels_due_at:
            self._labels_due_at = self._clock() + _LABELS_EVERY_S
            self._pipeline.apply_labels(arrivals, places, self._owned)

    def _drain(self) -> None:
        """Finish and commit what is under way; records that were only read are left for the next owner."""
        deadline = self._clock() + self._drain_s
        self._health.drain()
        log.info("draining", batches=self._pipeline.batches, unread=len(self._batcher))
        self._source.pause()
        while len(self._pipeline):
            self._poll_nothing()
            with contextlib.suppress(Unreachable):
                self._pipeline.commit_finished()
            if self._clock() > deadline:
                raise DrainBudgetExceeded(
                    f"{self._pipeline.batches} batches were not finished within `service.drain_s` = {self._drain_s} s; "
                    "their events are read again after the next start. Raise the budget or lower `batch.max_batch`"
                )
        log.info("drained")
        if self._snapshots is not None:
            self._snapshots.finish()
