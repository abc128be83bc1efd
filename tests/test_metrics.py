"""What Prometheus sees of a worker before anything has happened, and of one that has stopped."""

from collections.abc import Callable
from typing import get_args

import pytest
from prometheus_client import Counter

from stream_adapter.adapter.anchors.results import IndexStatistics
from stream_adapter.drift.alarm import AlarmKind
from stream_adapter.errors import EventError, UnexpectedFailure
from stream_adapter.metrics import ALARMS, REFUSING, Metrics


def test_every_counter_begins_with_a_zero_that_rate_can_count_from() -> None:
    metrics = Metrics()
    counters = [value for value in vars(metrics).values() if isinstance(value, Counter)]
    assert len(counters) > 10
    for counter in counters:
        samples = [sample for family in counter.collect() for sample in family.samples]
        values = [sample.value for sample in samples if sample.name.endswith("_total")]
        assert values, f"{counter} has no series before its first step, so the first step is never counted"
        assert set(values) == {0.0}


def test_the_values_of_labels_are_those_that_the_code_gives() -> None:
    assert {*ALARMS, "status"} == set(get_args(AlarmKind))
    assert set(REFUSING) == {"parse", "fetch", "decode", "encode", "label", "predict", "explain", "learn", "commit"}
    kinds = set(EventError.__subclasses__()) - {UnexpectedFailure}  # of any stage
    assert all(error.stage in REFUSING for error in kinds)


def test_recall_has_no_series_before_it_was_measured_and_none_where_search_is_exact() -> None:
    """Else a young worker would show a recall of 0, and somebody would be called."""
    metrics = Metrics()

    def shown() -> list[float]:
        (family,) = metrics.index_recall.collect()
        return [sample.value for sample in family.samples]

    assert shown() == []
    metrics.set_index(IndexStatistics("hnsw", live=10))
    assert shown() == []
    metrics.set_index(IndexStatistics("hnsw", live=10, recall=0.97))
    assert shown() == [0.97]
    metrics.set_index(IndexStatistics("exact", live=10))
    assert shown() == []


@pytest.mark.parametrize(
    ("step", "series"),
    [
        (lambda m: m.dead_letters.labels(stage="decode").inc(), "dead_letters"),
        (lambda m: m.drift_alarms.labels(kind="harm").inc(), "drift_alarms"),
        (lambda m: m.labels.labels(outcome="learned").inc(), "labels"),
        (lambda m: m.anchors_removed.labels(reason="class_budget").inc(), "anchors_removed"),
        (lambda m: m.snapshots.labels(outcome="failed").inc(), "snapshots"),
    ],
)
def test_a_step_makes_no_series_that_was_not_there(step: Callable[[Metrics], None], series: str) -> None:
    metrics = Metrics()

    def shown() -> int:
        (family,) = getattr(metrics, series).collect()
        return len(family.samples)

    before = shown()
    step(metrics)
    assert shown() == before


def test_progress_is_asked_for_at_every_scrape() -> None:
    metrics = Metrics()
    ages = iter([1.0, 130.0])
    metrics.watch_progress(lambda: next(ages))
    read = [metrics.registry.get_sample_value("stream_adapter_progress_age_seconds") for _ in range(2)]
    assert read == [1.0, 130.0], "the age grows though nobody sets it"
