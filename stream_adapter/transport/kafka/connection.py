"""Making kafka-python's clients from the configuration, and its errors into ours."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import (
    AuthorizationError,
    ClusterAuthorizationFailedError,
    FencedInstanceIdError,
    GroupAuthorizationFailedError,
    InvalidProducerEpochError,
    KafkaConfigurationError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedCodecError,
)

from stream_adapter.config import KafkaConfig
from stream_adapter.errors import ConfigError, Fenced, TransportError, Unreachable
from stream_adapter.transport.kafka.diagnosis import Refusal, why_no_answer
from stream_adapter.transport.kafka.record_batches import read_whole_batches
from stream_adapter.transport.kafka.tokens import KEY, token_provider

# What the worker's guarantees rest on; a configuration that sets one of these would break them.
_OURS = {
    "consumer": {
        "bootstrap_servers": "set `kafka.bootstrap_servers`",
        "group_id": "set `kafka.group_id`",
        "group_instance_id": "set `kafka.group_instance_id`",
        "auto_offset_reset": "set `kafka.auto_offset_reset`",
        "session_timeout_ms": "set `kafka.session_timeout_ms`",
        "max_poll_interval_ms": "set `kafka.max_poll_interval_ms`",
        "enable_auto_commit": "positions are committed with the outputs",
        "partition_assignment_strategy": "the group is cooperative-sticky",
        "key_deserializer": "records are read as bytes",
        "value_deserializer": "records are read as bytes",
    },
    "producer": {
        "bootstrap_servers": "set `kafka.bootstrap_servers`",
        "acks": "outputs are acknowledged by all replicas",
        "enable_idempotence": "outputs are written once",
        "transactional_id": "it follows from the worker's identity",
        "key_serializer": "records are written as bytes",
        "value_serializer": "records are written as bytes",
    },
}

# An outage of a second must not keep a client away for the 30 s that kafka-python would back off at most.
_RECONNECT = {"reconnect_backoff_max_ms": 2_000}
# Pictures are larger than Kafka's defaults expect: 1 MiB a partition is 50 of them, a batch of 16 KiB less than one.
_CONSUMER = {
    "max_partition_fetch_bytes": 4 * 2**20,
    "isolation_level": "read_committed",
    # So often it is asked which partitions there are: new ones wait for that, and 5 minutes are long.
    "metadata_max_age_ms": 10_000,
}
_PRODUCER = {
    "batch_size": 262_144,
    "linger_ms": 5,
    "max_request_size": 21 * 2**20,
    # A transaction's first request is refused until the one before it has its marks, a few milliseconds later; as soon
    # as Java's clients ask again in that case.
    "retry_backoff_ms": 20,
}
_RETRY_AFTER_S = 0.2

# What an authorization error is about, and the operation that is missing where it does not depend on what was done.
_RESOURCES: dict[type[BaseException], tuple[str, str]] = {
    TopicAuthorizationFailedError: ("topic", ""),
    GroupAuthorizationFailedError: ("group", "Read"),
    TransactionalIdAuthorizationFailedError: ("transactional id", "Write"),
    ClusterAuthorizationFailedError: ("the cluster", ""),
}

T = TypeVar("T")


class Connection:
    """Makes clients for one cluster.

    Args:
        start_timeout_s: seconds to wait for a first answer from the cluster.
        deadline_s: seconds that errors which may pass by themselves are retried before they count.
    """

    def __init__(self, config: KafkaConfig, *, start_timeout_s: float = 15.0, deadline_s: float = 45.0) -> None:
        problems = [
            f"kafka.{section}.{name}: cannot be set, {why}"
            for section, reserved in _OURS.items()
            for name, why in reserved.items()
            if name in getattr(config, section)
        ]
        if problems:
            raise ConfigError(problems)
        self.config = config
        self.deadline_s = deadline_s
        self._start_timeout_s = start_timeout_s

    @property
    def servers(self) -> str:
        """Where the cluster is, for messages."""
        return self.config.bootstrap_servers

    def why_no_answer(self) -> str:
        """What keeps a client from talking to the first broker at which something does; see `diagnosis`. Seconds."""
        security = self._security()
        return next(filter(None, (why_no_answer(server, security) for server in self._addresses)), "")

    @property
    def _addresses(self) -> list[str]:
        return [server.strip() for server in self.servers.split(",")]

    def _security(self) -> dict[str, Any]:
        """`kafka.security`, with the provider of tokens that it names."""
        security = dict(self.config.security)
        return security | ({KEY: token_provider(str(security[KEY]))} if KEY in security else {})

    def consumer(self, **ours: Any) -> KafkaConsumer:
        """A consumer that commits nothing by itself, reads what was committed, and whose `poll` gives `Record`s.

        Raises:
            TransportError: no broker answers, or an option is wrong.
        """
        options = {**_CONSUMER, **self.config.consumer, "enable_auto_commit": False, "allow_auto_create_topics": False}
        return read_whole_batches(self._make(KafkaConsumer, "kafka.consumer", {**options, **ours}))

    def producer(self, **ours: Any) -> KafkaProducer:
        """An idempotent producer that waits for all replicas.

        Raises:
            TransportError: no broker answers, or an option is wrong.
        """
        deadline_ms = int(self.deadline_s * 1000)
        times = {
            "request_timeout_ms": min(30_000, deadline_ms // 2),
            "delivery_timeout_ms": deadline_ms,
            "max_block_ms": deadline_ms,
        }
        safe = {"acks": "all", "enable_idempotence": True, "allow_auto_create_topics": False}
        return self._make(
            KafkaProducer, "kafka.producer", {**_PRODUCER, **times, **self.config.producer, **safe, **ours}
        )

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """An administrator's client, closed when the block ends.

        Raises:
            TransportError: no broker answers, or an option is wrong.
        """
        admin = self._make(KafkaAdminClient, "kafka.security", {})
        try:
            yield admin
        finally:
            admin.close()

    @contextmanager
    def errors_of(self, what: str, operation: str = "Read") -> Iterator[None]:
        """Turn the client's errors into a `TransportError` that says `what` failed, where, and what to do.

        Args:
            what: what fails, for the message.
            operation: what the principal must be allowed to do with the topic for this, by Kafka's name.

        Raises:
            TransportError: the client raised.
            Fenced: another worker has this one's identity.
        """
        try:
            yield
        except (KafkaError, OSError) as error:
            raise self.error_of(what, error, operation) from error

    def retried(self, what: str, call: Callable[[int], T]) -> T:
        """Call until there is an answer; errors that may pass by themselves count only after the deadline.

        kafka-python retries too, but now and then lets a refused connection through at once.

        Args:
            what: what fails, for the message.
            call: gets the milliseconds that are left.

        Raises:
            TransportError: the client raised.
            Fenced: another worker has this one's identity.
        """
        give_up_at = time.monotonic() + self.deadline_s
        while True:
            left_s = give_up_at - time.monotonic()
            try:
                return call(max(1, int(left_s * 1000)))
            except KafkaError as error:
                if not self.passes(error) or left_s <= _RETRY_AFTER_S:
                    raise self.error_of(what, error) from error
            time.sleep(_RETRY_AFTER_S)

    def error_of(self, what: str, error: BaseException, operation: str = "Read") -> TransportError:
        """The `TransportError` for an error of the client; arguments as those of `errors_of`."""
        if isinstance(error, AuthorizationError):
            kind, needed = _RESOURCES.get(type(error), ("it", operation))
            return self.forbidden(what, f"{needed or operation} on {kind}{_names(error)}")
        if isinstance(error, ProducerFencedError | InvalidProducerEpochError | FencedInstanceIdError):
            return Fenced(
                f"{what} at {self.servers}: another worker took over the identity of this one ({error}); give every "
                "worker its own `kafka.group_instance_id`, and start a successor only when this one has ended"
            )
        failed = Unreachable if self.passes(error) else TransportError
        return failed(f"{what} at {self.servers}: {error}; {_advice(error)}")

    def passes(self, error: BaseException) -> bool:
        """Whether the same may be answered, if it is asked again; tokens are renewed, passwords are not."""
        if isinstance(error, SaslAuthenticationFailedError):
            return KEY in self.config.security
        return isinstance(error, KafkaError) and error.retriable

    def forbidden(self, what: str, right: str) -> TransportError:
        """The `TransportError` for a right that is missing, such as "Write on topic 'predictions'"."""
        user = self.config.security.get("sasl_plain_username")
        principal = f"User:{user}" if user else "this client's principal"
        return TransportError(
            f"{what} at {self.servers}: not authorized; grant {principal} {right} (docs/security.md lists all rights)"
        )

    def _without_secrets(self, text: str) -> str:
        for name, value in self.config.security.items():
            if isinstance(value, str) and value and name not in ("security_protocol", "sasl_mechanism", KEY):
                text = text.replace(repr(value), "…").replace(value, "…")
        return text

    def _make(self, client: Any, section: str, options: Mapping[str, Any]) -> Any:
        given = {
            "bootstrap_servers": self._addresses,
            "bootstrap_timeout_ms": int(self._start_timeout_s * 1000),
            **_RECONNECT,
            **self._security(),
            **options,
        }
        try:
            return client(**given)
        except KafkaTimeoutError as error:
            why = self.why_no_answer() or "are `kafka.bootstrap_servers` and `kafka.security` right?"
            raise (TransportError if isinstance(why, Refusal) else Unreachable)(
                f"no Kafka broker answered at {self.servers} within {self._start_timeout_s:g} s: {why}"
            ) from error
        except (KafkaConfigurationError, ValueError, TypeError, AssertionError) as error:
            said = self._without_secrets(str(error))
            # Not `from error`: the client puts what it was given into some of its messages.
            raise TransportError(f"an option in `kafka.security` or `{section}` is wrong: {said}") from None
        except (KafkaError, OSError) as error:
            raise self.error_of("cannot connect to Kafka", error) from error


def _names(error: BaseException) -> str:
    """The resources that an authorization error names, to be put behind their kind; empty where it names none."""
    named = error.args[0] if error.args else ()
    if isinstance(named, str):
        named = () if named.startswith("Request ") else (named,)  # the client's whole request says less
    return "".join(f" {name!r}" for name in sorted(named)) if isinstance(named, Collection) else ""


def _advice(error: BaseException) -> str:
    if isinstance(error, UnsupportedCodecError):
        return "`pip install 'stream-adapter[page]'` brings it"
    if isinstance(error, SaslAuthenticationFailedError):
        return "correct the credentials in `kafka.security`"
    if isinstance(error, UnknownTopicOrPartitionError):
        return "create the topic, or correct its name in `kafka.topics`"
    if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        return "raise the topic's `max.message.bytes`"
    if isinstance(error, KafkaError) and error.retriable:
        return "is the broker up and reachable? What was not committed is read again after a restart"
    return "see the broker's log"
