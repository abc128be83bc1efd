"""Headers and times as text: the small things that all wire forms share."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from stream_adapter.errors import MalformedEvent, NewerFormat
from stream_adapter.transport.base import Headers

# The header that says how a record of ours is to be read; raised where an older version could not.
FORMAT = "format"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_LEAP_SECOND = re.compile(r"(?<=T\d\d:\d\d:)60")

# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def decode_headers(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Headers as text, names in lower case; the last one of a name wins."""
    decoded = {}
    try:
        for name, value in headers:
            decoded[name.lower()] = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedEvent(f"header {name!r} is not UTF-8: {value[:40]!r}") from error
    return decoded


def cloud_event(type: str, source: str, id: str, time_ms: int, subject: str = "", format: int | None = None) -> Headers:
    """The headers of a CloudEvent of ours with a JSON value, in binary mode; an attribute may be absent, not empty."""
    headers = {
        "ce_specversion": "1.0",
        "ce_type": type,
        "ce_source": source,
        "ce_id": id,
        "ce_time": format_time(time_ms),
        "ce_subject": subject,
        "content-type": "application/json",
        FORMAT: "" if format is None else str(format),
    }
    return tuple((name, text.encode()) for name, text in headers.items() if text)


def header_of(headers: Sequence[tuple[str, bytes]], name: str) -> str | None:
    """A header as text, the last one of its name; None where there is none, or no text in it."""
    for header, value in reversed(headers):
        if header.lower() == name:
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
    return None


def format_time(time_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, as CloudEvents asks for; what is beyond years 1 and 9999 is their bound."""
    moment = _EPOCH + timedelta(milliseconds=min(max(time_ms, _FIRST_MS), _LAST_MS))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str, what: str = "`time`") -> int:
    """Milliseconds since the epoch of an RFC 3339 time; `what` it is called where it was given.

    Letters may be small (RFC 3339, 5.6); a leap second is the one before it, as most clocks have it.
    """
    try:
        moment = datetime.fromisoformat(_LEAP_SECOND.sub("59", text.strip().upper()))
    except ValueError as error:
        raise MalformedEvent(f"{what} {text!r} is not an RFC 3339 time") from error
    if moment.tzinfo is None:
        raise MalformedEvent(f"{what} {text!r} has no time zone; RFC 3339 asks for one, such as 'Z'")
    # Integer arithmetic: a float of seconds loses the last millisecond now and then.
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def checked_traceparent(text: str | None) -> str | None:
    """A W3C trace context's `traceparent`; None where there is none, or what is there is none."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def check_format(fields: Mapping[str, str], known: int, what: str) -> None:
    """Whether a record of ours is of a format that this version reads; one that names none is of the first."""
    said = fields.get(FORMAT, "1")
    if not (said.isascii() and said.isdigit()):
        raise MalformedEvent(f"format {said[:40]!r} of {what} is no number")
    if int(said[:9]) > known:
        raise NewerFormat(f"{what} of format {said[:40]}, this version reads up to {known}: upgrade this worker")
