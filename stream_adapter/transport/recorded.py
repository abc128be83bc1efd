"""A whole record as one line of JSON: how topics are recorded into files and files are read as topics.

    {"topic": "images", "partition": 0, "offset": 7, "timestamp_ms": 1700000000000,
     "key": "Y2F0", "value": "/9j/4AAQ…", "headers": [["ce_id", "Nw=="]]}

`key`, `value` and header values are base64, or null where there is none; nothing is interpreted, so nothing is lost.
"""

import base64
import binascii
import json
from typing import Any

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.payloads import json_object
from stream_adapter.transport.base import Partition, Record


def to_line(record: Record) -> bytes:
    """The record as a line of JSON, with its line end."""
    document = {
        "topic": record.partition.topic,
        "partition": record.partition.number,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": _encode(record.key),
        "value": _encode(record.value),
        "headers": [[name, _encode(value)] for name, value in record.headers],
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> Record:
    """Read a record back.

    Raises:
        MalformedEvent: the line is not a recorded record; the message says which field is wrong.
    """
    document = json_object(line, "the line")
    return Record(
        Partition(_field(document, "topic", str), _field(document, "partition", int)),
        _field(document, "offset", int),
        _field(document, "timestamp_ms", int),
        _decode("key", document.get("key")),
        _decode("value", document.get("value")),
        tuple(_header(pair) for pair in _field(document, "headers", list)),
    )


def _encode(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode("ascii")


def _decode(name: str, text: Any) -> bytes | None:
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise MalformedEvent(f"`{name}` is not base64: {error}") from error


def _header(pair: Any) -> tuple[str, bytes]:
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
        raise MalformedEvent(f"a header must be a pair of name and base64 value, found {pair!r:.80}")
    return pair[0], _decode(f"headers.{pair[0]}", pair[1]) or b""


def _field(document: dict[str, Any], name: str, kind: type) -> Any:
    value = document.get(name)
    if type(value) is not kind:  # `isinstance` would take true for 1
        raise MalformedEvent(f"`{name}` must be {kind.__name__}, found {value!r:.80}")
    return value
