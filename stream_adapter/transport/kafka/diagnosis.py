"""Why a cluster does not let us in: kafka-python only says, after a while, that it did not."""

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from kafka.errors import KafkaError

from stream_adapter.transport.kafka.internals import (
    KafkaProtocol,
    MetadataRequest,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
    get_sasl_mechanism,
)

_TIMEOUT_S = 5.0
_PASSWORDS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_TOKENS = "sasl_oauth_token_provider"
_FILES = ("ssl_cafile", "ssl_certfile", "ssl_keyfile")
_OTHER_PORT = "`kafka.security.security_protocol` and the port do not belong together"


class Refusal(str):
    """A reason that does not pass by itself."""


def why_no_answer(server: str, security: Mapping[str, Any]) -> str:
    """What keeps a client from talking to a broker: goes the way a client goes, to where it ends.

    Args:
        server: `host:port`.
        security: the client's options, with its provider of tokens.

    Returns:
        The reason and what to do, without any secret; empty where nothing is wrong, or nothing that can be told. A
        `Refusal` where asking again would not help.
    """
    host, _, port = server.rpartition(":")
    protocol = str(security.get("security_protocol", "PLAINTEXT"))
    try:
        context = _tls_context(security) if protocol.endswith("SSL") else None
    except (OSError, ValueError) as error:  # an ssl.SSLError is an OSError
        files = ", ".join(f"{name}: {security[name]}" for name in _FILES if name in security)
        return Refusal(f"a file in `kafka.security` cannot be used ({error}): {files}")
    try:
        plain = socket.create_connection((host.strip("[]"), int(port)), _TIMEOUT_S)
    except (OSError, ValueError) as error:
        return f"{server} cannot be reached ({error}); is the broker running, and is `kafka.bootstrap_servers` right?"
    with plain:
        if context is None:
            return _first_words(_Conversation(plain), server, host, protocol, security)
        try:
            encrypted = context.wrap_socket(plain, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            if "mismatch" in error.verify_message:
                advice = "`kafka.bootstrap_servers` must have the name that stands in its certificate"
            else:
                advice = "`kafka.security.ssl_cafile` must be the authority that signed it"
            return Refusal(f"the certificate of {server} is not accepted ({error.verify_message}): {advice}")
        except OSError as error:
            return f"{server} does not answer in TLS ({error}): {_OTHER_PORT}"
        with encrypted:
            return _first_words(_Conversation(encrypted), server, host, protocol, security)


class _Conversation:
    """Requests and answers, one after another."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._frames = KafkaProtocol(client_id="stream-adapter-diagnosis")

    def ask(self, request: Any, version: int) -> Any:
        """The answer; None where the broker hangs up instead."""
        request.API_VERSION = version
        self._frames.send_request(request)
        try:
            self._connection.sendall(self._frames.send_bytes())
            while received := self._connection.recv(4096):
                answers = self._frames.receive_bytes(received)
                if answers:
                    return answers[0][1]
        except (OSError, KafkaError):
            pass
        return None


def _first_words(
    conversation: _Conversation, server: str, host: str, protocol: str, security: Mapping[str, Any]
) -> str:
    if not protocol.startswith("SASL"):
        answer = conversation.ask(MetadataRequest(topics=[]), 1)
        return "" if answer else f"{server} hangs up on the first request: {_OTHER_PORT}"
    name = str(security.get("sasl_mechanism"))
    known = conversation.ask(SaslHandshakeRequest(mechanism=name), 1)
    if known is None:
        return f"{server} hangs up on the first request: {_OTHER_PORT}"
    if name not in known.mechanisms:
        offered = ", ".join(known.mechanisms)
        return Refusal(f"{server} does not know `kafka.security.sasl_mechanism` {name!r}, but {offered}")
    user = security.get("sasl_plain_username")
    if not (name in _PASSWORDS and user) and _TOKENS not in security:
        return ""
    mechanism = get_sasl_mechanism(name)(host=host, **security)
    while not mechanism.is_done():
        answer = conversation.ask(SaslAuthenticateRequest(mechanism.auth_bytes()), 1)
        if answer is None or answer.error_code:
            why = f" ({answer.error_message})" if answer else ""
            if _TOKENS in security:  # which may be renewed at any moment
                return f"{server} does not accept the token that `kafka.security.{_TOKENS}` gives{why}: has it expired?"
            return Refusal(
                f"{server} does not accept user {user!r} with its password{why}: "
                "correct `sasl_plain_username` and `sasl_plain_password` in `kafka.security`"
            )
        mechanism.receive(answer.auth_bytes)
    return ""


def _tls_context(security: Mapping[str, Any]) -> ssl.SSLContext:
    """As kafka-python makes it."""
    context = ssl.create_default_context(cafile=security.get("ssl_cafile") or None)
    context.check_hostname = bool(security.get("ssl_check_hostname", True))
    if security.get("ssl_certfile"):
        context.load_cert_chain(security["ssl_certfile"], security.get("ssl_keyfile"), security.get("ssl_password"))
    return context
