"""The numbers on the page, read off the metrics: those of `/metrics`, at no cost for the adapter's thread."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client.metrics import MetricWrapperBase

from stream_adapter.metrics import GROUPS, KINDS, MODELS, Metrics

# A rate over less would jump with every batch, one over more would lag behind.
_RATE_OVER_S = 4.0

COLUMNS = (
    "events_per_s",
    "labels_per_s",
    "lag",
    "latency_ms",
    "anchors",
    "guarded_classes",
    *(f"{model}_{group}" for group in GROUPS for model in MODELS),
)
"""What a sample of the history holds."""

Values = dict[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counters of one moment, from which rates are made."""

    time_s: float
    events: float
    labels: float
    batches: float
    latency_s: float


class Figures:
    """Samples the metrics; belongs to the page's thread."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._clock = clock
        self._earlier: list[_Counts] = []

    def take(self) -> dict[str, Any]:
        """All figures as of now, JSON; rates are over the last few seconds, None before there are any."""
        metrics = self._metrics
        rates = self._rates()
        lag = _values(metrics.lag)
        kinds = _values(metrics.classes)
        accuracy, scored = _values(metrics.accuracy), _values(metrics.scored, "_total")
        return {
            "throughput": {
                **rates,
                "lag": sum(lag.values()) if lag else None,
                "partitions": int(_one(metrics.assigned)),
                "predictions": int(_one(metrics.predictions, "_total")),
                "dead_letters": int(sum(_values(metrics.dead_letters, "_total").values())),
                "labels": {key[0]: int(number) for key, number in _values(metrics.labels, "_total").items()},
            },
            "anchors": {
                "number": int(_one(metrics.anchors)),
                "restored": int(_one(metrics.restored_anchors)),
                "digest": f"{int(_one(metrics.anchors_digest)):012x}",
                "pending": int(_one(metrics.pending)),
                "index_recall": next(iter(_values(metrics.index_recall).values()), None),
            },
            "classes": {kind: int(kinds.get((kind,), 0)) for kind in KINDS},
            "accuracy": [
                {
                    "group": group,
                    "scored": int(scored.get((group,), 0)),
                    **{model: accuracy.get((group, model)) for model in MODELS},
                }
                for group in GROUPS
            ],
            "drift": {
                "questions": self._questions(),
                "guarded_classes": int(_one(metrics.guarded_classes)),
                "lowest_damping": _one(metrics.guard_damping),
            },
        }

    def _rates(self) -> dict[str, float | None]:
        now = self._counts()
        self._earlier = [one for one in self._earlier if now.time_s - one.time_s <= _RATE_OVER_S + 0.5]
        then = self._earlier[0] if self._earlier else None
        self._earlier.append(now)
        if then is None or now.time_s - then.time_s < 0.5:
            return {"events_per_s": None, "labels_per_s": None, "latency_ms": None}
        seconds, batches = now.time_s - then.time_s, now.batches - then.batches
        return {
            "events_per_s": (now.events - then.events) / seconds,
            "labels_per_s": (now.labels - then.labels) / seconds,
            "latency_ms": 1e3 * (now.latency_s - then.latency_s) / batches if batches else None,
        }

    def _counts(self) -> _Counts:
        latency = {sample.name: sample.value for sample in _samples(self._metrics.batch_latency)}
        name = "stream_adapter_batch_latency_seconds"
        return _Counts(
            self._clock(),
            _one(self._metrics.predictions, "_total"),
            sum(_values(self._metrics.labels, "_total").values()),
            latency.get(f"{name}_count", 0.0),
            latency.get(f"{name}_sum", 0.0),
        )

    def _questions(self) -> list[dict[str, Any]]:
        metrics = self._metrics
        value, bound = _values(metrics.drift_value), _values(metrics.drift_bound)
        observed, enough = _values(metrics.drift_observed), _values(metrics.drift_enough)
        return [
            {
                "kind": kind,
                "group": group,
                "observed": int(number),
                "enough": bool(enough.get((kind, group), 0.0)),
                "value": value.get((kind, group)),
                "low": bound.get((kind, group, "low")),
                "high": bound.get((kind, group, "high")),
            }
            for (kind, group), number in observed.items()
        ]


def sample_of(figures: dict[str, Any]) -> list[float]:
    """The figures that the history keeps, in the order of `COLUMNS`; NaN where there is none."""
    throughput = figures["throughput"]
    by_group = {line["group"]: line for line in figures["accuracy"]}
    chosen = [
        throughput["events_per_s"],
        throughput["labels_per_s"],
        throughput["lag"],
        throughput["latency_ms"],
        figures["anchors"]["number"],
        figures["drift"]["guarded_classes"],
        *(by_group[group][model] for group in GROUPS for model in MODELS),
    ]
    return [float("nan") if value is None else float(value) for value in chosen]


def _samples(metric: MetricWrapperBase) -> list[Any]:
    return [sample for family in metric.collect() for sample in family.samples]


def _values(metric: MetricWrapperBase, suffix: str = "") -> Values:
    """Label values, in the metric's own order of labels, to the value; `suffix` tells a counter from its birthday."""
    samples = _samples(metric)
    return {tuple(one.labels.values()): one.value for one in samples if not suffix or one.name.endswith(suffix)}


def _one(metric: MetricWrapperBase, suffix: str = "") -> float:
    return float(_values(metric, suffix).get((), 0.0))
