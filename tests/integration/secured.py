"""A real Kafka that lets nobody in without a password and nothing be done without a right."""

import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialUpsertion,
)
from kafka.admin import ACLResourcePatternType as PatternType

from stream_adapter.demo.broker import LocalKafka
from tests.integration.cluster import wait_for

PASSWORD = "correct horse battery staple"
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class Right(NamedTuple):
    """What is granted: an operation on a resource; a name that ends with a star means everything that begins so."""

    operation: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.operation} on {self.kind} {self.name}"


class SecuredKafka:
    """SASL_SSL with SCRAM-SHA-512 on `localhost`, and KRaft's StandardAuthorizer.

    Over the plain listener, which a real cluster would not have, everybody is a super user: that is how tests look on.
    """

    def __init__(self, kafka: LocalKafka, address: str, ca: Path) -> None:
        self.plain_servers = kafka.bootstrap_servers
        self.secured_servers = address
        self.ca = ca
        self._admin = KafkaAdminClient(bootstrap_servers=self.plain_servers)

    def add_user(self, name: str) -> dict[str, Any]:
        """A user with the tests' password, and `kafka.security` for it."""
        wanted = UserScramCredentialUpsertion(name, "SCRAM-SHA-512", PASSWORD, iterations=4096)
        failures = [failure for failure in self._admin.alter_user_scram_credentials([wanted]).values() if failure]
        assert not failures, failures
        return {
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.ca),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": name,
            "sasl_plain_password": PASSWORD,
        }

    def grant(self, user: str, rights: Iterable[Right]) -> None:
        """Give exactly these rights: others that the user had are taken away."""
        everything = ResourcePatternFilter(ResourceType.ANY, None, PatternType.ANY)
        held = ACLFilter(f"User:{user}", "*", ACLOperation.ANY, ACLPermissionType.ANY, everything)
        self._admin.delete_acls([held])
        acls = [_acl(user, right) for right in rights]
        if acls:
            assert not self._admin.create_acls(acls)["failed"]
        wait_for(lambda: len(self._admin.describe_acls(held)[0]) == len(acls), what="the rights to be in force")

    def delete_topics(self, names: Iterable[str]) -> None:
        self._admin.delete_topics(list(names))

    def close(self) -> None:
        self._admin.close()


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Start one; its certificate authority and keys are made in `folder`."""
    ca, store = make_certificates(folder)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": _SCRAM_LOGIN,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(store),
    }
    with LocalKafka(settings=settings, listeners={"SASL_SSL": address}) as kafka:
        secured = SecuredKafka(kafka, address, ca)
        try:
            yield secured
        finally:
            secured.close()


def make_certificates(folder: Path, host: str = "localhost") -> tuple[Path, Path]:
    """An authority of our own and a server's key with its certificate for `host`, both PEM.

    Returns:
        The authority's certificate, and the server's key followed by its certificate.
    """
    key, ca, server_key, server, store = (
        folder / name for name in ("ca.key", "ca.pem", "server.key", "server.pem", "store.pem")
    )
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    _openssl("req", "-x509", *new_key, "-keyout", key, "-out", ca, "-subj", "/CN=authority of a test")
    _openssl(
        *("req", "-x509", *new_key, "-keyout", server_key, "-out", server, "-subj", f"/CN={host}"),
        *("-CA", ca, "-CAkey", key, "-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=CA:FALSE"),
    )
    store.write_text(server_key.read_text() + server.read_text())
    return ca, store


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def _acl(user: str, right: Right) -> ACL:
    pattern = PatternType.PREFIXED if right.name.endswith("*") else PatternType.LITERAL
    name = "kafka-cluster" if right.kind == "cluster" else right.name.removesuffix("*")
    operation = {
        "Read": ACLOperation.READ,
        "Write": ACLOperation.WRITE,
        "Create": ACLOperation.CREATE,
        "Describe": ACLOperation.DESCRIBE,
        "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS,
    }[right.operation]
    kind = {
        "topic": ResourceType.TOPIC,
        "group": ResourceType.GROUP,
        "transactional-id": ResourceType.TRANSACTIONAL_ID,
        "cluster": ResourceType.CLUSTER,
    }[right.kind]
    return ACL(f"User:{user}", "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name, pattern))
