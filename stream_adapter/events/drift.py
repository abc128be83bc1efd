"""The drift event: what the monitor found, or did about it, or a status for the timeline, as CloudEvents 1.0.

Binary mode: attributes in `ce_*` headers, the figures as a JSON value under the group as key, so that what is said of
one group stays in order.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from stream_adapter.drift.alarm import Action, AlarmKind, DriftAlarm
from stream_adapter.drift.confidence_sequence import Interval
from stream_adapter.errors import MalformedEvent
from stream_adapter.events.headers import check_format, cloud_event, decode_headers, format_time, parse_time
from stream_adapter.events.payloads import json_object
from stream_adapter.transport.base import Headers, OutRecord

EVENT_TYPE = "stream_adapter.drift"
DRIFT_FORMAT = 1
_KINDS, _ACTIONS = get_args(AlarmKind), get_args(Action)
_LARGEST = 1e300  # an e-value beyond it is no less convincing, and JSON knows no infinity


@dataclass(frozen=True, slots=True)
class DriftEvent:
    """An alarm with its time; `docs/drift.schema.json` is the JSON schema of its wire form.

    Attributes:
        alarm: what was found or done, with the figures behind it.
        time_ms: time of the newest event behind it, milliseconds since the epoch.
        source: CloudEvents source: which worker says so.
    """

    alarm: DriftAlarm
    time_ms: int
    source: str

    def to_json(self) -> dict[str, Any]:
        """The wire form, as written to the drift topic."""
        alarm = self.alarm
        bounds = alarm.interval
        return {
            "kind": alarm.kind,
            "group": alarm.group,
            "action": alarm.action,
            "time": format_time(self.time_ms),
            "detector": alarm.detector,
            "observed": alarm.observed,
            "labels": alarm.labels,
            "enough": alarm.enough,
            "since": alarm.since,
            "e_value": None if alarm.e_value is None else min(alarm.e_value, _LARGEST),
            "interval": bounds and {"low": bounds.low, "high": bounds.high, "confidence": bounds.confidence},
            "evidence": dict(alarm.evidence),
            "event_ids": list(alarm.event_ids),
        }

    def to_record(self) -> OutRecord:
        """The record for the drift topic; the same event has the same id, however often it is written."""
        value = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False).encode()
        id, group = hashlib.blake2b(self.source.encode() + b"\0" + value, digest_size=16).hexdigest(), self.alarm.group
        headers = cloud_event(EVENT_TYPE, self.source, id, self.time_ms, group, DRIFT_FORMAT)
        return OutRecord("drift", group.encode(), value, headers, timestamp_ms=self.time_ms)

    @classmethod
    def from_record(cls, value: bytes | None, headers: Headers) -> "DriftEvent":
        """Read a drift event back."""
        attributes = decode_headers(headers)
        if attributes.get("ce_type") != EVENT_TYPE:
            raise MalformedEvent(f"event type {attributes.get('ce_type')!r} is not {EVENT_TYPE!r}")
        check_format(attributes, DRIFT_FORMAT, "a drift event")
        document = json_object(value, "drift event")
        alarm = DriftAlarm(
            kind=_one_of(document, "kind", _KINDS),
            group=_typed(document, "group", str),
            action=_one_of(document, "action", _ACTIONS),
            detector=_typed(document, "detector", str),
            observed=_typed(document, "observed", int),
            labels=_typed(document, "labels", int),
            enough=_typed(document, "enough", bool),
            since=_typed(document, "since", int),
            e_value=None if document.get("e_value") is None else _number(document, "e_value"),
            interval=_interval(document.get("interval")),
            evidence={name: _number(document["evidence"], name) for name in _typed(document, "evidence", dict)},
            event_ids=tuple(str(event_id) for event_id in _typed(document, "event_ids", list)),
        )
        time_ms = parse_time(_typed(document, "time", str))
        return cls(alarm, time_ms, attributes.get("ce_source", ""))


def _interval(document: Any) -> Interval | None:
    if document is None:
        return None
    if not isinstance(document, dict):
        raise MalformedEvent(f"drift event: `interval` must be an object or null, found {document!r:.80}")
    return Interval(*(_number(document, name) for name in ("low", "high", "confidence")))


def _typed(document: Mapping[str, Any], name: str, kind: type) -> Any:
    found = document.get(name)
    # True is an int in Python, and no count.
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        raise MalformedEvent(f"drift event: `{name}` must be {kind.__name__}, found {found!r:.80}")
    return found


def _number(document: Mapping[str, Any], name: str) -> float:
    found = document.get(name)
    if not isinstance(found, int | float) or isinstance(found, bool) or not abs(found) <= sys.float_info.max:
        raise MalformedEvent(f"drift event: `{name}` must be a number, found {found!r:.80}")
    return float(found)


def _one_of(document: Mapping[str, Any], name: str, known: tuple[str, ...]) -> Any:
    found = document.get(name)
    if found not in known:
        raise MalformedEvent(f"drift event: `{name}` must be one of {', '.join(known)}, found {found!r:.80}")
    return found
