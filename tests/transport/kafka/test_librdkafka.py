"""The part of kafka-python's interface that librdkafka is put behind; against a real broker in tests/integration."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import confluent_kafka
import pytest
from kafka import TopicPartition
from kafka.errors import (
    FencedInstanceIdError,
    KafkaConfigurationError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
)

from stream_adapter.transport.base import UNREADABLE
from stream_adapter.transport.kafka import librdkafka

CODES = confluent_kafka.KafkaError


@pytest.mark.parametrize(
    ("code", "kind", "passes"),
    [
        (CODES.MSG_SIZE_TOO_LARGE, MessageSizeTooLargeError, False),
        (CODES._TIMED_OUT, KafkaTimeoutError, True),
        (CODES._MSG_TIMED_OUT, KafkaTimeoutError, True),
        (CODES._ALL_BROKERS_DOWN, KafkaConnectionError, True),
        (CODES._TRANSPORT, KafkaConnectionError, True),
        (CODES._FENCED, ProducerFencedError, False),
        (CODES._INVALID_ARG, KafkaError, False),
        (CODES._FATAL, KafkaError, False),
    ],
)
def test_errors_are_kafka_python_s(code: int, kind: type[KafkaError], passes: bool) -> None:
    error = librdkafka._translated(CODES(code, "said"))
    assert type(error) is kind and error.retriable is passes and "said" in str(error)


def test_a_fatal_error_that_says_fenced_is_one() -> None:
    error = librdkafka._translated(CODES(CODES._FATAL, "Static consumer fenced by other consumer"))
    assert isinstance(error, FencedInstanceIdError)


def test_options_come_by_kafka_python_s_names() -> None:
    given = {
        "bootstrap_servers": ["a:1", "b:2"],
        "bootstrap_timeout_ms": 5,
        "group_instance_id": None,
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
        "ssl_cafile": "/ca",
        "ssl_check_hostname": False,
        "max_request_size": 7,
        "session_timeout_ms": 6_000,
    }
    assert librdkafka._options(given) == {
        "bootstrap.servers": "a:1,b:2",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
        "ssl.ca.location": "/ca",
        "ssl.endpoint.identification.algorithm": "none",
        "message.max.bytes": 7,
        "session.timeout.ms": 6_000,
    }


@pytest.mark.parametrize("client", [librdkafka.Consumer, librdkafka.Producer])
def test_an_option_that_is_none_is_named_as_it_was_given(client: Any) -> None:
    with pytest.raises(KafkaConfigurationError, match="'no_such_option'"):
        client(bootstrap_servers=["localhost:1"], delivery_timeout_ms=1_000, group_id="g", no_such_option=1)


class Message:
    """As confluent-kafka's."""

    def __init__(self, offset: int, value: bytes = b"v", *, error: Any = None, headers: Any = None) -> None:
        self._offset, self._value, self._error, self._headers = offset, value, error, headers

    def error(self) -> Any:
        return self._error

    def topic(self) -> str:
        return "images"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def timestamp(self) -> tuple[int, int]:
        return confluent_kafka.TIMESTAMP_CREATE_TIME, 5

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> Any:
        if isinstance(self._headers, Exception):
            raise self._headers
        return self._headers


class Native:
    """A client whose messages are made up; remembers what it was told."""

    def __init__(self, messages: Iterator[Message]) -> None:
        self._messages = messages
        self.told: list[tuple[str, Any]] = []

    def poll(self, timeout: float) -> Message | None:
        return next(self._messages, None)

    def consume(self, number: int, timeout: float) -> list[Message]:
        return list(islice(self._messages, number))

    def assignment(self) -> list[Any]:
        return [confluent_kafka.TopicPartition("images", 0)]

    def pause(self, partitions: Any) -> None:
        self.told.append(("pause", len(partitions)))

    def resume(self, partitions: Any) -> None:
        self.told.append(("resume", len(partitions)))

    def seek(self, at: Any) -> None:
        self.told.append(("seek", at.offset))

    def assign(self, partitions: Any) -> None:
        self.told.append(("assign", [at.offset for at in partitions]))


AT = TopicPartition("images", 0)


def consumer(monkeypatch: pytest.MonkeyPatch, messages: Iterator[Message]) -> tuple[librdkafka.Consumer, Native]:
    native = Native(messages)
    monkeypatch.setattr(librdkafka, "_made", lambda *_: native)
    return librdkafka.Consumer(), native


def offsets(made: librdkafka.Consumer, most: int = 10) -> list[int]:
    return [record.offset for record in made.poll(0, most).get(AT, [])]


def test_what_is_paused_waits_here_and_the_client_is_stopped_only_where_that_is_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, native = consumer(monkeypatch, (Message(n) for n in range(5_000)))
    made.pause(AT)
    for _ in range(300):
        assert offsets(made) == []
    assert made._held <= librdkafka._AHEAD + 300, "it goes on only for messages that were on their way"
    assert native.told == [("pause", 1)]
    made.resume(AT)
    found: list[int] = []
    while len(found) < 5_000:
        found += offsets(made, 64)
    assert found == list(range(5_000))
    assert native.told[1] == ("resume", 1)
    assert made.position(AT, 0) == 5_000


def test_an_error_loses_no_record_that_came_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Message(0, error=CODES(CODES._TRANSPORT, "gone"))
    made, _ = consumer(monkeypatch, iter([Message(0), broken, Message(1)]))
    with pytest.raises(KafkaConnectionError):
        made.poll(0, 10)
    assert offsets(made) == [0, 1]


def test_a_header_that_is_no_text_makes_a_record_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    made, _ = consumer(monkeypatch, iter([Message(0, headers=bad), Message(1, headers=[("a", None)])]))
    first, second = made.poll(0, 10)[AT]
    assert first.value is None and dict(first.headers).keys() == {UNREADABLE}
    assert second.headers == (("a", b""),)


def test_partitions_by_hand_begin_where_they_are_to(monkeypatch: pytest.MonkeyPatch) -> None:
    end = Message(9, error=CODES(CODES._PARTITION_EOF, "end"))
    made, native = consumer(monkeypatch, iter([Message(7), end]))
    made.assign([AT])
    made.seek(AT, 7)
    assert made.position(AT, 0) == 7
    assert offsets(made) == [7]
    assert made.position(AT, 0) == 9, "the marks of transactions are behind what was read"
    made.seek(AT, 3)
    offsets(made)
    assert native.told == [("assign", [7]), ("assign", [3])]


def test_what_a_seek_leaves_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made, native = consumer(monkeypatch, iter([Message(0), Message(1)]))
    assert offsets(made, 1) == [0]
    made.poll(0, 0)
    made.seek(AT, 8)
    assert offsets(made) == [] and native.told == [("seek", 8)]
    assert made.position(AT, 0) == 8
