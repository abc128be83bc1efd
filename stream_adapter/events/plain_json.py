"""Image events as plain JSON: fields of the topic's own, mapped by configuration."""

from functools import lru_cache
from typing import Any, Literal

from stream_adapter.config import EventsConfig
from stream_adapter.errors import MalformedEvent
from stream_adapter.events.headers import checked_traceparent, header_of, parse_time
from stream_adapter.events.image import EMBEDDING, ImageEvent
from stream_adapter.events.names import canonical_name
from stream_adapter.events.payloads import as_text, from_numbers, from_picture, json_object, looks_like_json
from stream_adapter.events.place import place_of, source_of
from stream_adapter.events.reference import SCHEMES, Reference, scheme_of
from stream_adapter.events.times import EventTimes
from stream_adapter.transport.base import Record

_SECONDS_BELOW = 100_000_000_000  # as milliseconds early in 1973, as seconds the year 5138
_LARGEST_MS = 2**62
_SHOWN_MEMBERS = 5


class JsonFormat:
    """Reads fields of a JSON object, found by path.

    What has no path is taken from the record: the id from topic, partition and offset, the source from the topic, the
    time from the record's own.
    """

    def __init__(self, config: EventsConfig, times: EventTimes) -> None:
        self._paths: dict[str, str] = config.fields.model_dump(exclude_none=True)
        self._unit = config.time_unit
        self._times = times

    def parse(self, record: Record) -> ImageEvent:
        """Read an image event."""
        if not looks_like_json(record.value):
            found = "no value" if record.value is None else f"a value that begins with {record.value[:8]!r}"
            raise MalformedEvent(
                f"`events.format: json` asks for a JSON object, found {found}; for pictures alone set `events.format: "
                "raw`, for CloudEvents `cloudevents`"
            )
        document = json_object(record.value, "the value")
        content_type, data, reference = self._payload(document)
        label, time = self._text(document, "label"), self._found(document, "time")
        return ImageEvent(
            source=self._text(document, "source") or source_of(record),
            id=self._id(document) or place_of(record),
            time_ms=self._times.of(record, None if time is None else time_ms_of(time, self._what("time"), self._unit)),
            content_type=content_type,
            data=data,
            reference=reference,
            label=canonical_name(label) or None if label is not None else None,
            fingerprint=self._text(document, "fingerprint") if content_type == EMBEDDING else None,
            record=record,
            traceparent=checked_traceparent(header_of(record.headers, "traceparent")),
        )

    def _payload(self, document: dict[str, Any]) -> tuple[str, bytes, Reference | None]:
        """Content type and bytes of the picture or vector, or where the picture is stored."""
        if "vector" in self._paths:
            return EMBEDDING, self._vector(document), None
        if "reference" in self._paths:
            return "", b"", Reference.parse(as_text(self._required(document, "reference"), self._what("reference")))
        what = self._what("picture")
        text = self._required(document, "picture")
        if isinstance(text, str) and scheme_of(text) in SCHEMES:
            raise MalformedEvent(
                f"{what} is a reference, {text[:60]!r}; then name its path in `events.fields.reference`"
            )
        return *from_picture(text, what), None

    def _vector(self, document: dict[str, Any]) -> bytes:
        return from_numbers(self._required(document, "vector"), self._what("vector"))

    def _id(self, document: dict[str, Any]) -> str | None:
        if "id" not in self._paths:
            return None
        text = id_text(self._required(document, "id"), self._what("id"))
        if not text:
            raise MalformedEvent(f"{self._what('id')} is empty; two events of one id are one event")
        return text

    def _text(self, document: dict[str, Any], name: str) -> str | None:
        value = self._found(document, name)
        return None if value is None else as_text(value, self._what(name))

    def _required(self, document: dict[str, Any], name: str) -> Any:
        value = self._found(document, name)
        if value is None:
            members = ", ".join(f"`{member[:40]}`" for member in list(document)[:_SHOWN_MEMBERS])
            raise MalformedEvent(
                f"{self._what(name)} is missing; the JSON object has {members or 'no member'}: mend "
                f"`events.fields.{name}`, or the producer"
            )
        return value

    def _found(self, document: dict[str, Any], name: str) -> Any:
        """What is at a path; None where it leads nowhere or there is no path."""
        if name not in self._paths:
            return None
        try:
            return value_at(document, self._paths[name])
        except LookupError:
            return None

    def _what(self, name: str) -> str:
        """A field as a message names it, with the key that says where it is."""
        return f"`{self._paths[name]}` (`events.fields.{name}`)"


def value_at(document: dict[str, Any], path: str) -> Any:
    """What is at a path; raises a `LookupError` where it leads nowhere."""
    node: Any = document
    for step in _steps(path):
        if isinstance(node, list) and step.isdecimal() and len(step) < 10:
            node = node[int(step)]
        elif isinstance(node, dict):
            node = node[step]
        else:
            raise LookupError(path)
    return node


def id_text(value: Any, what: str) -> str:
    """An id, which is a text or an integer."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else as_text(value, what)


def time_ms_of(value: Any, what: str, unit: Literal["ms", "s"]) -> int:
    """A time as RFC 3339 or as a number since 1970, in milliseconds."""
    to_ms = 1_000 if unit == "s" else 1
    if isinstance(value, str):
        return parse_time(value, what)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise MalformedEvent(f"{what} must be an RFC 3339 time or a number since 1970, found {value!r:.80}")
    if not abs(value) < _LARGEST_MS / to_ms:  # NaN is not either
        raise MalformedEvent(f"{what} is {value!r:.40}, which is no time")
    if to_ms == 1 and 0 < value < _SECONDS_BELOW:
        raise MalformedEvent(f"{what} is {value!r}, which looks like seconds; then set `events.time_unit: s`")
    return int(value * to_ms)


@lru_cache(maxsize=64)
def _steps(path: str) -> list[str]:
    """`a.0.b` by names and positions; a path that begins with `/` is a JSON Pointer (RFC 6901), for names with dots."""
    if path.startswith("/"):
        return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]
    return path.split(".")
