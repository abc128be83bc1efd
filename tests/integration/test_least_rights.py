"""TLS, passwords and rights on a real Kafka: what docs/security.md grants is enough, and none of it is too much."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from stream_adapter.cli import app
from stream_adapter.config import KafkaConfig
from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.events.class_record import ClassRecord
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.label import LabelEvent
from stream_adapter.events.waiting import waiting_record
from stream_adapter.transport.base import Commit, OutRecord, Record
from stream_adapter.transport.dead_letters import dead_letter
from stream_adapter.transport.kafka import KafkaChangelog, KafkaSink, KafkaSource, write_outputs
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.diagnosis import why_no_answer
from stream_adapter.transport.kafka.labels import KafkaLabelFeed
from stream_adapter.transport.kafka.topics import create_topics, topic_specs
from stream_adapter.transport.kafka.transport import KafkaTransport
from tests.events.test_drift import EVENT as DRIFT_EVENT
from tests.events.test_prediction import VALIDATOR
from tests.integration.cluster import Cluster, close, commit_of, poll_until, wait_for
from tests.integration.running import (
    CLASSES,
    anchor_records,
    drawn,
    event,
    predicted_ids,
    predictions,
    running,
    send,
    write_config,
)
from tests.integration.secured import PASSWORD, Right, SecuredKafka, make_certificates, secured_kafka
from tests.operations.anchor_records import record as anchor_record
from tests.test_terminal_text import EVENT as WAITING

SECURITY_MD = Path(__file__).parents[2] / "docs" / "security.md"


def documented() -> dict[str, list[Right]]:
    """The rights by principal, as the commands in docs/security.md grant them."""
    found: dict[str, list[Right]] = {}
    for line in re.findall(r"^acl (.+)$", SECURITY_MD.read_text(), re.MULTILINE):
        principal, operation, option, *rest = line.split()
        name = rest[0] if rest else "kafka-cluster"
        prefixed = rest[1:] == ["--resource-pattern-type", "prefixed"]
        assert prefixed or not rest[1:], line
        found.setdefault(principal, []).append(Right(operation, option.removeprefix("--"), name + "*" * prefixed))
    return found


DOCUMENTED = documented()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("certificates")) as secured:
        yield secured


@pytest.fixture(scope="module")
def user(kafka: SecuredKafka) -> dict[str, Any]:
    return kafka.add_user("tester")


@pytest.fixture
def cluster(kafka: SecuredKafka) -> Cluster:
    """Topics of this test alone, looked at over the plain listener."""
    return Cluster(kafka.plain_servers)


class Guarded:
    """The test's topics as a principal without any right of its own sees them."""

    def __init__(self, kafka: SecuredKafka, cluster: Cluster, security: dict[str, Any]) -> None:
        self._kafka = kafka
        self._names = {
            "stream-adapter": cluster.config.group_id,
            "anchors-new": f"{cluster.config.topics.anchors}-new",
            **{default: getattr(cluster.config.topics, default.replace("-", "_")) for default in _TOPICS},
        }
        self.config = cluster.but(bootstrap_servers=kafka.secured_servers, security=security, delivery="exactly_once")

    def rights(self, principal: str) -> list[Right]:
        """What the document gives to this principal, on the test's topics."""
        return [right._replace(name=self._renamed(right.name)) for right in DOCUMENTED[principal]]

    def grant(self, rights: list[Right]) -> None:
        self._kafka.grant("tester", rights)

    def _renamed(self, name: str) -> str:
        for default, actual in self._names.items():
            if name == default or (default == "stream-adapter" and name.startswith(default)):
                return actual + name.removeprefix(default)
        return name


_TOPICS = ("images", "predictions", "anchors", "classes", "dead-letters", "drift", "labels", "waiting", "to-label")


@pytest.fixture
def guarded(kafka: SecuredKafka, cluster: Cluster, user: dict[str, Any]) -> Guarded:
    return Guarded(kafka, cluster, user)


def write_guarded(folder: Path, cluster: Cluster, guarded: Guarded, **sections: Any) -> Path:
    return write_config(folder, cluster, kafka=guarded.config.model_dump(mode="json"), **sections)


def test_a_worker_goes_its_whole_journey_with_the_documented_rights(
    cluster: Cluster, guarded: Guarded, tmp_path: Path
) -> None:
    guarded.grant([*guarded.rights("worker"), *guarded.rights("snapshots")])
    snapshots = {"folder": str(tmp_path / "snapshots"), "every_s": 1.0}
    config = write_guarded(
        tmp_path,
        cluster,
        guarded,
        snapshots=snapshots,
        drift={"status_every_s": 0.5},
        dead_letters={"max_share": 1.0},
        labels={"suggest_every_s": 0.5},
    )
    good = [(data, event(f"good-{n}", name if n % 4 == 0 else None)) for n, (name, data) in enumerate(drawn(80))]
    send(cluster, [*good, (b"no picture", event("bad"))])
    with running(config) as worker:
        wait_for(lambda: len(predicted_ids(cluster)) == 80, timeout_s=60.0, what="80 predictions")
        wait_for(lambda: cluster.read(cluster.config.topics.drift), what="a drift event")
        wait_for(lambda: cluster.read(cluster.config.topics.to_label), what="what to label next")
        wait_for(lambda: list((tmp_path / "snapshots").glob("snapshot-*.bin")), what="a snapshot")
        worker.stop()
        assert '"event": "drained"' in worker.log_tail(60)
    for prediction in predictions(cluster):
        VALIDATOR.validate(prediction)
    assert len(anchor_records(cluster)) == 20
    assert len(cluster.read(cluster.config.topics.dead_letters)) == 1
    assert sum(offset or 0 for offset in cluster.committed().values()) == 81


def journey(config: KafkaConfig) -> None:
    """Everything that a worker asks of Kafka, once, without the model."""
    changelog = KafkaChangelog(config, writer="test", deadline_s=8.0)
    opened: list[Any] = [changelog]
    try:
        list(changelog.read_to_end())
        _ = changelog.deletions_kept_ms
        source = KafkaSource(config, deadline_s=8.0)
        opened.insert(0, source)
        sink = KafkaSink(source)
        opened.insert(0, sink)
        records = poll_until(source, 1)
        labels = KafkaLabelFeed(config)
        opened.insert(0, labels)
        labels.assign(frozenset({0, 1}))
        wait_for(lambda: labels.poll().labels, what="a label")
        classes = KafkaTransport(config).open_log("classes")
        opened.insert(0, classes)
        assert any(classes.portions())
        channels = ("predictions", "dead_letters", "drift", "waiting", "labels", "to_label", "classes")
        outputs = [OutRecord(channel, b"key", b"value") for channel in channels]
        sink.commit(Commit([*outputs, OutRecord("anchors", b"key", None)], commit_of(records).positions))
        changelog.poll()
    finally:
        close(*opened)


# What is never read needs no right: something is on each topic.
LABEL = LabelEvent.new("/test", "two", "red circle", time_ms=1).to_record()
SAID = [
    OutRecord("labels", LABEL.key, LABEL.value, LABEL.headers),
    waiting_record(anchor_id_of(WAITING.source, WAITING.id), WAITING.to_value(), 0),
    ClassRecord("purple square").to_record(),
]


def missing(right: Right) -> str:
    """What the message must say when this right is missing."""
    kind = {"transactional-id": "transactional id"}.get(right.kind, right.kind)
    if right.kind == "transactional-id":
        return rf"cannot begin transactions as '{re.escape(right.name[:-1])}.* grant User:tester Write on {kind}"
    if right.kind == "cluster":
        return rf"not authorized; grant User:tester {right.operation} on the cluster"
    return rf"not authorized; grant User:tester {right.operation} on {kind} '?{re.escape(right.name)}"


WORKER = [*DOCUMENTED["worker"], *DOCUMENTED["snapshots"], *DOCUMENTED["classes-of-labels"]]
ALL = os.environ.get("ACL_MATRIX") == "all"  # `make acl-test`
TELLING = [number for number, right in enumerate(WORKER) if right.kind != "topic"]


@pytest.mark.parametrize("number", range(len(WORKER)) if ALL else TELLING, ids=lambda number: str(WORKER[number]))
def test_a_worker_without_one_of_its_rights_says_which(number: int, cluster: Cluster, guarded: Guarded) -> None:
    cluster.put([b"picture"] * 40)
    write_outputs(cluster.config, [OutRecord("anchors", b"key", b"there is something to read"), *SAID])
    rights = [*guarded.rights("worker"), *guarded.rights("snapshots"), *guarded.rights("classes-of-labels")]
    left_out = rights.pop(number)
    guarded.grant(rights)
    with pytest.raises(TransportError, match=missing(left_out)):
        journey(guarded.config)
    assert cluster.read(cluster.config.topics.predictions) == [], "and nothing of the batch is visible"


# Command lines by the principal that docs/security.md gives them. OUT is a file of this test, IN one that was exported.
COMMANDS = {
    "events-try": [["events", "try"]],
    "produce": [["produce", "PICTURES"]],
    "anchors-read": [["anchors", "list"], ["anchors", "export", "OUT"], ["record", "OUT", "--topic", "anchors"]],
    "anchors-suspicious": [["anchors", "suspicious"]],
    "anchors-at": [["anchors", "export", "OUT", "--at", "1"]],
    "anchors-reembed": [["anchors", "reembed", "NEW"]],
    "anchors-write": [["anchors", "delete", "--label", "red circle", "--yes"], ["anchors", "import", "IN", "--yes"]],
    "classes-list": [["classes", "list"]],
    "classes-write": [
        ["classes", "rename", "red circle", "crimson circle"],
        ["classes", "merge", "blue star", "--into", "green triangle"],
        ["classes", "add", "purple circle"],
        ["classes", "remove", "green triangle", "--yes"],
    ],
    "labels-send": [["labels", "send", "/test", "one", "red circle"]],
    "labels-next": [["labels", "next"]],
    "labels-show": [["labels", "show", "/test", "one"]],
    "forget": [["forget", "--label", "red circle", "--yes"]],
    "letters-list": [["dead-letters", "list"]],
    "letters-replay": [["dead-letters", "replay"]],
    "drift-report": [["drift", "report", "--output", "OUT"]],
    "topics-check": [["topics", "check"]],
    "topics-create": [["topics", "create"]],
}


@pytest.fixture
def filled(cluster: Cluster, guarded: Guarded, tmp_path: Path) -> Path:
    """A configuration for the guarded cluster, and something on every topic."""
    config = write_guarded(tmp_path, cluster, guarded)
    learned = [anchor_record(n, CLASSES[n % 4]).to_record("test") for n in range(8)]
    letter = dead_letter(Record(cluster.at(0), 0, 1, b"key", b"value", ()), MalformedEvent("of the test"))
    learned.append(replace(learned[0], key=anchor_id_of("/test", "one").encode()))
    write_outputs(cluster.config, [*learned, letter, DRIFT_EVENT.to_record(), *SAID[:2]])
    topics = cluster.config.topics.model_copy(update={"anchors": f"{cluster.config.topics.anchors}-new"})
    create_topics(Connection(cluster.config), topic_specs(topics, partitions=1))
    write_outputs(cluster.but(topics=topics), learned[:1])
    (tmp_path / "new").mkdir()
    kafka = guarded.config.model_copy(update={"topics": topics})
    write_config(tmp_path / "new", cluster, kafka=kafka.model_dump(mode="json"))
    send(cluster, [(drawn(1)[0][1], event("one"))])
    picture = tmp_path / "pictures" / "red circle" / "one.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(drawn(1)[0][1])
    done = invoke(write_plain(tmp_path, cluster), "anchors", "export", str(tmp_path / "IN"))
    assert done.exit_code == 0, done.exception
    return config


def write_plain(folder: Path, cluster: Cluster) -> Path:
    (folder / "plain").mkdir()
    return write_config(folder / "plain", cluster)


def invoke(config: Path, *command: str) -> Result:
    """Call a command in this process; the configuration goes behind its name."""
    at = 2 if command[0] in ("anchors", "classes", "dead-letters", "drift", "events", "labels", "topics") else 1
    places = {name: str(config.parent / name.lower()) for name in ("OUT", "PICTURES")} | {
        "IN": str(config.parent / "IN"),
        "NEW": str(config.parent / "new" / "worker.yaml"),
    }
    arguments = [places.get(argument, argument) for argument in command]
    return CliRunner().invoke(app, [*arguments[:at], str(config), *arguments[at:]])


@pytest.mark.parametrize("principal", COMMANDS)
def test_commands_work_with_the_documented_rights(
    principal: str, kafka: SecuredKafka, cluster: Cluster, guarded: Guarded, filled: Path
) -> None:
    if principal == "topics-create":
        kafka.delete_topics(cluster.config.topics.model_dump().values())
    guarded.grant(guarded.rights(principal))
    for command in COMMANDS[principal]:
        done = invoke(filled, *command)
        may_find = principal == "topics-check"  # one replica is not enough, and it says so
        assert done.exit_code == 0 or (may_find and done.exit_code == 1 and "replicas" in done.output), done.exception


COMMAND_RIGHTS = [(principal, number) for principal in COMMANDS for number in range(len(DOCUMENTED[principal]))]


@pytest.mark.skipif(not ALL, reason="make acl-test leaves out every right in turn")
@pytest.mark.parametrize(("principal", "number"), COMMAND_RIGHTS)
def test_commands_without_one_of_their_rights_say_which(
    principal: str, number: int, kafka: SecuredKafka, cluster: Cluster, guarded: Guarded, filled: Path
) -> None:
    if principal == "topics-create":
        kafka.delete_topics(cluster.config.topics.model_dump().values())
    rights = guarded.rights(principal)
    left_out = rights.pop(number)
    guarded.grant(rights)
    results = [invoke(filled, *command) for command in COMMANDS[principal]]
    said = [str(done.exception) for done in results if done.exit_code]
    assert said, f"every command of {principal} works without {left_out}"
    assert all(re.search(missing(left_out), text) for text in said), said


def test_every_right_in_the_document_is_tried() -> None:
    assert set(DOCUMENTED) == {"worker", "snapshots", "classes-of-labels", *COMMANDS}


def test_creating_topics_needs_no_right_on_the_cluster_where_the_replicas_are_given(
    cluster: Cluster, guarded: Guarded, tmp_path: Path
) -> None:
    guarded.grant([right for right in guarded.rights("topics-create") if right.kind != "cluster"])
    config = write_guarded(tmp_path, cluster, guarded)
    assert invoke(config, "topics", "create", "--replication-factor", "1").exit_code == 0
    assert "grant User:tester DescribeConfigs on the cluster" in str(invoke(config, "topics", "create").exception)


def test_who_is_not_let_in_is_told_at_which_step(guarded: Guarded, kafka: SecuredKafka, tmp_path: Path) -> None:
    stranger, _ = make_certificates(tmp_path)
    given = guarded.config.security

    def why(server: str = kafka.secured_servers, **security: str) -> str:
        said = why_no_answer(server, {**given, **security})
        assert PASSWORD not in said and "wrong-password" not in said
        return said

    assert why() == "", "nothing is wrong"
    assert why(kafka.plain_servers, security_protocol="PLAINTEXT") == ""
    assert "does not accept user 'tester'" in (said := why(sasl_plain_password="wrong-password"))
    assert "correct `sasl_plain_username` and `sasl_plain_password`" in said
    assert "does not accept user 'nobody'" in why(sasl_plain_username="nobody")
    assert "certificate" in (said := why(ssl_cafile=str(stranger))) and "`kafka.security.ssl_cafile`" in said
    by_address = kafka.secured_servers.replace("localhost", "127.0.0.1")
    assert "is not valid for '127.0.0.1'" in (said := why(by_address)) and "`kafka.bootstrap_servers`" in said
    assert "does not know `kafka.security.sasl_mechanism` 'PLAIN', but SCRAM-SHA-512" in why(sasl_mechanism="PLAIN")
    for protocol in ("PLAINTEXT", "SSL", "SASL_PLAINTEXT"):
        assert "`kafka.security.security_protocol` and the port do not" in why(security_protocol=protocol)
    assert "does not answer in TLS" in why(kafka.plain_servers)
    assert "nowhere.pem" in why(ssl_cafile=str(tmp_path / "nowhere.pem"))


@pytest.mark.parametrize(
    ("change", "why"),
    [({"sasl_plain_password": "wrong-password"}, "user 'tester'"), ({"ssl_cafile": None}, "certificate of localhost")],
)
def test_a_source_that_is_not_let_in_says_why(guarded: Guarded, change: dict[str, str | None], why: str) -> None:
    security = {name: value for name, value in {**guarded.config.security, **change}.items() if value is not None}
    config = guarded.config.model_copy(update={"security": security})
    with pytest.raises(TransportError, match=f"no Kafka broker answered at .* within 1 s: .*{why}") as caught:
        KafkaSource(config, start_timeout_s=1.0)
    assert "wrong-password" not in str(caught.value)
