"""Image events as CloudEvents 1.0, in binary mode or in structured JSON mode.

In binary mode the attributes travel in `ce_*` headers and the picture is the value; in structured mode
(`application/cloudevents+json`) the picture is in `data_base64`. In its place `dataref` may say where it is.
Both are defined by the Kafka protocol binding:
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.formats import may_be_picture
from stream_adapter.events.headers import checked_traceparent, decode_headers, parse_time
from stream_adapter.events.image import EMBEDDING, EVENT_TYPE, ImageEvent
from stream_adapter.events.names import canonical_name
from stream_adapter.events.payloads import as_text, from_base64, json_object, looks_like_json, media_type
from stream_adapter.events.reference import Reference
from stream_adapter.events.times import EventTimes
from stream_adapter.transport.base import UNREADABLE, Record

STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch"
_ANY_STRUCTURED = "application/cloudevents"
_PREFIX = "ce_"
_REQUIRED = ("id", "source", "type", "specversion")
_MEMBERS = (*_REQUIRED, "time", "label", "datacontenttype", "fingerprint", "dataref")  # what a worker reads
_SHOWN_MEMBERS = 5


def parse_image_event(record: Record, times: EventTimes | None = None) -> ImageEvent:
    """Read a CloudEvent, in either mode."""
    times = times or EventTimes()
    refuse_unreadable(record)
    # As text; what else tools attach may be none.
    headers = decode_headers([(n, value) for name, value in record.headers if (n := _of_interest(name)) is not None])
    content_type = media_type(headers.get("content-type", ""))
    document = _structured_document(record, headers, content_type)
    attributes: Mapping[str, Any]
    if document is None:
        attributes = {name[len(_PREFIX) :]: value for name, value in headers.items() if name.startswith(_PREFIX)}
        data = record.value
        mended_by = "send it as the header `ce_{}`"
        content_type = content_type or media_type(headers.get("ce_datacontenttype", ""))  # JavaScript's SDK
    else:
        attributes, data = _read_structured(document)
        mended_by = "send it as the member `{}` of the JSON object"
        given = attributes.get("datacontenttype")
        if given is not None or content_type.startswith(_ANY_STRUCTURED):
            content_type = media_type(given or "")

    for name in _REQUIRED:
        if not attributes.get(name):
            raise MalformedEvent(f"CloudEvents attribute `{name}` is missing or empty; {mended_by.format(name)}")
    if attributes["specversion"] != "1.0":
        raise MalformedEvent(f"CloudEvents specversion {attributes['specversion']!r} is not supported; send '1.0'")
    if attributes["type"] != EVENT_TYPE:
        raise MalformedEvent(f"event type {attributes['type']!r} is not {EVENT_TYPE!r}")
    dataref = attributes.get("dataref") if not data else None  # https://github.com/cloudevents/spec, dataref.md
    reference = None if dataref is None else Reference.parse(dataref)
    undeclared = reference is not None and not content_type  # of what is stored somewhere nobody may know it
    if content_type != EMBEDDING and not may_be_picture(content_type) and not undeclared:
        raise MalformedEvent(
            f"content type {content_type!r} is neither a picture's (image/…, application/octet-stream, "
            f"binary/octet-stream) nor {EMBEDDING}"
        )
    if data is None and reference is None:
        raise MalformedEvent(
            "the event has no payload; the value must be the picture's bytes, or `ce_dataref` say where they are"
        )
    label = attributes.get("label")
    if label is not None and not canonical_name(label):
        raise MalformedEvent("`ce_label` is empty; leave it out where there is no label")
    fingerprint = attributes.get("fingerprint")
    if content_type == EMBEDDING and not fingerprint:
        raise MalformedEvent("an embedding event needs `ce_fingerprint`, the encoder that its vector came from")
    time = attributes.get("time")
    return ImageEvent(
        source=attributes["source"],
        id=attributes["id"],
        time_ms=times.of(record, None if time is None else parse_time(time, "`ce_time`")),
        content_type=content_type,
        data=data or b"",
        reference=reference,
        label=None if label is None else canonical_name(label),
        fingerprint=fingerprint,
        record=record,
        traceparent=checked_traceparent(attributes.get("traceparent") or headers.get("traceparent")),
    )


def is_cloud_event(record: Record) -> bool:
    """Whether the record says that it is a CloudEvent, or that it cannot be read at all, whatever else is expected."""
    headers = {name.lower(): value for name, value in record.headers}
    structured = headers.get("content-type", b"").lower().startswith(_ANY_STRUCTURED.encode())
    return structured or "ce_specversion" in headers or UNREADABLE in headers


def refuse_unreadable(record: Record) -> None:
    """Refuse a record that the transport could not read."""
    unreadable = dict(record.headers).get(UNREADABLE)
    if unreadable is not None:
        raise MalformedEvent(unreadable.decode(errors="replace"))


@lru_cache(maxsize=1_024)
def _of_interest(name: str) -> str | None:
    """A header's name in lower case, if it is one of CloudEvents', the content type or the trace."""
    name = name.lower()
    return name if name.startswith(_PREFIX) or name in ("content-type", "traceparent") else None


def _structured_document(record: Record, headers: Mapping[str, str], content_type: str) -> dict[str, Any] | None:
    """The JSON object of an event in structured mode; None in binary mode.

    A JSON object with `specversion` and no `ce_` header is one whatever its content type says: the Python SDK's 1.x
    gives it the picture's.
    """
    if content_type.startswith(BATCHED):
        raise MalformedEvent(
            f"the content type {content_type!r} is CloudEvents' batched mode, several events in one record; send each "
            "in a record of its own, in binary mode or as application/cloudevents+json"
        )
    if content_type == STRUCTURED:
        return json_object(record.value, "structured CloudEvent")
    if content_type.startswith(_ANY_STRUCTURED):
        raise MalformedEvent(f"the content type {content_type!r} is not read; send CloudEvents as {STRUCTURED}")
    if any(name.startswith(_PREFIX) for name in headers):
        return None
    if not looks_like_json(record.value):
        raise MalformedEvent(
            "no CloudEvent: the headers hold no CloudEvents attribute such as `ce_id`; for a topic of pictures without "
            "any set `events.format: raw`"
        )
    document = json_object(record.value, "a value that begins with '{'")
    if "specversion" in document:
        return document
    names = ", ".join(f"`{as_shown}`" for as_shown in (name[:40] for name in list(document)[:_SHOWN_MEMBERS]))
    raise MalformedEvent(
        f"plain JSON with the members {names or 'none'}, and no CloudEvent; set `events.format: json`, and name its "
        "fields in `events.fields`"
    )


def _read_structured(document: dict[str, Any]) -> tuple[dict[str, str], bytes | None]:
    """Attributes and payload of a structured-mode event; `data` (JSON) is not a picture and is refused."""
    members = {name.lower(): value for name, value in document.items()}
    attributes = {name: as_text(members[name], f"`{name}`") for name in _MEMBERS if members.get(name) is not None}
    traceparent = members.get("traceparent")
    if isinstance(traceparent, str):
        attributes["traceparent"] = traceparent
    if members.get("data_base64") is not None:
        return attributes, from_base64(members["data_base64"], "`data_base64`")
    if members.get("data") is not None:
        raise MalformedEvent("the event has no payload in `data_base64`, but one in `data`; a picture is not JSON")
    return attributes, None
