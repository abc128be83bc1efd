"""What was handed to the compute thread, in order, until it is committed."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import takewhile

import structlog

from stream_adapter.adapter.anchors.ownership import Ownership
from stream_adapter.journey.encoded import EncodedBatch
from stream_adapter.journey.late_outputs import Places
from stream_adapter.journey.outcome import Outcome
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.throttled_log import ThrottledLog
from stream_adapter.transport.base import Commit, CommitAborted, OutputTooLarge, OutRecord, Partition, Record, Sink
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.labels import Arrivals

log = structlog.get_logger(__name__)

# As long as the transport itself goes on trying.
_RETRY_ABORTED_S = 45.0
# One batch is computed, one embedded and one decoded ahead of it; one more keeps them busy while the loop waits for a
# commit. More would only add latency.
_BATCHES_UNDER_WAY = 4
_TOGETHER = 3
_WAIT_FOR_MORE_S = 0.05


@dataclass(slots=True)
class _Job:
    """One piece of work of the compute thread.

    Attributes:
        future: its outcome.
        partitions: whose events it is about; empty where it is about none.
        closed_at: when its batch was closed, None where it is no batch.
        labels: whether it is about labels that came apart from their events.
        lost: those of its partitions that moved to another worker meanwhile.
    """

    future: Future[Outcome]
    partitions: frozenset[Partition] = frozenset()
    closed_at: float | None = None
    labels: bool = False
    lost: set[Partition] = field(default_factory=set)


@dataclass(slots=True)
class _Attempt:
    """What a commit is about, from its first attempt on.

    Attributes:
        jobs: the pieces of work.
        outcomes: of each.
        too_large: outputs that their topics do not take.
    """

    jobs: Sequence[_Job]
    outcomes: list[Outcome]
    too_large: list[OutRecord] = field(default_factory=list)

    def parts(self) -> list[tuple[Outcome, list[OutRecord]]]:
        """Of each piece of work what is to be committed, and what is left out."""
        return [one.without(job.lost, self.too_large) for one, job in zip(self.outcomes, self.jobs, strict=True)]

    def leave_out(self, error: OutputTooLarge) -> None:
        """Go on without what is too large; of a prediction with a dead letter in its place."""
        self.too_large.append(error.output)
        self.outcomes = [one.with_letter(error) for one in self.outcomes]


class Pipeline:
    """Hands work to the compute thread and commits what is finished, in the same order.

    What is finished together is committed together: a transaction costs the same for one batch and for two.

    A partition may move to another worker while its events are computed. The new owner reads them again, so their
    outputs are left out of the commit and what was learned from them is taken back; the rest of the batch goes on.

    Used by the loop's thread.

    Args:
        metrics: stage "commit", latency, what became durable.
        progress: called when a commit is durable.
        took: called for every batch that was computed: how many records, and seconds.
        poll: serves the group and calls `keep_only`; called between attempts of a commit that is aborted.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        sink: Sink,
        processor: Processor,
        metrics: Metrics,
        progress: Callable[[], None],
        took: Callable[[int, float], None],
        poll: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._processor = processor
        self._metrics = metrics
        self._progress = progress
        self._took = took
        self._poll = poll
        self._clock = clock
        self._encode = ThreadPoolExecutor(1, thread_name_prefix="encode")  # the next batch, while one is computed
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._jobs: deque[_Job] = deque()
        self._finished_at: float | None = None
        self._say = ThrottledLog(log.error)
        self._attempt: _Attempt | None = None  # the commit that had no answer

    def __len__(self) -> int:
        """Pieces of work that are not committed yet, batches or not."""
        return len(self._jobs)

    @property
    def batches(self) -> int:
        """Batches that are not committed yet."""
        return sum(job.closed_at is not None for job in self._jobs)

    @property
    def full(self) -> bool:
        """Whether no further batch is to be taken yet."""
        return self.batches >= _BATCHES_UNDER_WAY

    @property
    def labels(self) -> int:
        """Portions of labels that are not committed yet."""
        return sum(job.labels for job in self._jobs)

    @property
    def leaving(self) -> bool:
        """Whether something under way was left to others and is not taken back yet.

        Until then a batch that holds the same events again would find its labels known, and teach nothing.
        """
        return any(job.lost for job in self._jobs)

    def take(self, records: Sequence[Record], owned: Ownership) -> None:
        """Start on a batch."""
        prepared = self._processor.prepare(records)
        partitions = frozenset(record.partition for record in records)
        encoded = self._encode.submit(self._processor.encode, prepared)
        future = self._compute.submit(self._finish, encoded, len(records), owned)
        self._jobs.append(_Job(future, partitions, self._clock()))

    def follow(self, changes: Sequence[Change], owned: Ownership, positions: Mapping[int, int]) -> None:
        """Take in what the changelog says up to these positions, between batches."""
        self._jobs.append(_Job(self._compute.submit(self._processor.apply, changes, owned, positions)))

    def follow_classes(self, records: Sequence[Record]) -> None:
        """Take in what the classes topic says, between batches."""
        self._jobs.append(_Job(self._compute.submit(self._processor.apply_classes, records)))

    def apply_labels(self, arrivals: Arrivals, places: Places, owned: Ownership) -> None:
        """Take in labels that came apart from their events, between batches."""
        future = self._compute.submit(self._processor.apply_labels, arrivals, places, owned)
        self._jobs.append(_Job(future, frozenset(places.values()), labels=True))

    def keep_only(self, partitions: frozenset[Partition]) -> None:
        """Leave what belongs to other partitions to their new owners."""
        for job in self._jobs:
            job.lost |= job.partitions - partitions

    def wait(self, timeout_s: float) -> None:
        """Wait until another piece of work is finished, so many seconds at most."""
        wait([job.future for job in self._jobs if not job.future.done()][:1], timeout_s)

    def commit_finished(self) -> None:
        """Commit what the compute thread has finished; its errors surface here.

        Raises:
            Unreachable: the sink does not answer; the next call asks it for the same commit again.
            StreamAdapterError: whatever the work or the commit raised; nothing of what failed was committed.
        """
        again = self._attempt is not None
        if self._attempt is None:
            finished = list(takewhile(lambda job: job.future.done(), self._jobs))
            if not finished or self._waits_for_more(len(finished)):
                return
            # Kept until there is an answer: nobody may know what became of it, so nothing is added to it.
            self._attempt = _Attempt(finished, [job.future.result() for job in finished])
        self._finished_at = None
        committed = self._commit(self._attempt, again=again)
        for job, outcome in zip(self._attempt.jobs, committed, strict=True):
            self._jobs.remove(job)
            outcome.report(self._metrics)
            if job.closed_at is not None:
                self._metrics.batch_latency.observe(self._clock() - job.closed_at)
        self._attempt = None
        self._progress()

    def _waits_for_more(self, finished: int) -> bool:
        """Whether to leave what is finished for a moment, because more is about to be.

        The broker does for a commit of one batch what it does for one of three. Where there is time for each, nothing
        else is under way, or it takes long (a large encoder), nothing is waited for.
        """
        if self._finished_at is None:
            self._finished_at = self._clock()
        if not self.full or finished == len(self._jobs) or finished >= _TOGETHER:
            return False
        return self._clock() - self._finished_at < _WAIT_FOR_MORE_S

    def _finish(self, encoded: Future[EncodedBatch], records: int, owned: Ownership) -> Outcome:
        started = self._clock()  # the slower of the two threads is what a batch waits for
        outcome = self._processor.finish(encoded.result(), owned)
        self._took(records, self._clock() - started)
        return outcome

    def close(self) -> None:
        """Let go of what was not started; what is under way ends by itself."""
        self._compute.shutdown(wait=False, cancel_futures=True)
        self._encode.shutdown(wait=False, cancel_futures=True)

    def _commit(self, attempt: _Attempt, *, again: bool) -> list[Outcome]:
        """Commit these together, maybe `again`; returns what was committed of each."""
        give_up_at = self._clock() + _RETRY_ABORTED_S
        while True:
            parts = attempt.parts()
            commit = _merged(outcome.commit for outcome, _ in parts)
            try:
                # Also where nothing is left of it: a sink that is in doubt would take the next commit for this one.
                if commit.outputs or commit.positions or again:
                    with self._metrics.stage("commit", len(commit.outputs)):
                        self._sink.commit(commit)
                break
            except OutputTooLarge as error:
                attempt.leave_out(error)
                self._count_too_large(error)
            except CommitAborted as error:
                if self._clock() > give_up_at:
                    raise
                self._metrics.aborted_commits.inc()
                log.warning("commit aborted, trying again", error=str(error))
                self._poll()
        self._undo([output for _, dropped in parts for output in dropped])
        return [outcome for outcome, _ in parts]

    def _count_too_large(self, error: OutputTooLarge) -> None:
        """One record must not stop every worker that computes it; but people must hear of it."""
        output = error.output
        self._metrics.outputs_too_large.labels(channel=output.channel).inc()
        of = str(output.source) if output.source is not None else (output.key or b"").decode(errors="replace")
        self._say("left out an output that is too large", error=str(error), channel=output.channel, of=of)

    def _undo(self, outputs: Sequence[OutRecord]) -> None:
        def undo() -> Outcome:
            self._processor.undo(outputs)
            return Outcome(Commit(()))

        if outputs:
            log.info("took back what is not written", outputs=len(outputs))
            self._jobs.append(_Job(self._compute.submit(undo)))


def _merged(commits: Iterable[Commit]) -> Commit:
    outputs: list[OutRecord] = []
    positions: dict[Partition, int] = {}
    for commit in commits:
        outputs += commit.outputs
        positions |= commit.positions
    return Commit(outputs, positions)
