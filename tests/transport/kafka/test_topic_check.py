"""The rules on topics as they might be; on real ones they are tried in `tests/integration/test_topics.py`."""

from dataclasses import replace

import pytest

from stream_adapter.config import KafkaTopics, parse
from stream_adapter.transport.kafka.topic_check import Finding, TopicState, findings
from stream_adapter.transport.kafka.topics import topic_specs

CONFIG = parse(
    "encoder: {model: m, pretrained: p}\nvocabulary: {classes: [a, b]}\nkafka: {bootstrap_servers: 'k:9092'}"
)
ROLES = ("images", "predictions", "anchors", "classes", "dead_letters", "drift", "labels", "waiting", "to_label")
DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "max.message.bytes": "1048588",
    "min.insync.replicas": "2",
    "message.timestamp.before.max.ms": str(2**63 - 1),
    "unclean.leader.election.enable": "false",
}


def good() -> dict[str, TopicState | None]:
    """The topics as `topics create` makes them, with three replicas."""
    specs = zip(ROLES, topic_specs(KafkaTopics()), strict=True)
    return {role: TopicState(spec.partitions, 3, {**DEFAULTS, **spec.settings}) for role, spec in specs}


def found(role: str, *, setting: tuple[str, str] | None = None, **changes: int) -> list[Finding]:
    """What is found when one topic is changed."""
    topics = good()
    state = topics[role]
    assert state is not None
    settings = {**state.settings, **(dict([setting]) if setting else {})}
    topics[role] = replace(state, settings=settings, **changes)
    return list(findings(CONFIG, topics, "worker.yaml"))


def test_the_topics_that_we_make_are_what_we_want() -> None:
    assert list(findings(CONFIG, good(), "worker.yaml")) == []


def test_a_missing_topic_is_an_error_with_the_command_that_makes_it() -> None:
    (finding,) = findings(CONFIG, {**good(), "anchors": None}, "worker.yaml")
    assert (finding.severity, finding.topic, finding.what) == ("error", "anchors", "existence")
    assert finding.repair == "stream-adapter topics create worker.yaml"


@pytest.mark.parametrize(
    ("role", "setting", "value", "severity", "repaired"),
    [
        ("images", "cleanup.policy", "compact", "error", "delete"),
        ("images", "retention.ms", "3600000", "warning", "604800000"),
        ("images", "max.message.bytes", "1048588", "warning", "20065536"),
        ("predictions", "cleanup.policy", "compact", "warning", "delete"),
        ("predictions", "max.message.bytes", "1000", "error", "1048576"),
        ("anchors", "cleanup.policy", "delete", "error", "compact"),
        ("anchors", "cleanup.policy", "compact,delete", "error", "compact"),
        ("anchors", "unclean.leader.election.enable", "true", "error", "false"),
        ("anchors", "max.message.bytes", "1000", "error", "1048576"),
        ("anchors", "delete.retention.ms", "60000", "warning", "604800000"),
        ("anchors", "min.compaction.lag.ms", "0", "warning", "86400000"),
        ("anchors", "message.timestamp.type", "CreateTime", "warning", "LogAppendTime"),
        ("anchors", "segment.ms", "604800000", "warning", "86400000"),
        ("anchors", "segment.bytes", "1073741824", "warning", "67108864"),
        ("anchors", "min.cleanable.dirty.ratio", "0.9", "warning", "0.2"),
        ("drift", "cleanup.policy", "compact", "warning", "delete"),
        ("labels", "cleanup.policy", "compact", "error", "delete"),
        ("waiting", "cleanup.policy", "delete", "error", "compact"),
        ("to_label", "cleanup.policy", "delete", "warning", "compact"),
        ("drift", "message.timestamp.type", "CreateTime", "warning", "LogAppendTime"),
        ("dead_letters", "cleanup.policy", "compact", "error", "delete"),
        ("dead_letters", "retention.ms", "604800000", "error", "-1"),
        ("dead_letters", "message.timestamp.before.max.ms", "3600000", "error", str(2**63 - 1)),
        ("dead_letters", "max.message.bytes", "1048588", "warning", "21037056"),
    ],
)
def test_a_setting_that_is_wrong_is_found_with_what_repairs_it(
    role: str, setting: str, value: str, severity: str, repaired: str
) -> None:
    (finding,) = found(role, setting=(setting, value))
    assert (finding.severity, finding.what, finding.found) == (severity, setting, value)
    assert finding.why
    assert finding.repair.startswith("kafka-configs.sh --bootstrap-server k:9092 --alter --entity-type topics")
    assert finding.repair.endswith(f"--add-config {setting}={repaired}")
    assert found(role, setting=(setting, repaired)) == [], "the repair does not repair it"


@pytest.mark.parametrize(
    ("replicas", "insync", "expected"),
    [
        (3, 2, []),
        (5, 3, []),
        (2, 1, []),
        (3, 4, [("error", "2")]),
        (3, 3, [("warning", "2")]),
        (3, 1, [("error", "2")]),
        (1, 1, [("warning", None)]),
        (1, 2, [("error", "1"), ("warning", None)]),
    ],
)
def test_replicas_and_how_many_must_be_in_sync(
    replicas: int, insync: int, expected: list[tuple[str, str | None]]
) -> None:
    for_anchors = found("anchors", setting=("min.insync.replicas", str(insync)), replicas=replicas)
    repairs = [finding.repair.partition("min.insync.replicas=")[2] or None for finding in for_anchors]
    assert [(finding.severity, repair) for finding, repair in zip(for_anchors, repairs, strict=True)] == expected


def test_one_acknowledgement_is_enough_to_lose_the_state_and_less_bad_elsewhere() -> None:
    (finding,) = found("images", setting=("min.insync.replicas", "1"))
    assert finding.severity == "warning"


@pytest.mark.parametrize(("partitions", "repairable"), [(2, True), (8, False)])
def test_predictions_and_images_should_have_as_many_partitions(partitions: int, repairable: bool) -> None:
    (finding,) = found("predictions", partitions=partitions)
    assert (finding.severity, finding.what) == ("warning", "partitions")
    assert bool(finding.repair) == repairable
    assert not repairable or finding.repair.endswith("--topic predictions --partitions 4")


def test_a_broker_that_does_not_know_a_setting_is_not_blamed() -> None:
    topics = {role: replace(state, settings={}) for role, state in good().items() if state is not None}
    assert {finding.what for finding in findings(CONFIG, topics, "worker.yaml")} == {"min.insync.replicas"}


def test_class_events_need_one_order() -> None:
    (finding,) = [one for one in found("classes", partitions=2) if one.what == "partitions"]
    assert finding.severity == "error" and "their order" in finding.why
    (finding,) = found("classes", setting=("cleanup.policy", "delete"))
    assert finding.severity == "error" and "cleanup.policy=compact" in finding.repair
