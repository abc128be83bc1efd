"""SASL/OAUTHBEARER: tokens of a function that an import path names (`kafka.security.sasl_oauth_token_provider`)."""

import os
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from stream_adapter.errors import ConfigError
from stream_adapter.transport.kafka.internals import AbstractTokenProvider

KEY = "sasl_oauth_token_provider"
_RENEW_S = 60.0


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # the client comes without types
    """Asks for a token when the last one is about to expire; one that says no expiry is asked for at every connection.

    Args:
        make: gives a token, or a token and when it expires, milliseconds since the epoch. Never called twice at once.
        clock: seconds since the epoch.
    """

    def __init__(self, make: Callable[[], Any], clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._token, self._expires_s = "", 0.0

    def token(self) -> str:
        """A token that is good for a minute at least, as far as anybody knows."""
        with self._lock:
            if self._clock() >= self._expires_s - _RENEW_S:
                made = self._make()
                token, expires_ms = made if isinstance(made, tuple) else (made, 0)
                self._token, self._expires_s = str(token), float(expires_ms) / 1e3
            return self._token


def token_provider(path: str) -> AbstractTokenProvider:
    """What an import path `package.module:name` leads to: a provider of kafka-python's, or a function for `Tokens`.

    Raises:
        ConfigError: it leads nowhere, or to something that gives no tokens.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        said = f"kafka.security.{KEY}: {path!r} cannot be imported, `package.module:name`: {error}"
        raise ConfigError([said]) from error
    if isinstance(found, type) and issubclass(found, AbstractTokenProvider):
        return found()
    if not callable(found):
        raise ConfigError([f"kafka.security.{KEY}: {path!r} is no function that gives a token, and no token provider"])
    return Tokens(found)


def msk_iam() -> tuple[str, int]:
    """A token for Amazon MSK, of whatever credentials boto finds; the region is `AWS_REGION`.

    Raises:
        ConfigError: the signer is not installed, or there is no region.
    """
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
    except ImportError as error:
        raise ConfigError(["Amazon MSK: pip install aws-msk-iam-sasl-signer-python"]) from error
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise ConfigError(["Amazon MSK: set AWS_REGION to the cluster's region"])
    token, expires_ms = MSKAuthTokenProvider.generate_auth_token(region)
    return str(token), int(expires_ms)
