"""The prediction: what the worker says about one event, with the anchors that moved it, as CloudEvents 1.0.

Binary mode: attributes in `ce_*` headers, the prediction as a JSON value; `docs/prediction.schema.json` describes it.
"""

from typing import Any

import orjson

from stream_adapter.events.headers import FORMAT
from stream_adapter.events.image import ImageEvent
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
