"""A small learner: the journey is tested with it, whatever the learners of the package are like."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_adapter import plugins
from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Answer, Events, Labels, LearnerContext, Records, Standing, standing_of
from stream_adapter.adapter.packing import Arrays
from stream_adapter.config import Section
from stream_adapter.errors import SnapshotError

_installed = plugins.entry_points


def _with_class_means(**wanted: str) -> list[EntryPoint]:
    """Entry points as if a distribution with the learner was installed."""
    own = EntryPoint("class-means", "tests.learners:ClassMeans", plugins.LEARNERS.group)
    asked = wanted.get("group") == own.group and wanted.get("name", own.name) == own.name
    return [*_installed(**wanted), *([own] if asked else [])]


plugins.entry_points = _with_class_means  # type: ignore[assignment]


NEWS = 20


class ClassMeans:
    """Zero-shot, and a bonus for labelled classes by the cosine with the mean of their anchors.

    It publishes how many events it has seen, every `NEWS`.
    """

    Settings: ClassVar[type[Section]] = Section
    fails_at: ClassVar[dict[str, Callable[[NDArray[np.float32]], bool]]] = {}  # by what it does: which vectors fail it

    def __init__(self, classes: Classes, anchors: Anchors, settings: Any, context: LearnerContext) -> None:
        self._classes = classes
        self._anchors = anchors
        self._context = context
        self.keys: list[int] = []
        self.labelled = 0  # labels that it was given and not taken again
        self.followed: dict[str, bytes] = {}
        self._said = 0

    def predict(self, vectors: NDArray[np.float32]) -> Answer:
        self._fail("predict", vectors)
        logits = self._classes.logit_scale * vectors @ self._classes.texts.T  # (B, C)
        zero_shot = softmax(logits)
        for label in np.unique(self._anchors.classes).tolist():
            mean = self._anchors.vectors[self._anchors.classes == label].mean(axis=0)
            logits[:, label] += 30.0 * np.maximum(vectors @ mean / np.linalg.norm(mean) - 0.6, 0.0)
        adapted = softmax(logits) if len(self._anchors) else zero_shot
        return Answer(zero_shot, adapted, adapted)

    def update(self, events: Events, labels: Labels) -> None:
        self._fail("update", events.vectors)
        self.keys += [key for key in events.keys.tolist() if key not in self.keys]
        self.labelled += len(labels.rows)

    def follow(self, labels: Labels, records: Records) -> None:
        for key, value in records.items():
            if value is None:
                self.followed.pop(key, None)
            else:
                json.loads(value)
                self.followed[key] = value
        self.labelled += len(labels.rows)

    def forget(self, rows: NDArray[np.int64], vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        self.labelled -= len(rows)

    def set_classes(self, classes: Classes, former: NDArray[np.int64]) -> None:
        self._classes = classes

    def records(self) -> Mapping[str, bytes]:
        if not self._context.publishes or len(self.keys) < self._said + NEWS:
            return {}
        self._said = len(self.keys)
        return {f"evidence/{self._context.slot}": json.dumps({"events": self._said}).encode()}

    def standing(self) -> Standing:
        return standing_of(self._anchors.counts > 0)

    def state(self) -> dict[str, NDArray[Any]]:
        return {"keys": np.array(self.keys, np.uint64)}

    def restore(self, arrays: Arrays) -> None:
        if "keys" in arrays:
            if arrays["keys"].ndim != 1:
                raise SnapshotError("no keys")
            self.keys = arrays["keys"].tolist()

    @property
    def version(self) -> str:
        return "".join(sorted(self.followed))

    @property
    def pending(self) -> int:
        return 0

    def _fail(self, what: str, vectors: NDArray[np.float32]) -> None:
        fails = self.fails_at.get(what)
        if fails is not None and fails(vectors):
            raise ZeroDivisionError(f"{what} failed")


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(wide / wide.sum(axis=1, keepdims=True), np.float32)
