"""SASL/OAUTHBEARER on a real broker, with the unsecured tokens that Kafka's own validator takes."""

import base64
import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator

import pytest

from stream_adapter.config import KafkaConfig
from stream_adapter.demo.broker import LocalKafka
from stream_adapter.errors import TransportError, Unreachable
from stream_adapter.transport.base import OutRecord, Partition, Record
from stream_adapter.transport.kafka import KafkaSink, KafkaSource, ensure_topics
from stream_adapter.transport.kafka.transport import KafkaTransport
from stream_adapter.transport.transport import read_all
from tests.integration.cluster import wait_for

ASKED: list[float] = []
AWAY: list[bool] = []


def unsecured_token() -> tuple[str, int]:
    """An unsigned JWT for the user `tester`, as RFC 7515 has it in its appendix."""
    now = time.time()
    ASKED.append(now)
    parts = ({"alg": "none"}, {"sub": "tester", "iat": now, "exp": now + 300})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join(encoded) + ".", int((now + 300) * 1e3)


def token_of_the_hour() -> str:
    """What a provider gives whose own credentials are taken away for a while."""
    return expired_token() if AWAY else unsecured_token()[0]


def expired_token() -> str:
    parts = ({"alg": "none"}, {"sub": "tester", "iat": 1.0, "exp": 2.0})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@pytest.fixture(scope="module")
def servers() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    login = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
    settings = {
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.sasl_plaintext.oauthbearer.connections.max.reauth.ms": "3000",
        "listener.name.sasl_plaintext.oauthbearer.sasl.jaas.config": f'{login} unsecuredLoginStringClaim_sub="broker";',
    }
    with LocalKafka(settings=settings, listeners={"SASL_PLAINTEXT": address}):
        yield address


def config(servers: str, provider: str) -> KafkaConfig:
    roles = ("images", "predictions", "anchors", "dead_letters", "drift", "labels", "waiting")
    security = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauth_token_provider": f"{__name__}:{provider}",
    }
    topics = {role: f"tokens-{role}" for role in roles}
    return KafkaConfig.model_validate({"bootstrap_servers": servers, "topics": topics, "security": security})


def test_a_worker_gets_in_with_a_token(servers: str) -> None:
    known = config(servers, "unsecured_token")
    ensure_topics(known, partitions=2, replication_factor=1)
    transport = KafkaTransport(known)
    transport.write([OutRecord("drift", b"key", b"value", ())])
    assert [record.value for record in read_all(transport, "drift")] == [b"value"]
    with contextlib.ExitStack() as stack:
        source, _ = transport.connect(stack)
        deadline = time.monotonic() + 30
        while not source.assigned and time.monotonic() < deadline:
            source.poll(1, 0.2)
        assert len(source.assigned) == 2
    assert ASKED


def test_one_that_expired_does_not(servers: str) -> None:
    with pytest.raises(TransportError):
        ensure_topics(config(servers, "expired_token"), partitions=1, replication_factor=1)


def connected(transport: KafkaTransport, stack: contextlib.ExitStack) -> tuple[KafkaSource, KafkaSink] | None:
    """A connection; None where, on a busy machine, the broker hung up on one that was older than 3 s before its use."""
    with contextlib.suppress(Unreachable):
        ensure_topics(transport._settings, partitions=2, replication_factor=1)
        return transport.connect(stack)
    return None


def test_a_reader_whose_credentials_expire_says_so_and_goes_on_with_new_ones(servers: str) -> None:
    transport = KafkaTransport(config(servers, "token_of_the_hour"))
    with contextlib.ExitStack() as stack:
        source, _ = wait_for(lambda: connected(transport, stack), what="a connection")
        wait_for(lambda: source.poll(1, 0.2) or len(source.assigned) == 2, what="partitions")
        time.sleep(4.0)
        AWAY.append(True)
        until, said = time.monotonic() + 15.0, set()
        while time.monotonic() < until:
            assert source.poll(1, 0.2) == []
            said.add(source.trouble)
        AWAY.clear()
        wait_for(lambda: source.poll(1, 0.2) or source.trouble is None, timeout_s=30.0, what="answers")
        with transport.resend() as again:
            again([Record(Partition("tokens-images", 0), 0, -1, b"key", b"value", ())])
        wait_for(lambda: source.poll(1, 0.2), timeout_s=30.0, what="the event")
    assert any(
        one is not None and re.search("does not accept the token .*expired|invalid_token", one) for one in said
    ), said
