"""Kafka topics as source, sink and changelog, and what commands need of them."""

from stream_adapter.transport.kafka.changelog import KafkaChangelog
from stream_adapter.transport.kafka.producing import produce, write_outputs
from stream_adapter.transport.kafka.sink import KafkaSink
from stream_adapter.transport.kafka.source import KafkaSource
from stream_adapter.transport.kafka.topics import ensure_topics

__all__ = [
    "KafkaChangelog",
    "KafkaSink",
    "KafkaSource",
    "ensure_topics",
    "produce",
    "write_outputs",
]
