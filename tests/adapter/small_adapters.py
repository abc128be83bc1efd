"""Small adapters, pictures that zero-shot confuses, and lessons that put them right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.adapter.prediction import Prediction
from stream_adapter.config import AdapterConfig
from tests.adapter.anchor_sets import anchors_of, around, random_unit, unit

D = 64
CLASSES = tuple("abcdefgh")
# As CLIP's text vectors: all in one narrow cone.
TEXTS = unit(random_unit(1, D, seed=100) + 0.7 * random_unit(len(CLASSES), D, seed=101))


def confused(count: int, label: int, seed: int, towards: int) -> NDArray[np.float32]:
    """Pictures of one class that zero-shot mostly takes for another: (count, D)."""
    centre = TEXTS[label] + 1.3 * TEXTS[towards] + random_unit(1, D, seed=label)[0]
    return around(unit(centre)[None], count, spread=0.25, seed=seed)


def make(context: LearnerContext | None = None, llu: dict[str, Any] | None = None, **config: Any) -> Adapter:
    """An adapter that fits in line after every label, if nothing else is asked for."""
    config = {"method": "llu", "protection": 0.0, "llu": {"refit": {"steps": 100}, **(llu or {})}, **config}
    return Adapter(TEXTS, CLASSES, 100.0, AdapterConfig(**config), context=context)


def taught(count: int = 8, **config: Any) -> Adapter:
    """An adapter that has seen `count` confused pictures of each of a, b and c."""
    adapter = make(**config)
    adapter.learn(lesson(count))
    return adapter


def settle(adapter: Adapter) -> None:
    """A moment in which nothing arrives."""
    adapter.learn([])


def lesson(count: int = 8) -> list[Anchor]:
    vectors = np.concatenate([confused(count, label, seed=label, towards=(label + 1) % 3) for label in range(3)])
    return anchors_of(vectors, [CLASSES[label] for label in range(3) for _ in range(count)])


def pictures(count: int = 20) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """New pictures of a, b and c: (3 * count, D) and their classes."""
    vectors = [confused(count, label, seed=50 + label, towards=(label + 1) % 3) for label in range(3)]
    return np.concatenate(vectors), np.repeat(np.arange(3), count)


def same(one: Prediction, other: Prediction) -> bool:
    return one.adapted.tobytes() == other.adapted.tobytes() and one.version == other.version
