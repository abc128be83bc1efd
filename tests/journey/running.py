"""Batches on their way through a processor, and what comes of them."""

import json
from typing import Any

from stream_adapter.journey.observing import DeletionRequest
from stream_adapter.journey.outcome import Outcome
from stream_adapter.journey.processor import Processor
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Partition, Record


def records(*pictures: dict[str, Any]) -> list[Record]:
    return [
        Record(Partition("images", 0), offset, 1_000 + offset, one["key"], one["value"], one["headers"])
        for offset, one in enumerate(pictures)
    ]


def run(processor: Processor, *pictures: dict[str, Any]) -> Outcome:
    return processor.finish(processor.encode(processor.prepare(records(*pictures))))


def outputs(outcome: Outcome, channel: str) -> list[Any]:
    return [record for record in outcome.commit.outputs if record.channel == channel]


def predictions(outcome: Outcome) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in outputs(outcome, "predictions")]


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"stream_adapter_{name}", labels) or 0.0


class Onlooker:
    """Remembers what it saw, and wants what is in `deletions` forgotten."""

    def __init__(self) -> None:
        self.batches: list[tuple[Any, Any, Any]] = []
        self.deletions: list[DeletionRequest] = []
        self.durable: list[Any] = []

    def on_batch(self, events: Any, pictures: Any, predictions: Any) -> None:
        self.batches.append((events, pictures, predictions))

    def poll(self) -> list[DeletionRequest]:
        deletions, self.deletions = self.deletions, []
        return deletions
