"""How topics are asked for, by a stand-in for the administrator's client; real ones in `tests/integration`."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from stream_adapter.config import KafkaConfig, KafkaTopics
from stream_adapter.errors import TransportError
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import create_topics, topic_specs


class Admin(Connection):
    """A cluster with a default replication factor that takes every topic; connection and client in one."""

    def __init__(self, default: str | None) -> None:
        super().__init__(KafkaConfig())
        self._default = default
        self.made: dict[str, dict[str, Any]] = {}

    @contextlib.contextmanager
    def admin(self) -> Iterator[Any]:
        yield self

    @contextlib.contextmanager
    def errors_of(self, what: str, operation: str = "Read") -> Iterator[None]:
        yield

    def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
        return [{"name": name, "error_code": 3, "partitions": []} for name in topics]

    def create_topics(self, topics: dict[str, dict[str, Any]], *, wait_for_metadata: bool) -> None:
        self.made |= topics

    def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [{"broker_id": 7}]}

    def describe_configs(self, resources: Any, config_filter: str) -> dict[str, Any]:
        settings = {} if self._default is None else {"default.replication.factor": {"value": self._default}}
        return {"broker": {"7": settings}}


@pytest.mark.parametrize(
    ("asked", "default", "insync"),
    [(3, "1", "2"), (5, "1", "2"), (2, "3", None), (1, "3", None), (-1, "3", "2"), (-1, "1", None)],
)
def test_two_of_three_replicas_must_have_what_counts_as_written(asked: int, default: str, insync: str | None) -> None:
    admin = Admin(default)
    created = create_topics(admin, topic_specs(KafkaTopics(), partitions=6), replication_factor=asked)
    names = ["images", "predictions", "anchors", "classes", "dead-letters", "drift", "labels", "waiting", "to-label"]
    assert created == names
    for request in admin.made.values():
        assert request["configs"].get("min.insync.replicas") == insync
        assert request["replication_factor"] == asked
    assert [request["num_partitions"] for request in admin.made.values()] == [6, 6, 1, 1, 1, 1, 1, 6, 1]


def test_who_may_not_ask_for_the_default_must_give_a_number() -> None:
    admin = Admin(None)
    with pytest.raises(TransportError, match=r"give one, .* grant .* DescribeConfigs on the cluster"):
        create_topics(admin, topic_specs(KafkaTopics()))
    assert admin.made == {}
    create_topics(admin, topic_specs(KafkaTopics()), replication_factor=3)
    assert len(admin.made) == 9
