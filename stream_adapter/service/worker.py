"""The worker's loop: poll, batch, hand over to the compute thread, commit in order.

Two threads share the work. The loop's thread owns source, sink and changelog: it polls whatever happens downstream
(a Kafka consumer that is not polled loses its place in the group) and pauses the source while enough is under way.
The compute thread owns the adapter: it finishes one batch after the other, while the loop commits the previous one
and the decoding pool works on the next.
"""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from stream_adapter.batching import Batcher
from stream_adapter.errors import StreamAdapterError
from stream_adapter.metrics import Metrics
from stream_adapter.processor import Outcome, Processor
from stream_adapter.service.health import Health
from stream_adapter.transport.base import Sink, Source
from stream_adapter.transport.changelog import AnchorChangelog

log = structlog.get_logger(__name__)

# One batch is computed, one is decoded ahead of it: more would only add latency.
_BATCHES_UNDER_WAY = 2
_POLL_WHILE_BUSY_S = 0.005
_POLL_WHILE_IDLE_S = 0.1
_LAG_EVERY_S = 1.0


class DrainBudgetExceeded(StreamAdapterError):
    """Batches under way at shutdown were not finished within `service.drain_s`."""


@dataclass(slots=True)
class _UnderWay:
    """A batch that was handed to the compute thread."""

    future: Future[Outcome]
    closed_at: float


class Worker:
    """Runs a processor between a source and a sink until it is told to stop or the source is exhausted.

    Args:
        source: where records come from.
        sink: where results go.
        changelog: what others learned.
        processor: the journey of a batch.
        batcher: when a batch closes.
        metrics: stage "commit", lag, readiness; public, for whoever runs the worker in its own process.
        health: told of progress and readiness.
        drain_s: seconds to finish and commit what is under way when it stops.
        supervise: called every turn; raises when something that the worker depends on has died.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        source: Source,
        sink: Sink,
        changelog: AnchorChangelog,
        processor: Processor,
        batcher: Batcher,
        metrics: Metrics,
        health: Health,
        drain_s: float,
        supervise: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._sink = sink
        self._changelog = changelog
        self._processor = processor
        self._batcher = batcher
        self.metrics = metrics
        self._health = health
        self._drain_s = drain_s
        self._supervise = supervise
        self._clock = clock
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._under_way: deque[_UnderWay] = deque()
        self._housekeeping: Future[None] | None = None
        self._lag_due_at = 0.0
        self._stopping = False
        self._restored = False

    def stop(self) -> None:
        """Ask the loop to drain and return; safe from a signal handler or another thread."""
        self._stopping = True

    def run(self) -> None:
        """Restore where that was not done, then work until `stop` or the end of the input; then drain and commit.

        Raises:
            StreamAdapterError: whatever ended the worker; nothing uncommitted was lost, it is read again.
        """
        try:
            if not self._restored:
                self.restore()
            while not self._stopping and not self._finished:
                self._turn()
            self._drain()
        finally:
            self._compute.shutdown(wait=False, cancel_futures=True)

    @property
    def _finished(self) -> bool:
        return self._source.exhausted and not self._under_way and not len(self._batcher)

    def restore(self) -> None:
        """Read the anchors back, fit the maps to them, and warm the model up: the first event is like any other.

        Raises:
            TransportError: the anchors cannot be read.
            FingerprintMismatch: they come from another encoder.
        """
        started = self._clock()
        for changes in self._changelog.restore():
            self._processor.apply(changes)
            self.metrics.restored_anchors.set(self._processor.adapter.n_anchors)
            self._health.progress()
        self._processor.warm_up()
        # Ready means: it answers as the workers that wrote these anchors do, so the maps must be fitted to them first.
        while self._processor.adapter.changes_since_fit:
            self._processor.apply(())
            self._health.progress()
            time.sleep(_POLL_WHILE_BUSY_S)
        self._restored = True
        self._health.set("restored", True)
        self._health.set("model_warm", True)
        anchors = self._processor.adapter.n_anchors
        log.info("restored", anchors=anchors, seconds=round(self._clock() - started, 3))

    def _turn(self) -> None:
        """One turn of the loop; returns quickly, and makes progress or says why not."""
        self._supervise()
        self._read()
        if self._batcher.due or (self._source.exhausted and len(self._batcher)):
            self._hand_over()
        self._commit_finished()
        self._keep_house()
        if not self._under_way:
            self._health.progress()

    def _read(self) -> None:
        busy = len(self._under_way) >= _BATCHES_UNDER_WAY
        (self._source.pause if busy else self._source.resume)()
        if self._under_way:
            timeout_s = _POLL_WHILE_BUSY_S
        elif len(self._batcher):
            timeout_s = self._batcher.remaining_wait_s
        else:
            timeout_s = _POLL_WHILE_IDLE_S
        records = self._source.poll(self._batcher.room, timeout_s)
        assigned = self._source.assigned
        self._batcher.keep_only(assigned)
        self._batcher.add(record for record in records if record.partition in assigned)
        self._health.set("partitions_assigned", bool(assigned))
        self.metrics.ready.set(not self._health.missing)
        if self._clock() >= self._lag_due_at:
            self._lag_due_at = self._clock() + _LAG_EVERY_S
            self.metrics.set_lag(self._source.lag())

    def _hand_over(self) -> None:
        if len(self._under_way) >= _BATCHES_UNDER_WAY:
            return
        prepared = self._processor.prepare(self._batcher.take())
        future = self._compute.submit(self._processor.finish, prepared)
        self._under_way.append(_UnderWay(future, self._clock()))

    def _commit_finished(self) -> None:
        """Commit, in order, what the compute thread has finished; its errors surface here."""
        while self._under_way and self._under_way[0].future.done():
            batch = self._under_way.popleft()
            outcome = batch.future.result()
            with self.metrics.stage("commit", len(outcome.commit.outputs)):
                self._sink.commit(outcome.commit)
            outcome.report(self.metrics)
            self.metrics.batch_latency.observe(self._clock() - batch.closed_at)
            self._health.progress()

    def _keep_house(self) -> None:
        """Between batches: take in what other workers and commands wrote, swap in refits and rebuilt indexes."""
        if self._housekeeping is not None:
            if not self._housekeeping.done():
                return
            self._housekeeping.result()
            self._housekeeping = None
        changes = self._changelog.poll()
        if changes or not self._under_way:
            self._housekeeping = self._compute.submit(self._processor.apply, changes)

    def _drain(self) -> None:
        """Finish and commit what is under way; records that were only read are left for the next owner.

        Raises:
            DrainBudgetExceeded: the budget ran out first.
        """
        deadline = self._clock() + self._drain_s
        log.info("draining", batches=len(self._under_way), unread=len(self._batcher))
        self._source.pause()
        while self._under_way:
            self._source.poll(1, _POLL_WHILE_BUSY_S)
            self._commit_finished()
            if self._clock() > deadline:
                raise DrainBudgetExceeded(
                    f"{len(self._under_way)} batches were not finished within `service.drain_s` = {self._drain_s} s; "
                    "their events are read again after the next start. Raise the budget or lower `batch.max_batch`"
                )
        log.info("drained")
