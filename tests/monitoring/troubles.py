"""For every alert, what makes it fire, and what looks like it and must not."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.monitoring.fleet import Fleet, Trouble, Worker

Change = Callable[[Worker], None]


@dataclass(frozen=True)
class Case:
    """A piece of a fleet's life.

    Attributes:
        minutes: how long it is.
        trouble: what happens to the fleet.
        step_s: seconds between two scrapes; by default a minute, and two where it is long.
        anchors: in the topic at its beginning.
    """

    minutes: float
    trouble: Trouble
    step_s: float | None = None
    anchors: int = 20_000

    @property
    def interval_s(self) -> float:
        return self.step_s or (60.0 if self.minutes < 70 else 120.0)


def between(begin: float, end: float, change: Trouble, back: Trouble = lambda fleet: None) -> Trouble:
    """Change the fleet at every step from one minute to another, and back at the end."""

    def trouble(fleet: Fleet) -> None:
        minute = fleet.now_s / 60.0
        if begin <= minute < end:
            change(fleet)
        elif end <= minute < end + 1.0:
            back(fleet)

    return trouble


def at(minute: float, change: Trouble) -> Trouble:
    """Change the fleet once."""
    return between(minute, minute + 1.0, change)


def every(minutes: float, begin: float, end: float, change: Trouble) -> Trouble:
    """Change the fleet now and then."""

    def trouble(fleet: Fleet) -> None:
        minute = fleet.now_s / 60.0
        if begin <= minute < end and (minute - begin) % minutes < 1.0:
            change(fleet)

    return trouble


def together(*troubles: Trouble) -> Trouble:
    return lambda fleet: [trouble(fleet) for trouble in troubles] and None


def first(change: Change) -> Trouble:
    return lambda fleet: change(fleet.workers[0])


def each(change: Change) -> Trouble:
    return lambda fleet: [change(worker) for worker in fleet.workers] and None


def put(name: str, value: object) -> Change:
    return lambda worker: setattr(worker, name, value)


def rate(value: float) -> Trouble:
    return lambda fleet: setattr(fleet, "rate", value)


def gauge(name: str, value: float) -> Change:
    return lambda worker: getattr(worker.metrics, name).set(value)


def recall(value: float) -> Change:
    return lambda worker: worker.metrics.index_recall.labels(index="hnsw").set(value)


def drift_value(kind: str, value: float) -> Change:
    return lambda worker: worker.metrics.drift_value.labels(kind=kind, group="overall").set(value)


def alarm(kind: str) -> Change:
    return lambda worker: worker.metrics.drift_alarms.labels(kind=kind).inc()


def up_again(fleet: Fleet) -> None:
    for worker in fleet.workers:
        if not worker.up:
            worker.up = True
            worker.start(fleet.now_s)


def restart(minute: float) -> Trouble:
    """The first worker is away for a minute, and comes back as a new process."""
    return between(minute, minute + 1.0, first(put("up", False)), up_again)


def slow(worker: Worker) -> None:
    for _ in range(3):
        worker.metrics.batch_latency.observe(20.0)


def other_encoder(worker: Worker) -> None:
    worker.build = {**worker.build, "encoder": "another"}


def same_build(worker: Worker) -> None:
    worker.build = {**worker.build, "encoder": "e"}


def other_digest(worker: Worker) -> None:
    worker.metrics.set_digest("ffff00000000")


def anchors_missing(worker: Worker) -> None:
    worker.metrics.anchors.set(worker.metrics.anchors._value.get() - 2_000)


def no_evidence(worker: Worker) -> None:
    worker.metrics.drift_enough.labels(kind="harm", group="overall").set(0)


def asked(answered: int, busy: int) -> Trouble:
    """So many requests for predictions at every step."""

    def ask(worker: Worker) -> None:
        worker.metrics.http_predictions.labels(outcome="answered").inc(answered)
        worker.metrics.http_predictions.labels(outcome="busy").inc(busy)

    return each(ask)


def failed_snapshot(worker: Worker) -> None:
    worker.metrics.snapshots.labels(outcome="failed").inc()


def silent(worker: Worker) -> None:
    worker.metrics.silent.inc(60.0)


def too_large(worker: Worker) -> None:
    worker.metrics.outputs_too_large.labels(channel="anchors").inc()


def set_aside(worker: Worker) -> None:
    worker.metrics.set_aside.labels(reason="garbage").inc()


def unexpected(worker: Worker) -> None:
    worker.metrics.unexpected_errors.labels(stage="predict").inc()


def a_backlog(fleet: Fleet) -> None:
    for worker in fleet.workers:
        worker.backlog += 30_000


QUIET_LABELS: Trouble = lambda fleet: setattr(fleet, "labels", False)  # noqa: E731

FIRES: dict[str, Case] = {
    "StreamAdapterDown": Case(20, between(10, 99, each(put("up", False)))),
    "StreamAdapterStalled": Case(25, between(10, 99, each(put("commits", False)))),
    "StreamAdapterStuck": Case(22, between(8, 99, first(put("stuck", True)))),
    "StreamAdapterLagHigh": Case(45, together(each(put("pace", 1.0)), between(5, 99, rate(60.0)))),
    "StreamAdapterDeadLettersHigh": Case(30, between(10, 99, each(put("bad", {"decode": 0.3})))),
    # Few of the fleet's events: a small partition, whose worker reads nothing else.
    "StreamAdapterBadEventsFlood": Case(
        40, together(between(5, 99, first(gauge("flood", 1))), between(5, 99, first(put("bad", {"decode": 0.008}))))
    ),
    "StreamAdapterHarm": Case(20, at(10, first(alarm("harm")))),
    "StreamAdapterWorseThanZeroShot": Case(
        90, between(10, 99, each(put("accuracy", {"labelled": (0.80, 0.88), "canary": (0.9, 0.89)})))
    ),
    "StreamAdapterWorkerDown": Case(35, between(10, 99, first(put("up", False)))),
    "StreamAdapterNotReady": Case(30, between(10, 99, first(put("ready", False)))),
    "StreamAdapterRestarting": Case(45, together(restart(8), restart(18), restart(28))),
    "StreamAdapterRebalancing": Case(60, every(2, 10, 99, first(lambda worker: worker.metrics.rebalances.inc()))),
    "StreamAdapterMixedVersions": Case(80, between(10, 99, first(other_encoder))),
    "StreamAdapterLagGrowing": Case(170, together(each(put("pace", 1.0)), between(5, 999, rate(20.7)))),
    "StreamAdapterLatencyHigh": Case(30, between(5, 99, each(slow))),
    "StreamAdapterCommitsAborted": Case(
        40, every(2, 5, 99, first(lambda worker: worker.metrics.aborted_commits.inc(4)))
    ),
    "StreamAdapterDecodeFailures": Case(60, between(5, 99, each(put("bad", {"decode": 0.03})))),
    "StreamAdapterLabelsRefused": Case(60, between(5, 99, each(put("bad", {"label": 0.03})))),
    "StreamAdapterEventsRefused": Case(60, between(5, 99, each(put("bad", {"parse": 0.03})))),
    "StreamAdapterGuarding": Case(
        40, together(at(10, first(alarm("harm"))), between(10, 99, first(gauge("guarded_classes", 1))))
    ),
    "StreamAdapterProtectionRaised": Case(30, between(5, 99, first(drift_value("protection", 2.0)))),
    "StreamAdapterClassAtRisk": Case(30, between(5, 99, first(drift_value("at_risk", 1.0)))),
    "StreamAdapterUnwatched": Case(60 * 26, each(no_evidence), step_s=300.0),
    "StreamAdapterNewClass": Case(15, at(10, first(alarm("new_class")))),
    "StreamAdapterNovelty": Case(15, at(10, first(alarm("novelty")))),
    "StreamAdapterDomainDrift": Case(15, at(10, first(alarm("embedding")))),
    "StreamAdapterAnchorsDiverged": Case(40, together(QUIET_LABELS, first(other_digest))),
    "StreamAdapterLearnerStale": Case(35, between(10, 99, first(put("learns", False)))),
    "StreamAdapterIndexRecallLow": Case(50, between(10, 99, first(recall(0.85)))),
    "StreamAdapterPredictionsBusy": Case(40, between(5, 99, asked(90, 10), asked(0, 0))),
    "StreamAdapterSnapshotsFailing": Case(
        30, together(between(0, 99, first(put("disk", False))), every(5, 5, 99, first(failed_snapshot)))
    ),
    "StreamAdapterAnchorsNearBudget": Case(75, lambda fleet: None, anchors=95_000),
    "StreamAdapterNoAnswer": Case(25, between(10, 99, first(silent))),
    "StreamAdapterOutputsTooLarge": Case(20, at(10, first(too_large))),
    "StreamAdapterForeignRecords": Case(20, at(10, first(set_aside))),
    "StreamAdapterUnexpectedErrors": Case(20, at(10, first(unexpected))),
}


ALSO_FIRES: list[tuple[str, Case]] = [
    ("StreamAdapterDown", Case(20, between(10, 99, each(put("gone", True))))),
    ("StreamAdapterDown", Case(30, between(10, 99, each(put("ready", False))))),
    # It crashes at the same batch again and again, and commits nothing in between.
    (
        "StreamAdapterStalled",
        Case(
            22,
            together(
                between(10, 99, first(put("commits", False))), restart(12), between(10, 99, each(put("pace", 5.0)))
            ),
        ),
    ),
    ("StreamAdapterDomainDrift", Case(15, at(10, first(alarm("label_mix"))))),
    ("StreamAdapterAnchorsDiverged", Case(60, between(10, 99, first(anchors_missing)))),
    ("StreamAdapterSnapshotsFailing", Case(30, first(put("disk", False)))),  # none fails, none comes
]

STAYS_QUIET: dict[str, Case] = {
    "StreamAdapterDown": Case(30, between(10, 13, each(put("up", False)), up_again)),
    "StreamAdapterStalled": Case(40, between(10, 17, each(put("commits", False)), each(put("commits", True)))),
    "StreamAdapterStuck": Case(20, between(8, 10, first(put("stuck", True)), first(put("stuck", False)))),
    # Long, but it shrinks.
    "StreamAdapterLagHigh": Case(60, together(each(put("pace", 1.2)), at(10, a_backlog))),
    "StreamAdapterDeadLettersHigh": Case(
        30, between(10, 13, each(put("bad", {"decode": 0.3})), each(put("bad", {"decode": 0.0005})))
    ),
    # It was over in time.
    "StreamAdapterBadEventsFlood": Case(40, between(5, 12, first(gauge("flood", 1)), first(gauge("flood", 0)))),
    # The guard acts, if not at once.
    "StreamAdapterHarm": Case(
        24, together(at(10, first(alarm("harm"))), between(12, 99, first(gauge("guarded_classes", 1))))
    ),
    # Much worse, but on 60 labels.
    "StreamAdapterWorseThanZeroShot": Case(
        120, together(rate(0.07), each(put("accuracy", {"labelled": (0.80, 0.88), "canary": (0.9, 0.89)})))
    ),
    "StreamAdapterWorkerDown": Case(40, between(10, 14, first(put("up", False)), up_again)),
    "StreamAdapterNotReady": Case(40, between(10, 22, first(put("ready", False)), first(put("ready", True)))),
    "StreamAdapterRestarting": Case(45, together(restart(8), restart(18))),
    "StreamAdapterRebalancing": Case(60, every(5, 10, 99, first(lambda worker: worker.metrics.rebalances.inc()))),
    "StreamAdapterMixedVersions": Case(80, between(10, 50, first(other_encoder), first(same_build))),
    # It is behind, but does not fall behind further.
    "StreamAdapterLagGrowing": Case(
        170,
        together(
            each(put("pace", 1.0)),
            rate(19.9),
            at(4, lambda f: [setattr(w, "backlog", 5e3) for w in f.workers] and None),
        ),
    ),
    "StreamAdapterLatencyHigh": Case(40, between(5, 15, each(slow))),
    "StreamAdapterCommitsAborted": Case(40, at(5, first(lambda worker: worker.metrics.aborted_commits.inc(4)))),
    "StreamAdapterDecodeFailures": Case(60, between(5, 99, each(put("bad", {"decode": 0.008})))),
    "StreamAdapterLabelsRefused": Case(60, between(5, 99, each(put("bad", {"label": 0.008})))),
    "StreamAdapterEventsRefused": Case(60, between(5, 99, each(put("bad", {"parse": 0.004, "encode": 0.004})))),
    "StreamAdapterGuarding": Case(
        40, together(at(10, first(alarm("guard"))), between(10, 22, first(gauge("guarded_classes", 1))))
    ),
    "StreamAdapterProtectionRaised": Case(30, between(5, 99, first(drift_value("protection", 1.0)))),
    "StreamAdapterClassAtRisk": Case(30, between(5, 99, first(drift_value("at_risk", 0.0)))),
    "StreamAdapterUnwatched": Case(60 * 26, between(0, 60 * 20, each(no_evidence)), step_s=300.0),
    "StreamAdapterNewClass": Case(15, at(10, first(alarm("confidence")))),
    "StreamAdapterNovelty": Case(15, at(10, first(alarm("accuracy")))),
    "StreamAdapterDomainDrift": Case(15, at(10, first(alarm("confidence")))),
    # At rest they differ for a moment only; the other way to be apart, while they learn, is every other case here.
    "StreamAdapterAnchorsDiverged": Case(40, together(QUIET_LABELS, between(15, 23, first(other_digest)))),
    "StreamAdapterLearnerStale": Case(40, between(10, 22, first(put("learns", False)), first(put("learns", True)))),
    "StreamAdapterIndexRecallLow": Case(60, between(10, 30, first(recall(0.85)))),
    "StreamAdapterPredictionsBusy": Case(40, together(between(0, 99, asked(97, 3)), at(20, asked(0, 300)))),
    # One fails, the next one comes.
    "StreamAdapterSnapshotsFailing": Case(
        40,
        together(at(10, first(failed_snapshot)), between(6, 14, first(put("disk", False)), first(put("disk", True)))),
    ),
    "StreamAdapterAnchorsNearBudget": Case(75, lambda fleet: None, anchors=100_000),
    "StreamAdapterNoAnswer": Case(25, between(10, 13, first(silent), first(gauge("silent", 0)))),
    # What happened before the first scrape, and never again.
    "StreamAdapterOutputsTooLarge": Case(20, at(1, first(too_large))),
    "StreamAdapterForeignRecords": Case(20, at(1, first(set_aside))),
    "StreamAdapterUnexpectedErrors": Case(20, at(10, first(put("bad", {"decode": 0.008})))),
}

ALSO_QUIET: list[tuple[str, Case]] = [
    (
        "StreamAdapterBadEventsFlood",
        Case(40, together(each(put("bad", {})), between(5, 99, first(gauge("flood", 1))))),  # nothing has come since
    ),
    # Behind by two minutes after an hour: a ticket sometime, no page.
    ("StreamAdapterLagHigh", Case(65, together(each(put("pace", 1.0)), rate(20.7)))),
    # Bad for nine minutes, but good before that.
    (
        "StreamAdapterDeadLettersHigh",
        Case(45, between(25, 34, each(put("bad", {"decode": 0.2})), each(put("bad", {"decode": 0.0005})))),
    ),
    # Nearly two points worse: within what chance does.
    (
        "StreamAdapterWorseThanZeroShot",
        Case(100, between(10, 199, each(put("accuracy", {"labelled": (0.862, 0.88), "canary": (0.9, 0.89)})))),
    ),
    ("StreamAdapterLatencyHigh", Case(40, between(5, 99, each(lambda w: w.metrics.batch_latency.observe(3.0))))),
    ("StreamAdapterCommitsAborted", Case(60, every(4, 5, 99, first(lambda w: w.metrics.aborted_commits.inc())))),
]
