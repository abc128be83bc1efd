"""Kafka topics as source, sink and changelog."""

from stream_adapter.transport.kafka.changelog import KafkaAnchorChangelog
from stream_adapter.transport.kafka.sink import Delivery, KafkaSink
from stream_adapter.transport.kafka.source import KafkaSource
from stream_adapter.transport.kafka.topics import TopicSpec, ensure_topics, topic_specs

__all__ = [
    "Delivery",
    "KafkaAnchorChangelog",
    "KafkaSink",
    "KafkaSource",
    "TopicSpec",
    "ensure_topics",
    "topic_specs",
]
