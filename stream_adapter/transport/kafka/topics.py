"""The topics the worker needs: how each is made, and whether they are there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kafka.admin import ConfigResource
from kafka.errors import KafkaError, TopicAlreadyExistsError

from stream_adapter.config import KafkaConfig, KafkaTopics
from stream_adapter.errors import TransportError
from stream_adapter.transport.kafka.connection import Connection

# The largest picture that the default configuration takes is 20 MB; a dead letter is that picture and its reasons.
_LARGEST_PICTURE = 20 * 2**20
_REASONS = 2**16


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is to be made.

    Attributes:
        name: the topic's name.
        partitions: number of partitions.
        settings: topic settings, by Kafka's names.
    """

    name: str
    partitions: int
    settings: Mapping[str, str] = field(default_factory=dict)


def topic_specs(topics: KafkaTopics, *, partitions: int = 4) -> tuple[TopicSpec, ...]:
    """The worker's topics.

    Args:
        topics: their names.
        partitions: partitions of images and predictions: the largest number of workers that can share the work.
    """
    day_ms = 24 * 3_600_000
    return (
        TopicSpec(topics.images, partitions, {"max.message.bytes": str(_LARGEST_PICTURE)}),
        TopicSpec(topics.predictions, partitions),
        # The state. One partition gives every worker the same order. Small segments and an eager cleaner keep a restore
        # short: only closed segments are compacted. Deletions stay for a week, so that a worker that lagged sees them.
        TopicSpec(
            topics.anchors,
            1,
            {
                "cleanup.policy": "compact",
                "segment.bytes": str(64 * 2**20),
                "segment.ms": str(day_ms),
                "min.cleanable.dirty.ratio": "0.2",
                "delete.retention.ms": str(7 * day_ms),
            },
        ),
        # A dead letter has its original's time: retention by time would delete the letters of old events at once.
        TopicSpec(
            topics.dead_letters,
            1,
            {"max.message.bytes": str(_LARGEST_PICTURE + _REASONS), "retention.ms": "-1"},
        ),
    )


def ensure_topics(config: KafkaConfig, *, partitions: int = 4, replication_factor: int = -1) -> list[str]:
    """Create the worker's topics that do not exist yet; existing ones are left as they are.

    Args:
        config: connection and topic names.
        partitions: see `topic_specs`.
        replication_factor: replicas of each partition; −1 is the cluster's default.

    Returns:
        The names of those that were created.

    Raises:
        TransportError: no broker answers, or it refused.
    """
    return create_topics(
        Connection(config), topic_specs(config.topics, partitions=partitions), replication_factor=replication_factor
    )


def create_topics(connection: Connection, specs: Iterable[TopicSpec], *, replication_factor: int = -1) -> list[str]:
    """Create those of `specs` that do not exist yet; see `ensure_topics`."""
    admin = connection.admin()
    created = []
    try:
        for spec in specs:
            request = {
                "num_partitions": spec.partitions,
                "replication_factor": replication_factor,
                "configs": dict(spec.settings),
            }
            with connection.errors_of(f"cannot create topic {spec.name!r}"):
                try:
                    admin.create_topics({spec.name: request}, wait_for_metadata=True)
                except TopicAlreadyExistsError:
                    continue
            created.append(spec.name)
    finally:
        admin.close()
    return created


def require_topics(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """The number of partitions of each topic.

    Raises:
        TransportError: no broker answers, or topics do not exist; the message names all that are missing.
    """
    wanted = list(names)
    admin = connection.admin()
    try:
        with connection.errors_of(f"cannot look up topics {', '.join(wanted)}"):
            found = {topic["name"]: topic for topic in admin.describe_topics(wanted)}
    finally:
        admin.close()
    missing = [name for name in wanted if name not in found or not found[name]["partitions"]]
    if missing:
        topics = "topic " if len(missing) == 1 else "topics "
        raise TransportError(
            f"{topics}{', '.join(map(repr, missing))} not found at {connection.servers}; run "
            "`stream-adapter topics create`, or correct the names in `kafka.topics`"
        )
    return {name: len(found[name]["partitions"]) for name in wanted}


def topic_identity(connection: Connection, name: str) -> str:
    """The topic's id (KIP-516): one that is deleted and made anew has another; its name where brokers give no ids.

    Raises:
        TransportError: no broker answers.
    """
    admin = connection.admin()
    try:
        with connection.errors_of(f"cannot look up topic {name!r}"):
            (topic,) = admin.describe_topics([name])
    finally:
        admin.close()
    return str(topic.get("topic_id", name))


def max_message_bytes(connection: Connection, name: str) -> int | None:
    """The largest record batch that the topic takes, in bytes; None where the worker may not ask."""
    admin = connection.admin()
    try:
        answer = admin.describe_configs([ConfigResource("topic", name, ["max.message.bytes"])], config_filter="all")
        return int(answer["topic"][name]["max.message.bytes"]["value"])
    except (KafkaError, KeyError):
        return None
    finally:
        admin.close()
