"""The prediction: what the worker says about one event, with the anchors that moved it, as CloudEvents 1.0.

Binary mode: attributes in `ce_*` headers, the prediction as a JSON value; `docs/prediction.schema.json` describes it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from stream_adapter.events.headers import FORMAT
from stream_adapter.events.image import ImageEvent, anchor_id_of
from stream_adapter.events.place import place_of, source_of
from stream_adapter.transport.base import Headers, OutRecord

EVENT_TYPE = "stream_adapter.prediction"
_FIRST = (("ce_specversion", b"1.0"), ("ce_type", EVENT_TYPE.encode()))
PREDICTION_FORMAT = 1
_LAST = (("content-type", b"application/json"), (FORMAT, str(PREDICTION_FORMAT).encode()))

PredictionDocument = dict[str, Any]
"""A prediction as JSON values, as written to the predictions topic; made by `journey.explaining`."""


def prediction_record(event: ImageEvent, document: PredictionDocument) -> OutRecord:
    """The record for the predictions topic, under the key of the image event's own record.

    Source and id name that record, so that a prediction that is written again has the same ones.
    """
    record = event.record
    headers: Headers = (
        *_FIRST,
        ("ce_source", f"stream_adapter/{source_of(record)}".encode()),
        ("ce_id", place_of(record).encode()),
        ("ce_time", document["event"]["time"].encode()),
        ("ce_subject", event.id.encode()),
        *_LAST,
    )
    if event.traceparent is not None:
        # As CloudEvents' extension, and where OpenTelemetry's instrumentations of Kafka clients look.
        trace = event.traceparent.encode()
        headers += (("ce_traceparent", trace), ("traceparent", trace))
    return OutRecord("predictions", record.key, orjson.dumps(document), headers, source=record.partition)


class Moved(NamedTuple):
    """An answer that is not zero-shot's.

    Attributes:
        anchor_id: of the event.
        label: what the event came with; "" without one.
        adapted: the class of the answer.
        zero_shot: the class that zero-shot says.
        behind: ids of the anchors of the answer's class that the prediction names, but for the event's own.
    """

    anchor_id: str
    label: str
    adapted: str
    zero_shot: str
    behind: tuple[str, ...]

    @classmethod
    def of(cls, prediction: PredictionDocument) -> "Moved | None":
        """Read a prediction; None where both models say the same."""
        adapted, zero_shot = prediction["top"][0]["label"], prediction["zero_shot_label"]
        if adapted == zero_shot:
            return None
        own = anchor_id_of(prediction["event"]["source"], prediction["event"]["id"])
        ids = (one["id"] for one in prediction.get("anchors", ()) if one["label"] == adapted)
        return cls(own, prediction.get("label") or "", adapted, zero_shot, tuple(id for id in ids if id != own))


def harm_and_help(moved: Iterable[Moved], truth: Mapping[str, str]) -> tuple[Counter[str], Counter[str]]:
    """How many labelled events each anchor, by id, moved from the right class to its own, and to the right one.

    Args:
        moved: answers.
        truth: labels that came apart from their events, by the events' anchor ids.
    """
    harmed, helped = Counter[str](), Counter[str]()
    for one in moved:
        label = one.label or truth.get(one.anchor_id)
        if label == one.zero_shot:
            harmed.update(one.behind)
        elif label == one.adapted:
            helped.update(one.behind)
    return harmed, helped
