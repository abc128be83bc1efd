"""Events and predictions to show."""

from typing import Any

import numpy as np

from stream_adapter.events import ImageEvent, PredictionDocument
from stream_adapter.page.sampling import Seen
from stream_adapter.transport.base import Record
from stream_adapter.transport.memory import IMAGES


def event(id: str = "1", label: str | None = None) -> ImageEvent:
    return ImageEvent("/test", id, 0, "image/jpeg", b"", label, None, Record(IMAGES, 0, 0, None, b""))


def score(label: str, adapted: float, zero_shot: float, kind: str = "labelled") -> dict[str, Any]:
    return {"label": label, "adapted": adapted, "zero_shot": zero_shot, "kind": kind, "presence": 1.0}


def prediction(id: str = "1", **changes: Any) -> PredictionDocument:
    """Zero-shot says cat, the adapted model dog, moved by two of three anchors; `changes` to its members."""
    near = (("a", "dog", 0.93), ("b", "cat", 0.9), ("c", "dog", 0.8))
    return {
        "event": {"source": "/test", "id": id, "time": "1970-01-01T00:00:00.000Z"},
        "top": [score("dog", 0.7, 0.2), score("cat", 0.3, 0.8)],
        "zero_shot_label": "cat",
        "label": None,
        "gate": 0.8,
        "anchors": [{"id": letter * 32, "label": label, "cosine": cosine} for letter, label, cosine in near],
        "top_has_anchors": True,
        "novelty": 0.1,
        "none_of_these": 0.05,
        "unknown": False,
        "versions": {"encoder": "encoder", "vocabulary": "vocabulary", "adapter": "adapter"},
        "timings_ms": {"encode": 1.0},
        **changes,
    }


def seen(id: str = "1", side: int = 224, **changes: Any) -> Seen:
    picture = np.random.default_rng(0).integers(0, 255, (3, side, side), dtype=np.uint8)
    return Seen(event(id).anchor_id, picture, prediction(id, **changes), "random")
