"""Pictures over HTTP: the address that was checked is the one that is connected to, and everything ends in time."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urljoin

import httpcore2

from stream_adapter.errors import MalformedEvent, UnfetchableReference
from stream_adapter.events.reference import PORTS, Reference
from stream_adapter.references.rules import TryAgain, limited

_MOVED = (301, 302, 303, 307, 308)
_LATER = (408, 425, 429)
_REDIRECTS = 3


class HttpPictures:
    """Fetches over HTTP/1.1; used by many threads at once.

    No proxy, no cookies, no credentials, and nothing is unpacked on the way.

    Args:
        check: raises where a reference may not be fetched; asked for each redirect.
        check_address: raises where an address may not be connected to.
        connections: at most so many at once.
        timeout_s: seconds for one attempt, from resolving the name to the last byte.
        max_bytes: of a picture.
    """

    def __init__(
        self,
        check: Callable[[Reference], None],
        check_address: Callable[[str], None],
        *,
        connections: int,
        timeout_s: float,
        max_bytes: int,
    ) -> None:
        self._check = check
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._deadline = _Deadline()
        self._pool = httpcore2.ConnectionPool(
            max_connections=connections,
            keepalive_expiry=30.0,
            network_backend=_Backend(check_address, self._deadline),
        )

    def fetch(self, reference: Reference) -> bytes:
        """The bytes behind a reference that was checked, after at most three redirects.

        Raises:
            UnfetchableReference: it is not there, or not allowed, or too large.
            TryAgain: the server or the network is in trouble.
        """
        self._deadline.at = time.monotonic() + self._timeout_s
        try:
            for _ in range(_REDIRECTS + 1):
                found = self._ask(reference)
                if isinstance(found, bytes):
                    return found
                if found.scheme not in PORTS:
                    raise UnfetchableReference(f"{reference} leads on to {found}, which is not HTTP")
                self._check(found)
                reference = found
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise TryAgain(f"{reference} took longer than {self._timeout_s} s (`references.timeout_s`)") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            if isinstance(error.__cause__ or error.__context__, ssl.SSLCertVerificationError):
                raise UnfetchableReference(f"{reference}: {error}") from error
            raise TryAgain(f"{reference}: {error or type(error).__name__}") from error
        raise UnfetchableReference(f"{reference}: more than {_REDIRECTS} redirects")

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _ask(self, reference: Reference) -> bytes | Reference:
        """The bytes, or where they are."""
        url = httpcore2.URL(
            scheme=reference.scheme.encode(),
            host=reference.host.strip("[]").encode(),
            port=reference.port,
            target=reference.path.encode(),
        )
        usual = reference.port == PORTS[reference.scheme]
        headers = {
            "Host": reference.host if usual else f"{reference.host}:{reference.port}",
            "Accept": "image/*, application/octet-stream, application/x-embedding",
            "Accept-Encoding": "identity",
            "User-Agent": "stream_adapter",
        }
        with self._pool.stream("GET", url, headers=list(headers.items())) as response:
            given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in _MOVED:
                try:
                    return Reference.parse(urljoin(str(reference), given.get("location", "")))
                except (MalformedEvent, ValueError) as error:
                    raise UnfetchableReference(f"{reference} leads on to something else: {error}") from error
            if response.status in _LATER or response.status >= 500:
                raise TryAgain(f"{reference}: the server answers {response.status}")
            if response.status != 200:
                raise UnfetchableReference(f"{reference}: the server answers {response.status}")
            if given.get("content-encoding", "identity").lower() != "identity":
                raise UnfetchableReference(f"{reference}: comes as {given['content-encoding']}, which is not unpacked")
            return limited(response.iter_stream(), self._max_bytes, str(reference))


class _Deadline(threading.local):
    """When the attempt of this thread must be over, monotonic seconds."""

    at = 0.0

    def remaining(self) -> float:
        remaining = self.at - time.monotonic()
        if remaining <= 0.0:
            raise httpcore2.ReadTimeout("the time for this attempt is over")
        return remaining


class _Backend(httpcore2.NetworkBackend):
    """Resolves a name itself, checks every address that it has, and connects to those."""

    def __init__(self, check_address: Callable[[str], None], deadline: _Deadline) -> None:
        self._check_address = check_address
        self._deadline = deadline
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = _addresses(host, port)
        for address in addresses:
            self._check_address(address)  # one that is not allowed among them is a lie of the name server's, or a slip
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = self._sockets.connect_tcp(address, port, self._deadline.remaining(), None, socket_options)
                return _Stream(stream, self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise httpcore2.ConnectError(f"cannot connect: {failure}") from failure


class _Stream(httpcore2.NetworkStream):
    """A connection on which nothing takes longer than the attempt that uses it may, however it is dripped."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.remaining())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.remaining())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.remaining())
        return _Stream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _addresses(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as text, each once."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise httpcore2.ConnectError(f"{host} has no address: {error}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
