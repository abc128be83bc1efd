"""Where a picture is stored, when it does not travel with its event: a URL, read strictly."""

import re
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from stream_adapter.errors import MalformedEvent

PORTS = {"http": 80, "https": 443}
"""The schemes that are fetched from whatever host the reference names, with their ports."""

STORES = ("s3", "gs", "az")
"""Object stores: the reference names a bucket, the worker's environment the endpoint."""

SCHEMES = (*PORTS, *STORES, "file")

_BEGINS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")
_BUCKET = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,221}")
_KEPT = "/%:@!$&'()*+,;=~-._?"  # what else a URL may not hold is escaped
_LONGEST = 4_096


class Reference(NamedTuple):
    """A reference that was taken apart once: what is checked is what is asked for.

    Attributes:
        scheme: one of `SCHEMES`.
        host: in lower case, an IPv6 address in brackets; a bucket or container; empty for files.
        port: of HTTP; 0 for all others.
        path: beginning with `/`; of HTTP escaped, with the query; of a file, or in a bucket, as it is.
    """

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        port = f":{self.port}" if self.port != PORTS.get(self.scheme, 0) else ""
        return f"{self.scheme}://{self.host}{port}{self.path}"

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Take a reference apart."""
        try:
            return cls._parse(text)
        except ValueError as error:
            raise MalformedEvent(f"the reference {text[:200]!r} {error}") from error

    @classmethod
    def _parse(cls, text: str) -> "Reference":
        scheme = scheme_of(text)
        if scheme not in SCHEMES:
            raise ValueError(f"must begin with one of {', '.join(f'{known}://' for known in SCHEMES)}")
        if len(text) > _LONGEST:
            raise ValueError(f"is longer than {_LONGEST:,} characters")
        rest = text[len(scheme) + 3 :]
        read = rest if scheme in STORES else unquote(unquote(rest))  # in a bucket `%2e` is part of a name
        if _CONTROL.search(read):
            raise ValueError("holds control characters")
        steps = re.split(r"[/\\]", read.partition("?")[0])[1:]
        if any(step.partition(";")[0] in (".", "..") for step in steps):  # some servers cut `..;` to `..`
            raise ValueError("has `.` or `..` in its path")
        if scheme in PORTS:
            return cls(scheme, *_http_parts(f"{scheme}://{rest}"))
        host, slash, path = rest.partition("/")
        if scheme == "file":
            if host.lower() not in ("", "localhost") or not path:
                raise ValueError("must be file:///PATH")
            return cls(scheme, "", 0, f"/{unquote(path)}")
        if not _BUCKET.fullmatch(host) or not slash:
            raise ValueError(f"must be {scheme}://BUCKET/KEY")
        if path.startswith("/") or "//" in path:
            raise ValueError("has an empty step in its key")
        return cls(scheme, host, 0, f"/{path}")


def allowed(text: str) -> Reference:
    """Read an entry of a list of what may be fetched: a reference, or where references begin.

    The host of an HTTP address may be `*`, or begin with `*.`; without a path it is all that is there.
    """
    concrete = re.sub(r"://\*(?=[./:]|$)", "://any", text, count=1)
    entry = Reference.parse(concrete if concrete.count("/") > 2 else f"{concrete}/")
    if concrete != text:
        if entry.scheme not in PORTS:
            raise MalformedEvent(f"{text!r} allows all buckets; name each")
        entry = entry._replace(host="*" + entry.host.removeprefix("any"))
    return entry


def scheme_of(text: str) -> str:
    """The scheme of text that begins as a URL with an authority does, in lower case; empty where it does not."""
    begins = _BEGINS.match(text)
    return begins[1].lower() if begins else ""


def _http_parts(text: str) -> tuple[str, int, str]:
    """Host, port and escaped path with the query."""
    parts = urlsplit(text)
    if "@" in parts.netloc or "\\" in text or " " in text:
        raise ValueError("holds a user's name, a backslash or a blank")
    host = (parts.hostname or "").removesuffix(".")
    host = f"[{host}]" if ":" in host else host.encode("idna").decode().lower()
    if not _HOST.fullmatch(host):
        raise ValueError("names no host")
    port = parts.port if parts.port is not None else PORTS[parts.scheme]
    if not port:
        raise ValueError("names port 0")
    query = f"?{parts.query}" if parts.query else ""
    return host, port, quote((parts.path or "/") + query, safe=_KEPT)
