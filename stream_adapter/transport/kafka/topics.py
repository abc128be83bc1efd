"""The topics the worker needs: how each is made, and whether they are there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.errors import TopicAlreadyExistsError, TopicAuthorizationFailedError

from stream_adapter.config import KafkaConfig, KafkaTopics
from stream_adapter.errors import TransportError
from stream_adapter.transport.kafka.connection import Connection

# The largest picture that the default configuration takes is 20 MB; a dead letter is that picture and its reasons.
LARGEST_PICTURE = 20 * 2**20
REASONS = 2**16
DAY_MS = 24 * 3_600_000

_HIDDEN = TopicAuthorizationFailedError.errno


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic is to be made; settings by Kafka's names."""

    name: str
    partitions: int
    settings: Mapping[str, str] = field(default_factory=dict)


def topic_specs(topics: KafkaTopics, *, partitions: int = 4) -> tuple[TopicSpec, ...]:
    """The worker's topics.

    Args:
        topics: their names.
        partitions: partitions of images and predictions: the largest number of workers that can share the work.
    """
    return (
        TopicSpec(topics.images, partitions, {"max.message.bytes": str(LARGEST_PICTURE)}),
        TopicSpec(topics.predictions, partitions),
        # The state. One partition gives every worker the same order. Small segments and an eager cleaner keep a restore
        # short: only closed segments are compacted. Deletions stay for a week, so that a worker that lagged sees them.
        # Nothing of the last day is compacted, so that every state since can be exported; the broker's time orders it,
        # because it only rises.
        TopicSpec(
            topics.anchors,
            1,
            {
                "cleanup.policy": "compact",
                "segment.bytes": str(64 * 2**20),
                "segment.ms": str(DAY_MS),
                "min.cleanable.dirty.ratio": "0.2",
                "min.compaction.lag.ms": str(DAY_MS),
                "delete.retention.ms": str(7 * DAY_MS),
                "message.timestamp.type": "LogAppendTime",
            },
        ),
        # What the classes are, read as a whole at every start. One partition gives every worker the same order.
        TopicSpec(
            topics.classes,
            1,
            {
                "cleanup.policy": "compact",
                "segment.ms": str(DAY_MS),
                "min.cleanable.dirty.ratio": "0.2",
                "message.timestamp.type": "LogAppendTime",
            },
        ),
        # A dead letter has its original's time: retention by time would delete the letters of old events at once.
        TopicSpec(
            topics.dead_letters,
            1,
            {"max.message.bytes": str(LARGEST_PICTURE + REASONS), "retention.ms": "-1"},
        ),
        # A drift event has the time of the events behind it, which may be old: it is kept by when it was written.
        TopicSpec(topics.drift, 1, {"retention.ms": str(30 * DAY_MS), "message.timestamp.type": "LogAppendTime"}),
        # Read by every worker as a whole, in one order; where a label was applied, it is not needed any more.
        TopicSpec(topics.labels, 1, {"retention.ms": str(30 * DAY_MS)}),
        # Bounded by the deletions that its owners write: without compaction it would hold every event that ever was.
        TopicSpec(
            topics.waiting,
            partitions,
            {
                "cleanup.policy": "compact",
                "segment.bytes": str(64 * 2**20),
                "segment.ms": str(DAY_MS // 24),
                "min.cleanable.dirty.ratio": "0.2",
                "delete.retention.ms": str(DAY_MS),
            },
        ),
        # Of each worker the newest list counts.
        TopicSpec(topics.to_label, 1, {"cleanup.policy": "compact", "segment.ms": str(DAY_MS)}),
    )


def ensure_topics(config: KafkaConfig, *, partitions: int = 4, replication_factor: int = -1) -> list[str]:
    """Create the worker's topics that do not exist yet; existing ones are left as they are.

    Returns:
        The names of those that were created.

    Raises:
        TransportError: no broker answers, or it refused.
    """
    return create_topics(
        Connection(config), topic_specs(config.topics, partitions=partitions), replication_factor=replication_factor
    )


def create_topics(connection: Connection, specs: Sequence[TopicSpec], *, replication_factor: int = -1) -> list[str]:
    """Create those of `specs` that do not exist yet; see `ensure_topics`."""
    created = []
    with connection.admin() as admin:
        # Also so that who may create but not look is told so; the client would wait for what it cannot see.
        known = describe_topics(connection, admin, [spec.name for spec in specs])
        replicas = _default_replicas(connection, admin) if replication_factor == -1 else replication_factor
        # Of three replicas two must have a record before it counts: one broker may fail and another be restarted.
        safe = {"min.insync.replicas": "2"} if replicas >= 3 else {}
        for spec in specs:
            if known[spec.name]["partitions"]:
                continue
            request = {
                "num_partitions": spec.partitions,
                "replication_factor": replication_factor,
                "configs": {**safe, **spec.settings},
            }
            with connection.errors_of(f"cannot create topic {spec.name!r}", "Create"):
                try:
                    admin.create_topics({spec.name: request}, wait_for_metadata=True)
                except TopicAlreadyExistsError:  # somebody was quicker
                    continue
                except TopicAuthorizationFailedError as error:  # it has the whole request in it, and not the name
                    raise TopicAuthorizationFailedError(spec.name) from error
            created.append(spec.name)
    return created


def require_topics(connection: Connection, names: Iterable[str], operation: str = "Read") -> dict[str, int]:
    """The number of partitions of each topic.

    Args:
        connection: the cluster.
        names: the topics.
        operation: what will be done with them, by Kafka's name; whoever may do it may also look them up.

    Raises:
        TransportError: no broker answers, topics may not be seen, or do not exist; the message names all of these.
    """
    wanted = list(names)
    with connection.admin() as admin:
        found = describe_topics(connection, admin, wanted, operation)
    missing = [name for name in wanted if name not in found or not found[name]["partitions"]]
    if missing:
        topics = "topic " if len(missing) == 1 else "topics "
        raise TransportError(
            f"{topics}{', '.join(map(repr, missing))} not found at {connection.servers}; run "
            "`stream-adapter topics create`, or correct the names in `kafka.topics`"
        )
    return {name: len(found[name]["partitions"]) for name in wanted}


def describe_topics(
    connection: Connection, admin: KafkaAdminClient, names: Sequence[str], operation: str = "Describe"
) -> dict[str, Any]:
    """What the cluster says about these topics, by name; those that do not exist are there without partitions.

    Raises:
        TransportError: no broker answers, or topics may not be seen: `operation` on them is then asked for.
    """
    what = f"cannot look up topics {', '.join(names)}"
    with connection.errors_of(what, operation):
        described = {topic["name"]: topic for topic in admin.describe_topics(list(names))}
    hidden = [name for name in names if name in described and described[name]["error_code"] == _HIDDEN]
    if hidden:
        raise connection.error_of(what, TopicAuthorizationFailedError(hidden), operation)
    return described


def topic_identity(connection: Connection, name: str) -> str:
    """The topic's id (KIP-516): one that is deleted and made anew has another; its name where brokers give no ids.

    Raises:
        TransportError: no broker answers.
    """
    with connection.admin() as admin:
        topic = describe_topics(connection, admin, [name])[name]
    return str(topic.get("topic_id", name))


def topic_setting(
    connection: Connection,
    name: str,
    setting: Literal["max.message.bytes", "delete.retention.ms", "min.compaction.lag.ms"],
) -> int:
    """A setting of a topic that is a number, by Kafka's name.

    Raises:
        TransportError: no broker answers, or it may not be asked for; going on without it would risk what it protects.
    """
    what = f"cannot read {setting} of topic {name!r}"
    with connection.admin() as admin, connection.errors_of(what, "DescribeConfigs"):
        answer = admin.describe_configs([ConfigResource("topic", name, [setting])], config_filter="all")
    settings = answer["topic"][name]
    if setting not in settings:  # kafka-python drops the refusal; every broker has these settings
        raise connection.forbidden(what, f"DescribeConfigs on topic {name!r}")
    return int(settings[setting]["value"])


def _default_replicas(connection: Connection, admin: KafkaAdminClient) -> int:
    """How many replicas the cluster gives a topic by default."""
    what = "cannot read the cluster's default.replication.factor (give one, and it is not needed)"
    with connection.errors_of(what, "DescribeConfigs"):
        broker = str(admin.describe_cluster()["brokers"][0]["broker_id"])
        wanted = ConfigResource("broker", broker, ["default.replication.factor"])
        answer = admin.describe_configs([wanted], config_filter="all")
    settings = answer["broker"][broker]
    if not settings:
        raise connection.forbidden(what, "DescribeConfigs on the cluster")
    return int(settings["default.replication.factor"]["value"])
