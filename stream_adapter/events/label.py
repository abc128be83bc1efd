"""The label event: what somebody says that an image event shows, sent apart from it by its two ids alone."""

import contextlib
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stream_adapter.config import EventsConfig, LabelsConfig
from stream_adapter.errors import MalformedEvent
from stream_adapter.events.cloudevents import STRUCTURED, refuse_unreadable
from stream_adapter.events.headers import FORMAT, check_format, cloud_event, decode_headers, format_time, parse_time
from stream_adapter.events.image import anchor_id_of
from stream_adapter.events.names import canonical_name, has_control_characters
from stream_adapter.events.payloads import as_text, from_base64, json_object, media_type
from stream_adapter.events.place import place_of, source_of
from stream_adapter.events.plain_json import id_text, time_ms_of, value_at
from stream_adapter.events.reference import Reference
from stream_adapter.events.times import EventTimes
from stream_adapter.transport.base import OutRecord, Partition, Record

EVENT_TYPE = "stream_adapter.label"
LABEL_FORMAT = 1
_TEXTS = ("source", "id", "label", "annotator", "time", "reference")
_LONGEST = 8_192  # bytes: more makes no event's id, and records that their topic does not take
_ATTRIBUTES = ("specversion", "type", "source", "id")


class LabelStamp(NamedTuple):
    """Which of two label events about one image event counts: the larger one, whichever arrives first."""

    time_ms: int
    source: str
    id: str


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """A label, a correction, or a withdrawal.

    Attributes:
        event_source: CloudEvents `source` of the image event.
        event_id: CloudEvents `id` of the image event.
        label: the class name in its canonical form; None withdraws whatever was said before.
        annotator: who says so, or None.
        time_ms: when it was said, milliseconds since the epoch.
        source: CloudEvents `source` of the label event itself.
        id: CloudEvents `id` of the label event itself.
        forget: whether nothing of the image event may stay, its vector included; only with a withdrawal.
        reference: where the picture is stored, for an event of which nothing is kept any more; or empty.
        record: the record it was read from; None where it is new.
    """

    event_source: str
    event_id: str
    label: str | None
    annotator: str | None
    time_ms: int
    source: str
    id: str
    forget: bool = False
    reference: str = ""
    record: Record | None = field(default=None, repr=False, compare=False)

    @classmethod
    def new(
        cls,
        source: str,
        id: str,
        label: str | None,
        *,
        time_ms: int | None = None,
        annotator: str | None = None,
        sender: str = "stream_adapter/labels",
        forget: bool = False,
        reference: str | None = None,
    ) -> "LabelEvent":
        """A label for the image event of this `source` and `id`, by default of now; twice it is the same event.

        Raises:
            MalformedEvent: an id, or the label, is empty, or the reference is none; or no reader would take a part,
                because it is no text or too long.
        """
        if not source or not id or (label is not None and not canonical_name(label)):
            raise MalformedEvent(f"a label needs source, id and label that are not empty, found {source, id, label!r}")
        texts = {"source": source, "id": id, "label": label, "annotator": annotator, "sender": sender}
        for name, text in (texts | {"reference": reference or None}).items():
            # What is to be forgotten is there already, however long its id is.
            if text is not None and as_text(text, f"`{name}`") and not forget:
                _check_length(f"`{name}`", text)
        if label is not None and has_control_characters(label):
            raise MalformedEvent(f"`label` holds control characters, as no class does: {label[:40]!r}")
        time_ms = int(time.time() * 1000) if time_ms is None else time_ms
        label = None if label is None else canonical_name(label)
        where = str(Reference.parse(reference)) if reference else ""
        said = json.dumps([source, id, label, annotator, time_ms, forget, *([where] if where else [])]).encode()
        own_id = hashlib.blake2b(said, digest_size=16).hexdigest()
        return cls(source, id, label, annotator, time_ms, sender, own_id, forget, where)

    @property
    def anchor_id(self) -> str:
        """The id of the anchor that the image event becomes."""
        return anchor_id_of(self.event_source, self.event_id)

    @property
    def stamp(self) -> LabelStamp:
        """What decides between two label events about one image event."""
        return LabelStamp(self.time_ms, self.source, self.id)

    def to_record(self, topic: str = "labels") -> Record:
        """A record to be sent to the labels topic, in binary mode, under a key by which labels of an event are one."""
        data: dict[str, Any] = {
            "source": self.event_source,
            "id": self.event_id,
            "label": self.label,
            "time": format_time(self.time_ms),
        }
        if self.annotator is not None:
            data["annotator"] = self.annotator
        if self.forget:
            data["forget"] = True
        if self.reference:
            data["reference"] = self.reference
        headers = cloud_event(EVENT_TYPE, self.source, self.id, self.time_ms, format=LABEL_FORMAT)
        value = json.dumps(data, ensure_ascii=False).encode()
        return Record(Partition(topic, 0), 0, -1, self.anchor_id.encode(), value, headers)

    def to_output(self) -> OutRecord:
        """The same, to be written."""
        record = self.to_record()
        return OutRecord("labels", record.key, record.value, record.headers)


class PlainLabels:
    """Reads labels that are plain JSON, and no CloudEvents.

    Args:
        labels: where in them the parts are.
        events: the unit of times that are numbers.
    """

    def __init__(self, labels: LabelsConfig | None = None, events: EventsConfig | None = None) -> None:
        labels = labels or LabelsConfig()
        self._paths: dict[str, str] = labels.fields.model_dump()
        self._source, self._unit = labels.source, (events or EventsConfig()).time_unit

    def parts(self, record: Record, document: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
        """CloudEvents attributes, which name the record's place, and the data."""
        data: dict[str, Any] = {} if self._source is None else {"source": self._source}
        for name, path in self._paths.items():
            with contextlib.suppress(LookupError):
                data[name] = value_at(document, path)
        if data.get("id") is not None:
            data["id"] = id_text(data["id"], f"`{self._paths['id']}` (`labels.fields.id`)")
        if data.get("time") is not None:
            what = f"`{self._paths['time']}` (`labels.fields.time`)"
            data["time"] = format_time(time_ms_of(data["time"], what, self._unit))
        return {"specversion": "1.0", "type": EVENT_TYPE, "source": source_of(record), "id": place_of(record)}, data


def parse_label_event(record: Record, times: EventTimes | None = None, plain: PlainLabels | None = None) -> LabelEvent:
    """Read a label event, in binary or structured mode, or as plain JSON.

    Args:
        record: as it was read.
        times: decides on its time.
        plain: reads what says nowhere that it is a CloudEvent; None: by the names that a label event's data has.
    """
    refuse_unreadable(record)
    attributes, data = _parts(record, plain)
    for name in _ATTRIBUTES:
        if not attributes.get(name):
            raise MalformedEvent(f"CloudEvents attribute `{name}` is missing or empty")
        _check_length(f"attribute `{name}`", attributes[name])
    if attributes["specversion"] != "1.0" or attributes["type"] != EVENT_TYPE:
        raise MalformedEvent(
            f"a label has specversion '1.0' and type {EVENT_TYPE!r}, found {attributes['specversion']!r:.20} and "
            f"{attributes['type']!r:.80}"
        )
    texts = {name: as_text(data[name], f"`{name}`") for name in _TEXTS if data.get(name) is not None}
    for name, text in texts.items():
        _check_length(f"`{name}`", text)
    for name in ("source", "id"):
        if not texts.get(name):
            raise MalformedEvent(f"`{name}` of the image event is missing or empty in the label's data")
    if "label" not in data:
        raise MalformedEvent("`label` is missing in the label's data; null withdraws a label")
    label = canonical_name(texts["label"]) if "label" in texts else None
    if label == "":
        raise MalformedEvent("`label` is empty; null withdraws a label")
    said = texts.get("time") or attributes.get("time")
    return LabelEvent(
        event_source=texts["source"],
        event_id=texts["id"],
        label=label,
        annotator=texts.get("annotator") or None,
        time_ms=(times or EventTimes()).of(record, parse_time(said) if said else None),
        source=attributes["source"],
        id=attributes["id"],
        forget=label is None and data.get("forget") is True,
        reference=str(Reference.parse(texts["reference"])) if texts.get("reference") else "",
        record=record,
    )


def _check_length(what: str, text: str) -> None:
    if len(text.encode()) > _LONGEST:
        raise MalformedEvent(f"the label's {what} has {len(text.encode())} bytes, more than {_LONGEST}")


def _parts(record: Record, plain: PlainLabels | None) -> tuple[dict[str, str], dict[str, Any]]:
    """CloudEvents attributes, and the data."""
    headers = decode_headers(
        tuple((n, v) for n, v in record.headers if n.lower() in ("content-type", FORMAT) or n.lower().startswith("ce_"))
    )
    check_format(headers, LABEL_FORMAT, "a label")
    attributes = {name.removeprefix("ce_"): value for name, value in headers.items() if name.startswith("ce_")}
    document = json_object(record.value, "a label")
    if media_type(headers.get("content-type", "")) != STRUCTURED:
        if attributes:
            return attributes, document
        if "specversion" not in document:
            return (plain or PlainLabels()).parts(record, document)
    known = (*_ATTRIBUTES, "time")
    attributes = {name: as_text(document[name], f"`{name}`") for name in known if document.get(name) is not None}
    data = document.get("data")
    if data is None and document.get("data_base64") is not None:
        data = json_object(from_base64(document["data_base64"], "`data_base64`"), "a label's `data_base64`")
    if not isinstance(data, dict):
        raise MalformedEvent(f"a label's `data` must be a JSON object, found {data!r:.80}")
    return attributes, data
