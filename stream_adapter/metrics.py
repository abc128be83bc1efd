"""Every Prometheus metric, with its help text, in one place; `docs/metrics.md` explains each.

Label sets are bounded: stages, content types, groups, models, outcomes, reasons and partitions, never classes or event
ids.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from stream_adapter.adapter.anchors.results import IgnoredReason, IndexStatistics, RemovedReason
from stream_adapter.adapter.learner import ClassKind
from stream_adapter.drift.alarm import AlarmKind, DriftStatus
from stream_adapter.drift.prequential import Group
from stream_adapter.errors import STAGES as REFUSING
from stream_adapter.events.formats import DECLARED_TYPES, FOUND_TYPES
from stream_adapter.events.reference import SCHEMES
from stream_adapter.transport.base import Partition


def value_of(reason: str) -> str:
    """A reason, as the value of a label."""
    return reason.replace(" ", "_")


STAGES = ("parse", "decode", "encode", "predict", "explain", "learn", "commit")
GROUPS: tuple[Group, ...] = get_args(Group)
KINDS: tuple[ClassKind, ...] = get_args(ClassKind)
MODELS = ("adapted", "zero_shot")
ALARMS = tuple(kind for kind in get_args(AlarmKind) if kind != "status")  # a status is no alarm
LABEL_OUTCOMES = (
    *("learned", "corrected", "folded", "unknown", "withdrawn"),
    *(value_of(reason) for reason in get_args(IgnoredReason) if reason != "unknown label"),
)
REMOVALS = tuple(value_of(reason) for reason in get_args(RemovedReason))
CHANNELS = ("predictions", "anchors", "dead_letters", "drift", "to_label")
FOREIGN = ("other_encoder", "other_length", "newer_format", "garbage")
HTTP_OUTCOMES = ("answered", "refused", "busy")
SNAPSHOT_OUTCOMES = ("written", "failed", "restored")

_TYPES = ("declared", "found")

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_DELAYS = (1.0, 10.0, 60.0, 600.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 172_800.0, 604_800.0)
_SHARES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Shares(Collector):
    """A histogram of numbers from 0 to 1 that takes a batch at once."""

    def __init__(self, name: str, documentation: str, registry: CollectorRegistry) -> None:
        self._name, self._documentation = name, documentation
        self._counts = np.zeros(len(_SHARES) + 1, np.int64)
        self._sum = 0.0
        registry.register(self)

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """Its name, kind and labels."""
        yield HistogramMetricFamily(self._name, self._documentation)

    def observe(self, shares: NDArray[np.float32]) -> None:
        """Count some."""
        self._counts = self._counts + np.bincount(np.searchsorted(_SHARES, shares), minlength=len(_SHARES) + 1)
        self._sum += float(shares.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What Prometheus gets."""
        at_most = [*map(str, _SHARES), "+Inf"]
        buckets = list(zip(at_most, np.cumsum(self._counts).tolist(), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=self._sum)


class Metrics:
    """The worker's metrics in a registry of their own, so that two workers can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": self.registry, "namespace": "stream_adapter"}

        self.stage_items = Counter("stage_items", "Items that entered a stage.", ["stage"], **made)
        self.stage_failed = Counter("stage_failed", "Items that a stage refused.", ["stage"], **made)
        self.stage_seconds = Histogram(
            "stage_seconds", "Seconds that a stage took for one batch.", ["stage"], buckets=_SECONDS, **made
        )
        self.stage_in_progress = Gauge("stage_in_progress", "Items that are in a stage now.", ["stage"], **made)
        self.batch_events = Histogram("batch_events", "Events in a batch.", buckets=_BATCHES, **made)
        self.batch_latency = Histogram(
            "batch_latency_seconds",
            "Seconds from closing a batch to its durable predictions.",
            buckets=_SECONDS,
            **made,
        )

        self.pictures = Counter(
            "pictures", "Pictures that were to be decoded, by what they were said to be and are.", _TYPES, **made
        )
        self.references = Counter(
            "references", "Pictures that are stored elsewhere, by what fetching came to.", ["scheme", "outcome"], **made
        )
        self.reference_seconds = Histogram(
            "reference_seconds", "Seconds until a picture that is stored elsewhere was there.", buckets=_SECONDS, **made
        )
        self.aborted_commits = Counter(
            "aborted_commits", "Transactions that were undone and tried again, or left to a new owner.", **made
        )

        self.outputs_too_large = Counter(
            "outputs_too_large", "Outputs that were left out: their topic does not take them.", ["channel"], **made
        )
        self.predictions = Counter("predictions", "Predictions that became durable.", **made)
        self.dead_letters = Counter("dead_letters", "Events written to the dead letters.", ["stage"], **made)
        self.flood = Gauge(
            "dead_letters_flood", "1 while more of the newest events are bad than `dead_letters.max_share`.", **made
        )
        self.unexpected_errors = Counter(
            "unexpected_errors", "Events that failed with an error that nobody foresaw.", ["stage"], **made
        )
        self.tombstones = Counter("tombstones", "Records without a value, which were skipped.", **made)
        self.times_ahead = Counter(
            "event_times_ahead", "Events whose time was too far ahead and did not count.", **made
        )
        self.labels = Counter("labels", "Labels that arrived, by what became of them.", ["outcome"], **made)
        self.label_delay = Histogram(
            "label_delay_seconds",
            "Seconds from an event to its first label, of labels that came alone.",
            buckets=_DELAYS,
            **made,
        )
        self.waiting_events = Gauge("waiting_events", "Events that are kept for labels to come.", **made)
        self.waiting_labels = Gauge("waiting_labels", "Labels whose event is not known, or not yet.", **made)
        self.scored = Counter("scored", "Labelled events scored before they were learned.", ["group"], **made)
        self.correct = Counter("correct", "Scored events that a model had right.", ["group", "model"], **made)
        self.accuracy = Gauge(
            "accuracy_ratio", "Prequential accuracy over the newest scored events.", ["group", "model"], **made
        )
        self.shadow_scored = Counter("shadow_scored", "Events scored for the method in the shadow.", ["group"], **made)
        self.shadow_correct = Counter(
            "shadow_correct", "Scored events that the method in the shadow had right.", ["group"], **made
        )
        self.shadow_accuracy = Gauge(
            "shadow_accuracy_ratio", "Prequential accuracy of the method in the shadow.", ["group"], **made
        )

        self.anchors = Gauge("anchors", "Anchors in the store.", **made)
        self.anchors_budget = Gauge("anchors_budget", "Anchors from which on some are pruned.", **made)
        self.anchors_digest = Gauge(
            "anchors_digest", "48 bits of the digest of all anchors: equal on workers that hold the same ones.", **made
        )
        self.anchors_followed = Counter("anchors_followed", "Changes of anchors that others wrote.", **made)
        self.set_aside = Counter(
            "records_set_aside", "Records of its own topics that this worker cannot use.", ["reason"], **made
        )
        self.anchors_removed = Counter("anchors_removed", "Anchors removed, by reason.", ["reason"], **made)
        self.seen_classes = Gauge("seen_classes", "Classes that have anchors.", **made)
        self.classes = Gauge("classes", "Classes by what they are taken for.", ["kind"], **made)
        self.gate = Shares("stream_adapter_gate", "Nearness of an event to its nearest anchor.", self.registry)
        self.novelty = Shares(
            "stream_adapter_novelty",
            "Novelty of an event: 1 where neither vocabulary nor anchors explain it.",
            self.registry,
        )
        self.unknown = Counter(
            "unknown_verdicts", "Events called unknown or not, known class or any.", ["of", "verdict"], **made
        )
        self.pending = Gauge(
            "learner_pending_changes", "Changes of the anchors that predictions do not know yet.", **made
        )
        # With a label, so that there is no series before something was measured: 0 would be an alarm.
        self.index_recall = Gauge(
            "index_recall_ratio", "Recall of the index against exact search, sampled.", ["index"], **made
        )

        self.drift_alarms = Counter("drift_alarms", "Drift that was found, and what the guard did.", ["kind"], **made)
        self.drift_value = Gauge("drift_value", "What a question about drift is about.", ["kind", "group"], **made)
        self.drift_bound = Gauge(
            "drift_bound", "Where that value lies, as a confidence sequence.", ["kind", "group", "bound"], **made
        )
        self.drift_observed = Gauge(
            "drift_observed", "Events or labels that an answer rests on.", ["kind", "group"], **made
        )
        self.drift_enough = Gauge("drift_enough", "1 where these suffice for an answer.", ["kind", "group"], **made)
        self.guarded_classes = Gauge("guarded_classes", "Classes for which the guard holds the update back.", **made)
        self.guard_damping = Gauge("guard_damping", "Smallest share of the update that the guard lets through.", **made)
        self.guard_damping.set(1.0)

        self._lagging: frozenset[Partition] = frozenset()
        self.lag = Gauge("consumer_lag", "Records not yet read.", ["topic", "partition"], **made)
        self.assigned = Gauge("assigned_partitions", "Input partitions that this worker owns.", **made)
        self.rebalances = Counter("rebalances", "Changes of the partitions that this worker owns.", **made)
        self.progress_age = Gauge(
            "progress_age_seconds", "Seconds since the loop last finished a batch or had nothing to do.", **made
        )
        self.silent = Gauge(
            "transport_silent_seconds", "Seconds for which nobody has answered; 0 while all is well.", **made
        )
        self.ready = Gauge("ready", "1 when restored, warm and assigned.", **made)
        self.restored_anchors = Gauge("restored_anchors", "Anchors read back since the start.", **made)
        self.snapshot_age = Gauge("snapshot_age_seconds", "Seconds since the newest snapshot was the state.", **made)
        self.snapshot_interval = Gauge(
            "snapshot_interval_seconds", "Seconds from one snapshot to the next; 0 where none are taken.", **made
        )
        self.snapshots = Counter("snapshots", "Snapshots, by what became of them.", ["outcome"], **made)
        self.snapshot_seconds = Histogram(
            "snapshot_seconds", "Seconds that packing and writing a snapshot took.", buckets=_SECONDS, **made
        )
        self.snapshot_bytes = Gauge("snapshot_bytes", "Size of the newest snapshot.", **made)
        self.http_predictions = Counter("http_predictions", "Requests for predictions.", ["outcome"], **made)
        self.http_latency = Histogram(
            "http_prediction_seconds", "Seconds from a request for predictions to its answer.", buckets=_SECONDS, **made
        )
        self.http_compute = Counter("http_compute_seconds", "Seconds spent on answering requests.", **made)
        self.build = Info("build", "Version, encoder fingerprint and vocabulary hash.", **made)

        # A series that exists from the start shows a zero instead of a gap, and its first step counts: Prometheus takes
        # a counter that appears with 1 for one that always was 1.
        for stage in STAGES:
            for metric in (self.stage_items, self.stage_failed, self.stage_seconds, self.stage_in_progress):
                metric.labels(stage=stage)
        for declared, found in itertools.product(DECLARED_TYPES, FOUND_TYPES):
            self.pictures.labels(declared=declared, found=found)
        for of, verdict in itertools.product(("all", "known"), ("unknown", "known", "undecided")):
            self.unknown.labels(of=of, verdict=verdict)
        for scheme, outcome in itertools.product(SCHEMES, ("fetched", "failed", "retried")):
            self.references.labels(scheme=scheme, outcome=outcome)
        for group in GROUPS:
            for counter in (self.scored, self.shadow_scored, self.shadow_correct):
                counter.labels(group=group)
            for model in MODELS:
                self.correct.labels(group=group, model=model)
        for counter, label, values in (
            (self.dead_letters, "stage", REFUSING),
            (self.unexpected_errors, "stage", STAGES),
            (self.labels, "outcome", LABEL_OUTCOMES),
            (self.anchors_removed, "reason", REMOVALS),
            (self.drift_alarms, "kind", ALARMS),
            (self.set_aside, "reason", FOREIGN),
            (self.snapshots, "outcome", SNAPSHOT_OUTCOMES),
            (self.http_predictions, "outcome", HTTP_OUTCOMES),
            (self.outputs_too_large, "channel", CHANNELS),
        ):
            for value in values:
                counter.labels(**{label: value})

    @contextmanager
    def stage(self, name: str, items: int) -> Iterator[None]:
        """Count `items` into a stage, and time it; an exception counts them all as failed."""
        self.stage_items.labels(stage=name).inc(items)
        in_progress = self.stage_in_progress.labels(stage=name)
        in_progress.inc(items)
        started = time.perf_counter()
        try:
            yield
        except Exception:
            self.stage_failed.labels(stage=name).inc(items)
            raise
        finally:
            in_progress.dec(items)
            self.stage_seconds.labels(stage=name).observe(time.perf_counter() - started)

    def watch_progress(self, seconds_without_progress: Callable[[], float]) -> None:
        """Ask for the loop's progress at every scrape: a loop that is stuck cannot say so itself."""
        self.progress_age.set_function(seconds_without_progress)

    def set_kinds(self, numbers: Mapping[ClassKind, int]) -> None:
        """Show how many classes are taken for what."""
        for kind in KINDS:
            self.classes.labels(kind=kind).set(numbers.get(kind, 0))

    def count_unknown(self, of: Literal["all", "known"], unknown: NDArray[np.bool_] | None, events: int) -> None:
        """Count verdicts: bool (B,), or None of so many events while nobody can tell."""
        found = 0 if unknown is None else int(unknown.sum())
        self.unknown.labels(of=of, verdict="unknown").inc(found)
        self.unknown.labels(of=of, verdict="undecided" if unknown is None else "known").inc(events - found)

    def set_digest(self, digest: str) -> None:
        """Show as much of a hex digest as a double holds without rounding."""
        self.anchors_digest.set(int(digest[:12], 16))

    def set_drift(self, statuses: Iterable[DriftStatus], damping: NDArray[np.float32]) -> None:
        """Show where every question stands; (C,) `damping`: the share of the update that the guard lets through."""
        for metric in (self.drift_value, self.drift_bound):
            metric.clear()  # a question that has no number any more shows none
        for status in statuses:
            labels = {"kind": status.kind, "group": status.group}
            self.drift_observed.labels(**labels).set(status.observed)
            self.drift_enough.labels(**labels).set(status.enough)
            if status.value is not None:
                self.drift_value.labels(**labels).set(status.value)
            if status.interval is not None:
                self.drift_bound.labels(**labels, bound="low").set(status.interval.low)
                self.drift_bound.labels(**labels, bound="high").set(status.interval.high)
        self.guarded_classes.set(int((damping < 1.0).sum()))
        self.guard_damping.set(float(damping.min(initial=1.0)))

    def set_index(self, statistics: IndexStatistics) -> None:
        """Show how the search for nearest anchors is doing, as far as it was measured."""
        self.index_recall.clear()
        if statistics.recall is not None:
            self.index_recall.labels(index=statistics.kind).set(statistics.recall)

    def set_lag(self, lag: Mapping[Partition, int]) -> None:
        """Replace the lag of all partitions; one that moved to another worker disappears here."""
        for topic, partition in self._lagging - lag.keys():
            self.lag.remove(topic, str(partition))
        for (topic, partition), records in lag.items():
            self.lag.labels(topic=topic, partition=str(partition)).set(records)
        self._lagging = frozenset(lag)  # never cleared as a whole: a scrape in between would see none
        self.assigned.set(len(lag))
