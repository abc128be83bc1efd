"""The client's errors in our words; on real brokers in `tests/integration`."""

import pytest
from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    DelegationTokenAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ProducerFencedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)

from stream_adapter.config import KafkaConfig
from stream_adapter.errors import ConfigError, Fenced
from stream_adapter.transport.kafka.connection import Connection

CONNECTION = Connection(KafkaConfig(bootstrap_servers="k:9092", security={"sasl_plain_username": "anna"}))


@pytest.mark.parametrize(
    ("error", "operation", "right"),
    [
        (TopicAuthorizationFailedError({"b", "a"}), "Read", "Read on topic 'a' 'b' "),
        (TopicAuthorizationFailedError("a"), "Write", "Write on topic 'a' "),
        (TopicAuthorizationFailedError(), "Write", "Write on topic "),
        (TopicAuthorizationFailedError(7), "Write", "Write on topic "),
        (GroupAuthorizationFailedError("g"), "Write", "Read on group 'g' "),
        (TransactionalIdAuthorizationFailedError(), "Read", "Write on transactional id "),
        (ClusterAuthorizationFailedError("Request 'CreateTopics(…)' failed"), "Create", "Create on the cluster "),
        (DelegationTokenAuthorizationFailedError(), "Read", "Read on it "),
    ],
)
def test_a_missing_right_is_named_with_who_lacks_it(error: AuthorizationError, operation: str, right: str) -> None:
    said = str(CONNECTION.error_of("cannot do it", error, operation))
    assert said.startswith(f"cannot do it at k:9092: not authorized; grant User:anna {right}(docs/security.md")


def test_without_a_user_name_it_is_this_client() -> None:
    said = str(Connection(KafkaConfig()).forbidden("cannot do it", "Read on topic 'a'"))
    assert "grant this client's principal Read on topic 'a'" in said


def test_other_errors_say_what_to_do() -> None:
    assert isinstance(CONNECTION.error_of("x", ProducerFencedError()), Fenced)
    assert "create the topic" in str(CONNECTION.error_of("x", UnknownTopicOrPartitionError()))


def test_what_our_promises_rest_on_cannot_be_set() -> None:
    with pytest.raises(ConfigError, match=r"kafka\.producer\.acks: cannot be set"):
        Connection(KafkaConfig(producer={"acks": "0"}))


def test_a_codec_that_is_not_installed_is_said_with_the_extra_that_brings_it() -> None:
    error = UnsupportedCodecError("Libraries for zstd compression codec not found")
    said = str(Connection(KafkaConfig()).error_of("cannot read topic 'labels'", error))
    assert "zstd" in said and "pip install 'stream-adapter[page]'" in said
