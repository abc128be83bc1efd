import math

import numpy as np
import pytest

from stream_adapter.drift.alarm import DriftStatus
from stream_adapter.drift.confidence_sequence import Interval
from stream_adapter.metrics import Metrics
from stream_adapter.page.figures import COLUMNS, Figures, sample_of
from stream_adapter.transport.base import Partition
from tests.fakes import FakeClock


def test_a_worker_that_has_seen_nothing_has_no_figures_but_zeros() -> None:
    figures = Figures(Metrics(), FakeClock()).take()
    assert figures["throughput"]["events_per_s"] is None
    assert figures["throughput"]["lag"] is None
    assert figures["anchors"] == {
        "number": 0, "restored": 0, "digest": "0" * 12, "pending": 0, "index_recall": None,
    }  # fmt: skip
    assert all(line["adapted"] is None for line in figures["accuracy"])
    assert figures["drift"]["questions"] == []
    sample = sample_of(figures)
    assert len(sample) == len(COLUMNS)
    assert math.isnan(sample[COLUMNS.index("events_per_s")])


def test_rates_are_over_the_last_seconds() -> None:
    metrics, clock = Metrics(), FakeClock()
    figures = Figures(metrics, clock)
    figures.take()
    for _ in range(10):
        clock.now_s += 1.0
        metrics.predictions.inc(200)
        metrics.labels.labels(outcome="learned").inc(20)
        metrics.batch_latency.observe(0.25)
        throughput = figures.take()["throughput"]
    assert throughput["events_per_s"] == pytest.approx(200)
    assert throughput["labels_per_s"] == pytest.approx(20)
    assert throughput["latency_ms"] == pytest.approx(250)
    for _ in range(6):
        clock.now_s += 1.0
        throughput = figures.take()["throughput"]
    assert (throughput["events_per_s"], throughput["latency_ms"]) == (0.0, None)


def test_figures_are_those_of_the_metrics() -> None:
    metrics = Metrics()
    metrics.set_lag({Partition("images", 0): 30, Partition("images", 1): 12})
    metrics.accuracy.labels(group="canary", model="adapted").set(0.75)
    metrics.scored.labels(group="canary").inc(8)
    metrics.set_kinds({"labelled": 3, "present": 2, "dormant": 1})
    metrics.set_digest("abcdef012345ffff")
    metrics.dead_letters.labels(stage="decode").inc(2)
    interval = Interval(-0.2, 0.05, 0.99)
    statuses = [DriftStatus("harm", "overall", 60, True, -0.1, interval), DriftStatus("novelty", "overall", 5, False)]
    metrics.set_drift(statuses, np.array([1.0, 0.25], np.float32))
    figures = Figures(metrics, FakeClock()).take()
    assert figures["throughput"]["lag"] == 42
    assert figures["throughput"]["partitions"] == 2
    assert figures["throughput"]["dead_letters"] == 2
    assert {"group": "canary", "scored": 8, "adapted": 0.75, "zero_shot": None} in figures["accuracy"]
    assert figures["classes"] == {"labelled": 3, "present": 2, "dormant": 1}
    assert figures["anchors"]["digest"] == "abcdef012345"
    assert (figures["drift"]["guarded_classes"], figures["drift"]["lowest_damping"]) == (1, 0.25)
    harm, novelty = figures["drift"]["questions"]
    assert harm == {
        "kind": "harm", "group": "overall", "observed": 60, "enough": True, "value": -0.1, "low": -0.2, "high": 0.05,
    }  # fmt: skip
    assert (novelty["enough"], novelty["value"], novelty["low"]) == (False, None, None)
