"""Events and predictions to show."""

from typing import Any

import numpy as np

from stream_adapter.events import ClassScore, ImageEvent, Neighbour, Prediction, Versions
from stream_adapter.page.sampling import Seen
from stream_adapter.transport.base import Record
from stream_adapter.transport.memory import IMAGES


def event(id: str = "1", label: str | None = None) -> ImageEvent:
    return ImageEvent("/test", id, 0, "image/jpeg", b"", label, None, Record(IMAGES, 0, 0, None, b""))


def prediction(id: str = "1", **changes: Any) -> Prediction:
    """Zero-shot says cat, the adapted model dog, moved by two of three anchors; `changes` to its attributes."""
    attributes: dict[str, Any] = {
        "event_source": "/test",
        "event_id": id,
        "event_time_ms": 0,
        "top": (ClassScore("dog", 0.7, 0.2, "labelled", 1.0), ClassScore("cat", 0.3, 0.8, "labelled", 1.0)),
        "zero_shot_label": "cat",
        "label": None,
        "gate": 0.8,
        "anchors": (Neighbour("a" * 32, "dog", 0.93), Neighbour("b" * 32, "cat", 0.9), Neighbour("c" * 32, "dog", 0.8)),
        "top_has_anchors": True,
        "novelty": 0.1,
        "versions": Versions("encoder", "vocabulary", "adapter"),
        "timings_ms": {"encode": 1.0},
    }
    return Prediction(**{**attributes, **changes})


def seen(id: str = "1", side: int = 224, **changes: Any) -> Seen:
    picture = np.random.default_rng(0).integers(0, 255, (3, side, side), dtype=np.uint8)
    return Seen(event(id).anchor_id, picture, prediction(id, **changes), "random")
