"""A simulated fleet: real `Metrics` objects, moved as healthy workers move theirs, and what Prometheus scrapes of them.

Names, labels and first zeros are the worker's own, so a rule that asks for something that no worker exports finds
nothing here either.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from prometheus_client.metrics import MetricWrapperBase

from stream_adapter.drift.alarm import DriftStatus
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Partition

RATE = 20.0  # events a second and worker
LABELLED = 0.1
ACCURACY = {"labelled": (0.95, 0.88), "canary": (0.90, 0.89)}  # adapted, zero-shot
BATCH = 64
PARTITIONS = 6


class Worker:
    """One scrape target.

    Attributes:
        metrics: of its present process; another object after a restart.
        up: whether it answers a scrape.
        gone: whether service discovery knows it no more.
        ready: restored and assigned; only then it works.
        pace: its capacity, as a multiple of `RATE`.
        commits: whether what it computes becomes durable.
        stuck: whether its loop stands still.
        learns: whether labels take effect.
        disk: whether snapshots are written.
        bad: share of its events that go to the dead letters, by stage.
        accuracy: of adapted and zero-shot, by group.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.instance = f"worker-{number}:8080"
        self.up, self.gone = True, False
        self.ready = True
        self.pace = 5.0
        self.commits, self.stuck, self.learns, self.disk = True, False, True, True
        self.bad: dict[str, float] = {"decode": 0.0005, "label": 0.0005}
        self.accuracy = dict(ACCURACY)
        self.backlog = 0.0
        self.build = {"version": "0.1.0", "encoder": "e", "vocabulary": "v"}
        self.start(0.0)

    def start(self, now_s: float) -> None:
        """A new process."""
        self.metrics = Metrics()
        self._asked: list[MetricWrapperBase] = []
        self.started_s = now_s
        self.snapshot_s = now_s
        self.metrics.anchors_budget.set(100_000)
        self.metrics.snapshot_interval.set(300.0)

    def asked(self, wanted: set[str]) -> list[MetricWrapperBase]:
        """Those of its metrics that hold a series in question; a scrape of all would take ten times as long."""
        if not self._asked:
            all_metrics = [one for one in vars(self.metrics).values() if isinstance(one, MetricWrapperBase)]
            self._asked = [
                one for one in all_metrics if wanted & {s.name for family in one.collect() for s in family.samples}
            ]
        return self._asked


class Fleet:
    """Workers of one group.

    Attributes:
        now_s: seconds since the beginning.
        labels: whether labels come in.
        rate: events a second for each worker.
        anchors: in the anchors topic.
        learned: labels so far.

    Args:
        number: of workers.
        noise: whether everything scatters as in life; without it figures are what is expected of them.
        seed: of the noise.
    """

    def __init__(self, number: int = 3, *, noise: bool = False, seed: int = 0) -> None:
        self.workers = [Worker(position) for position in range(number)]
        self.now_s = 0.0
        self.labels = True
        self.rate = RATE
        self.anchors, self.learned = 20_000, 0.0
        self._rng = np.random.default_rng(seed)
        self._noise = noise

    def tick(self, seconds: float) -> None:
        """Let time go by."""
        self.now_s += seconds
        working = [worker for worker in self.workers if worker.up and not worker.gone and worker.ready]
        arrived = self._count(self.rate * seconds * len(self.workers))
        for worker in self.workers:
            if worker not in working:  # its partitions move to others
                for other in working:
                    other.backlog += worker.backlog / len(working)
                worker.backlog = 0.0 if working else worker.backlog
        for worker in working or self.workers:
            worker.backlog += arrived / len(working or self.workers)
        for position, worker in enumerate(working):
            if worker.stuck:
                worker.metrics.progress_age.inc(seconds)
            else:
                self._work(worker, seconds, list(range(position, PARTITIONS, len(working))))
        for worker in self.workers:
            if worker not in working:
                worker.metrics.ready.set(0)

    def _work(self, worker: Worker, seconds: float, partitions: list[int]) -> None:
        metrics = worker.metrics
        done = min(worker.backlog, worker.pace * RATE * seconds) if worker.commits else 0.0
        worker.backlog -= done
        behind = worker.backlog + (self._count(10) if self._noise else 0)
        shown = {Partition("images", p): round(behind / len(partitions)) for p in partitions}
        if metrics.ready._value.get() and set(shown) != set(worker_partitions(metrics)):
            metrics.rebalances.inc()
        metrics.set_lag(shown)
        metrics.ready.set(1)
        metrics.stage_in_progress.labels(stage="commit").set(0 if worker.commits else BATCH)
        metrics.progress_age.set(0.02)
        metrics.build.info(worker.build)
        for stage, share in worker.bad.items():
            metrics.dead_letters.labels(stage=stage).inc(self._count(done * share))
        metrics.predictions.inc(max(0.0, done - sum(done * share for share in worker.bad.values())))
        for _ in range(math.ceil(done / BATCH / 8)):  # one in eight: rates are the same, and it takes less time
            metrics.batch_latency.observe(float(self._rng.gamma(4.0, 0.03)) if self._noise else 0.1)
        self._learn(worker, done)
        metrics.set_drift([DriftStatus("harm", "overall", 800, True, 0.005)], np.ones(4, np.float32))
        metrics.index_recall.labels(index="hnsw").set(
            0.97 + (float(self._rng.normal(0, 0.008)) if self._noise else 0.0)
        )
        if self.now_s - worker.snapshot_s >= 300.0 and worker.disk:
            worker.snapshot_s = self.now_s
            metrics.snapshots.labels(outcome="written").inc()
        metrics.snapshot_age.set(self.now_s - worker.snapshot_s)

    def _learn(self, worker: Worker, done: float) -> None:
        metrics = worker.metrics
        labels = self._count(done * LABELLED) if self.labels else 0.0
        for group, share in (("labelled", 0.8), ("canary", 0.2)):
            scored = self._count(labels * share)
            metrics.scored.labels(group=group).inc(scored)
            for model, accuracy in zip(("adapted", "zero_shot"), worker.accuracy[group], strict=True):
                right = self._rng.binomial(int(scored), accuracy) if self._noise else scored * accuracy
                metrics.correct.labels(group=group, model=model).inc(right)
        if labels:
            self.anchors = min(100_000, self.anchors + round(labels * 0.1))
        waiting = self._rng.integers(0, 20) if self._noise and labels else 0
        metrics.pending.set(waiting if worker.learns else metrics.pending._value.get() + labels)
        metrics.anchors.set(self.anchors)
        # While labels come in, workers are some of them apart at any moment.
        self.learned += labels
        metrics.set_digest(f"{int(self.learned) + (worker.number if labels else 0):012x}")

    def _count(self, expected: float) -> float:
        return float(self._rng.poisson(expected)) if self._noise else expected


def worker_partitions(metrics: Metrics) -> list[Partition]:
    """The partitions that a worker shows lag for."""
    (family,) = metrics.lag.collect()
    return [Partition(one.labels["topic"], int(one.labels["partition"])) for one in family.samples]


Trouble = Callable[[Fleet], None]


def scraped(fleet: Fleet, trouble: Trouble, *, seconds: float, step_s: float, wanted: set[str]) -> list[dict[str, Any]]:
    """Run the fleet and scrape it: promtool's `input_series`.

    Args:
        fleet: just made.
        trouble: called at every step, after the fleet has moved and before it is scraped.
        seconds: how long.
        step_s: from one scrape to the next.
        wanted: names of series; others are left out, as no rule asks for them.
    """
    steps = int(seconds / step_s) + 1
    series: dict[str, list[str]] = {}

    def put(name: str, labels: dict[str, str], step: int, value: str) -> None:
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        column = series.setdefault(f"{name}{{{text}}}", [])
        column.extend("_" * (step - len(column)))
        column.append(value)

    before: set[str] = set()
    for step in range(steps):
        fleet.tick(step_s)
        trouble(fleet)
        now: set[str] = set()
        for worker in fleet.workers:
            target = {"job": "stream-adapter", "instance": worker.instance}
            if not worker.gone:
                put("up", target, step, str(int(worker.up)))
            if worker.gone or not worker.up:
                continue
            put("process_start_time_seconds", target, step, f"{worker.started_s:.0f}")
            for family in (family for metric in worker.asked(wanted) for family in metric.collect()):
                for sample in family.samples:
                    if sample.name in wanted:
                        put(sample.name, {**sample.labels, **target}, step, f"{sample.value:.6f}")
        now = {name for name, column in series.items() if len(column) == step + 1}
        for name in before - now:  # a target that does not answer, or a series that it no longer has
            series[name].append("stale")
        before = now
    return [{"series": name, "values": " ".join(column)} for name, column in series.items()]
