"""What travels: image events in, predictions, anchors and drift events out, and their wire forms.

What is not as it must be is a `MalformedEvent`, of a newer format a `NewerFormat`; the message says what and the value.
"""

from stream_adapter.events.anchor import (
    BY_HAND,
    FORGOTTEN,
    AnchorRecord,
    anchor_tombstone,
    anchor_vectors,
    round_through_float16,
)
from stream_adapter.events.cloudevents import STRUCTURED, parse_image_event
from stream_adapter.events.drift import DriftEvent
from stream_adapter.events.image import (
    EMBEDDING,
    ImageEvent,
    image_event_headers,
)
from stream_adapter.events.names import canonical_name
from stream_adapter.events.prediction import PredictionDocument, prediction_record
from stream_adapter.events.presence import PRESENCE_PREFIX, PresenceRecord
from stream_adapter.events.times import EventTimes

__all__ = [
    "BY_HAND",
    "EMBEDDING",
    "FORGOTTEN",
    "PRESENCE_PREFIX",
    "STRUCTURED",
    "AnchorRecord",
    "DriftEvent",
    "EventTimes",
    "ImageEvent",
    "PredictionDocument",
    "PresenceRecord",
    "anchor_tombstone",
    "anchor_vectors",
    "canonical_name",
    "image_event_headers",
    "parse_image_event",
    "prediction_record",
    "round_through_float16",
]
