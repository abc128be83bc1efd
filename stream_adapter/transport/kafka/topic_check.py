"""Whether the topics are fit for what the worker promises: what is wrong, why it matters, and what repairs it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from kafka.admin import ConfigResource

from stream_adapter.config import Config
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.topics import DAY_MS, REASONS, describe_topics

Severity = Literal["error", "warning"]

_ROLES = ("images", "predictions", "anchors", "classes", "dead_letters", "drift", "labels", "waiting", "to_label")
# An anchor is a vector and its headers, a prediction a page of JSON; the evidence on 10,000 classes is the largest.
_SMALL_RECORD = 2**19
_LONG = 2**63 - 1


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is.

    Attributes:
        replicas: the smallest number of replicas that one of them has.
        settings: in force, whoever set them, by Kafka's names.
    """

    partitions: int
    replicas: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        severity: `error`: data or the worker's promises are at risk; `warning`: it works, but not as well as it could.
        what: what it is about: a setting's name, "partitions", "replicas" or "existence".
        repair: the command that repairs it; empty where none does.
    """

    severity: Severity
    topic: str
    what: str
    found: str
    why: str
    repair: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a setting must be; `wanted` is what the repair sets."""

    severity: Severity
    setting: str
    good: Callable[[str], bool]
    wanted: str
    why: str


def check_topics(config: Config, file: str) -> list[Finding]:
    """Compare the topics of a configuration with what the worker needs.

    Raises:
        TransportError: no broker answers, or it does not say.
    """
    names = {role: getattr(config.kafka.topics, role) for role in _ROLES}
    states = _look_up(Connection(config.kafka), tuple(names.values()))
    return list(findings(config, {role: states.get(name) for role, name in names.items()}, file))


def findings(config: Config, topics: Mapping[str, TopicState | None], file: str) -> Iterator[Finding]:
    """What is wrong with these topics, by role; None is one that does not exist."""
    for role, state in topics.items():
        name = getattr(config.kafka.topics, role)
        if state is None:
            why = "the worker does not start without it"
            yield Finding("error", name, "existence", "missing", why, f"stream-adapter topics create {file}")
            continue
        yield from _replica_findings(config, name, role, state)
        for rule in _rules(config, role, topics):
            found = state.settings.get(rule.setting)
            # A broker that does not know a setting does not say; then there is nothing to repair either.
            if found is not None and not rule.good(found):
                repair = _set(config, name, rule.setting, rule.wanted)
                yield Finding(rule.severity, name, rule.setting, found, rule.why, repair)
    yield from _partition_findings(config, topics)


def _look_up(connection: Connection, names: tuple[str, ...]) -> dict[str, TopicState]:
    with connection.admin() as admin:
        described = [topic for topic in describe_topics(connection, admin, names).values() if topic["partitions"]]
        wanted = [ConfigResource("topic", topic["name"]) for topic in described]
        with connection.errors_of("cannot read the topics' settings", "DescribeConfigs"):
            settings = admin.describe_configs(wanted, config_filter="all")["topic"] if wanted else {}
    silent = [name for name, known in settings.items() if not known]
    if silent:  # a broker that refuses says nothing, and nothing would then be wrong
        raise connection.forbidden("cannot read the topics' settings", f"DescribeConfigs on topic {silent[0]!r}")
    return {
        topic["name"]: TopicState(
            partitions=len(topic["partitions"]),
            replicas=min(len(partition["replica_nodes"]) for partition in topic["partitions"]),
            settings={key: str(entry["value"]) for key, entry in settings[topic["name"]].items()},
        )
        for topic in described
    }


def _rules(config: Config, role: str, topics: Mapping[str, TopicState | None]) -> tuple[_Rule, ...]:
    """What the settings of each role's topic must be."""
    delete = _is("delete")
    if role == "images":
        room = config.encoder.max_bytes
        return (
            _Rule("error", "cleanup.policy", delete, "delete", "compaction removes pictures that have a common key"),
            _Rule("warning", "retention.ms", _at_least(DAY_MS), str(7 * DAY_MS), _OUTAGE),
            _Rule("warning", "max.message.bytes", _at_least(room), str(room + REASONS), _LARGE_PICTURES),
        )
    if role == "predictions":
        return (
            _Rule("warning", "cleanup.policy", delete, "delete", "compaction keeps one prediction of each key"),
            _Rule("error", "max.message.bytes", _at_least(2**16), str(2**20), "a prediction that is refused is lost"),
        )
    if role == "anchors":
        return _ANCHOR_RULES
    if role == "classes":
        return (
            _Rule("error", "cleanup.policy", _is("compact"), "compact", _CLASSES_DELETED),
            _Rule("error", "unclean.leader.election.enable", _is("false"), "false", _UNCLEAN),
            _Rule("error", "max.message.bytes", _at_least(2**16), str(2**20), "a class with a long vector is refused"),
        )
    if role == "labels":
        return (_Rule("error", "cleanup.policy", delete, "delete", "compaction removes labels that have a common key"),)
    if role == "to_label":
        return (_Rule("warning", "cleanup.policy", _is("compact"), "compact", "of a worker its newest list counts"),)
    if role == "waiting":
        return (_Rule("error", "cleanup.policy", _is("compact"), "compact", _WAITING),)
    if role == "drift":
        return (
            _Rule("warning", "cleanup.policy", delete, "delete", "compaction keeps one drift event of each group"),
            _Rule("warning", "message.timestamp.type", _is("LogAppendTime"), "LogAppendTime", _DRIFT_OLD),
        )
    images = topics.get("images")
    largest = int(images.settings.get("max.message.bytes", 0)) + REASONS if images is not None else 0
    return (
        _Rule("error", "cleanup.policy", delete, "delete", _LETTERS_COMPACTED),
        _Rule("error", "retention.ms", _is("-1"), "-1", _LETTERS_DELETED),
        _Rule("error", "message.timestamp.before.max.ms", _at_least(_LONG), str(_LONG), _LETTERS_REFUSED),
        _Rule("warning", "max.message.bytes", _at_least(largest), str(largest), _LARGE_LETTERS),
    )


def _replica_findings(config: Config, name: str, role: str, state: TopicState) -> Iterator[Finding]:
    replicas, insync = state.replicas, int(state.settings.get("min.insync.replicas", 1))

    def finding(severity: Severity, why: str, wanted: int) -> Finding:
        found = f"{insync}, with {replicas} replicas"
        repair = _set(config, name, "min.insync.replicas", str(wanted))
        return Finding(severity, name, "min.insync.replicas", found, why, repair)

    if insync > replicas:
        yield finding("error", "nothing can be written", max(1, replicas - 1))
    elif insync == replicas > 1:
        yield finding("warning", "while one broker is down, nothing can be written", replicas - 1)
    elif insync < 2 and replicas >= 3:
        severity: Severity = "error" if role == "anchors" else "warning"
        yield finding(severity, "a record that only one broker has counts as written, and is lost with that broker", 2)
    if replicas == 1:
        why = "what is in it is lost with its broker; make topics with `topics create --replication-factor 3`"
        yield Finding("warning", name, "replicas", "1", why)


def _partition_findings(config: Config, topics: Mapping[str, TopicState | None]) -> Iterator[Finding]:
    images, predictions, classes = (topics.get(role) for role in ("images", "predictions", "classes"))
    if classes is not None and classes.partitions != 1:
        why = "class events count in their order, which partitions do not have among them; make it anew with one"
        yield Finding("error", config.kafka.topics.classes, "partitions", str(classes.partitions), why)
    if images is None or predictions is None or images.partitions == predictions.partitions:
        return
    name, few = config.kafka.topics.predictions, predictions.partitions < images.partitions
    yield Finding(
        severity="warning",
        topic=name,
        what="partitions",
        found=f"{predictions.partitions}, images have {images.partitions}",
        why="the predictions of a key are in another partition than its images: they cannot be joined by partition"
        + ("" if few else "; a topic cannot have fewer partitions again, only a new one can"),
        repair=f"kafka-topics.sh --bootstrap-server {config.kafka.bootstrap_servers} --alter --topic {name} "
        f"--partitions {images.partitions}"
        if few
        else "",
    )


def _set(config: Config, name: str, setting: str, value: str) -> str:
    """The command that changes a topic's setting."""
    value = f"[{value}]" if "," in value else value
    return (
        f"kafka-configs.sh --bootstrap-server {config.kafka.bootstrap_servers} --alter --entity-type topics "
        f"--entity-name {name} --add-config {setting}={value}"
    )


def _is(wanted: str) -> Callable[[str], bool]:
    return lambda found: found == wanted


def _at_least(least: float) -> Callable[[str], bool]:
    return lambda found: float(found) >= least or found == "-1"


def _at_most(most: float) -> Callable[[str], bool]:
    return lambda found: float(found) <= most


_CLASSES_DELETED = "a class that was added long ago would be gone after a start"
_UNCLEAN = "after a failure a broker that lacks what was acknowledged may take over: workers then differ for ever"
_WAITING = "what is deleted by age or size was known of labels; without compaction it grows for ever"
_OUTAGE = "events that wait for longer than that, while no worker runs, are lost"
_LARGE_PICTURES = "larger pictures cannot be sent, though `encoder.max_bytes` would take them"
_LARGE_LETTERS = "the letters of large pictures go without them"
_DRIFT_OLD = "a drift event has the time of the events behind it: about old ones it is deleted at once, or refused"
_LETTERS_DELETED = "a letter has its event's time: that of an old event is deleted at once"
_LETTERS_COMPACTED = "a compacted topic refuses letters without a key, which stops the worker, and removes others"
_LETTERS_REFUSED = "a letter has its event's time: that of an old event is refused, which stops the worker"

_ANCHOR_RULES = (
    _Rule(
        "error", "cleanup.policy", _is("compact"), "compact",
        "the anchors are the model: deletion by age or size forgets what was learned, without compaction a start reads "
        "everything that ever was",
    ),
    _Rule(
        "error", "unclean.leader.election.enable", _is("false"), "false", _UNCLEAN
    ),
    _Rule(
        "error", "max.message.bytes", _at_least(_SMALL_RECORD), str(2**20),
        "an anchor or the evidence on many classes may be refused: it then is forgotten, or unknown to other workers",
    ),
    _Rule(
        "warning", "delete.retention.ms", _at_least(DAY_MS), str(7 * DAY_MS),
        "a worker or a snapshot that is older than that misses deletions, so snapshots of that age are not used",
    ),
    _Rule(
        "warning", "min.compaction.lag.ms", _at_least(DAY_MS), str(DAY_MS),
        "`anchors export --at` is sure to find a state whole only as far back as that",
    ),
    _Rule(
        "warning", "message.timestamp.type", _is("LogAppendTime"), "LogAppendTime",
        "`anchors export --at TIME` goes by the clocks of the workers, and by which of them may differ",
    ),
    _Rule(
        "warning", "segment.ms", _at_most(DAY_MS), str(DAY_MS),
        "only closed segments are compacted: what was replaced since is read at every start",
    ),
    _Rule(
        "warning", "segment.bytes", _at_most(2**28), str(2**26),
        "only closed segments are compacted: what was replaced in this one is read at every start",
    ),
    _Rule(
        "warning", "min.cleanable.dirty.ratio", _at_most(0.5), "0.2",
        "compaction waits until so large a share of the topic was replaced; a start reads it all",
    ),
)  # fmt: skip
