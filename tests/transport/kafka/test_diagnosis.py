"""What is found on the way to a broker that is none; real ones are in `tests/integration/test_least_rights.py`."""

import socket
import threading
from collections.abc import Iterator

import pytest

from stream_adapter.transport.kafka.diagnosis import why_no_answer


@pytest.fixture
def hanging_up() -> Iterator[str]:
    """A server that takes connections and ends them at the first words."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.recv(1)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "cannot be reached" in (said := why_no_answer(f"127.0.0.1:{port}", {}))
    assert "`kafka.bootstrap_servers`" in said


@pytest.mark.parametrize("server", ["no-such-host.invalid:9092", "localhost", "localhost:port", "", "[::1:9092"])
def test_addresses_that_are_none(server: str) -> None:
    assert "cannot be reached" in why_no_answer(server, {})


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
def test_something_that_does_not_speak_kafka(hanging_up: str, protocol: str) -> None:
    security = {"security_protocol": protocol, "sasl_mechanism": "PLAIN", "sasl_plain_password": "secret"}
    assert "hangs up on the first request" in (said := why_no_answer(hanging_up, security))
    assert "secret" not in said


def test_something_that_does_not_speak_tls(hanging_up: str) -> None:
    assert "does not answer in TLS" in why_no_answer(hanging_up, {"security_protocol": "SSL"})
