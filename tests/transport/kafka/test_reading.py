"""A reader that looks now and then whether its topic is still there, and is kept from nothing by it."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError

from stream_adapter.config import KafkaConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.kafka import reading
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.reading import TopicReader
from tests.integration.cluster import wait_for


class Consumer:
    """Answers about the end only when it is let."""

    def __init__(self) -> None:
        self.answering = threading.Event()
        self.asked = 0
        self.error: Exception | None = None

    def assign(self, partitions: list[TopicPartition]) -> None:
        pass

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        return {}

    def end_offsets(self, partitions: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        self.asked += 1
        assert self.answering.wait(20.0)
        if self.error is not None:
            raise self.error
        return dict.fromkeys(partitions, 0)


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Consumer]:
    made = Consumer()
    monkeypatch.setattr(reading, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(reading, "require_topics", lambda *_: {"topic": 1})
    monkeypatch.setattr(Connection, "consumer", lambda *_, **__: made)
    yield made
    made.answering.set()


def reader() -> TopicReader:
    return TopicReader(Connection(KafkaConfig(bootstrap_servers="nobody:1")), "topic")


def test_it_reads_on_while_nobody_answers_and_asks_once(consumer: Consumer) -> None:
    one = reader()
    assert [one.new() for _ in range(5)] == [[]] * 5
    assert consumer.asked == 1


def test_the_next_look_comes_after_the_answer(consumer: Consumer) -> None:
    one = reader()
    consumer.answering.set()
    wait_for(lambda: one.new() or consumer.asked >= 3)


def test_a_topic_that_is_gone_is_said_once_the_answer_is_there(consumer: Consumer) -> None:
    one, consumer.error = reader(), KafkaTimeoutError("no such topic")
    assert one.new() == []
    consumer.answering.set()
    with pytest.raises(TransportError, match="cannot read topic 'topic'"):
        wait_for(one.new)
    with pytest.raises(TransportError, match="cannot read topic 'topic'"):
        one.new()
    consumer.error = None
    assert one.new() == []
