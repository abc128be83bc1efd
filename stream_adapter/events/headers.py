"""Headers, times and JSON objects: the small things that all wire forms share."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from stream_adapter.errors import MalformedEvent
from stream_adapter.transport.base import Headers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decode_headers(headers: Headers) -> dict[str, str]:
    """Headers as text, names in lower case; the last one of a name wins.

    Raises:
        MalformedEvent: a value is not UTF-8.
    """
    decoded = {}
    for name, value in headers:
        try:
            decoded[name.lower()] = value.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedEvent(f"header {name!r} is not UTF-8: {value[:40]!r}") from error
    return decoded


def read_object(value: bytes | None, what: str) -> dict[str, Any]:
    """The JSON object that a record's value is.

    Args:
        value: of the record.
        what: it should be, for the message.

    Raises:
        MalformedEvent: it is not JSON, or no object.
    """
    try:
        document = json.loads(value or b"")
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"{what} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise MalformedEvent(f"{what} must be a JSON object, found {type(document).__name__}")
    return document


def format_time(time_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, as CloudEvents asks for."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str | None, default_ms: int) -> int:
    """Milliseconds since the epoch of an RFC 3339 time; `default_ms` where there is none.

    Raises:
        MalformedEvent: the text is not a time, or has no time zone.
    """
    if text is None:
        return default_ms
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedEvent(f"`ce_time` {text!r} is not an RFC 3339 time") from error
    if moment.tzinfo is None:
        raise MalformedEvent(f"`ce_time` {text!r} has no time zone; RFC 3339 asks for one, such as 'Z'")
    # Integer arithmetic: a float of seconds loses the last millisecond now and then.
    return (moment - _EPOCH) // timedelta(milliseconds=1)
