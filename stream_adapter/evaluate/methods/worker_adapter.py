"""`ours` and `llu`: the very adapter that the worker runs, scored and taught by the worker's own `Teacher`.

Only what surrounds them is simulated: refits run in line, and a clock on which four batches arrive a second takes the
place of the real one, so that runs are repeatable. As in the worker, a fit that falls due between two batches is done
before the second one is predicted.

Reference for `llu`: Ibing, Lim, Kobbelt, *Localized Latent Updates for Fine-Tuning Vision-Language Models*, CVPR
Workshops 2023, arXiv 2212.06556. Settings are those of the configuration, see `docs/configuration.md`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.class_presence import ClassKind
from stream_adapter.adapter.refit import InlineExecutor
from stream_adapter.adapter.results import AdapterPrediction
from stream_adapter.config import AdapterConfig
from stream_adapter.drift.prequential import PrequentialAccuracy
from stream_adapter.evaluate.methods.base import Batch, Lessons, Probabilities, Task
from stream_adapter.events import EMBEDDING, ImageEvent
from stream_adapter.metrics import Metrics
from stream_adapter.teaching import Teacher
from stream_adapter.transport.base import Partition, Record

_SOURCE = "evaluate"
_INPUT = Partition(_SOURCE, 0)
_BATCH_EVERY_S = 0.25


class WorkerAdapter:
    """An adapter and its teacher, without transport and threads.

    Args:
        task: the classes, canaries and settings.
        method: which of the adapter's methods; None is the configured one.
    """

    def __init__(self, task: Task, method: str | None = None) -> None:
        names = task.vocabulary.class_names
        config = _repeatable(task.adapter, task.canaries, method)
        self._names = names
        self._adapter = Adapter(task.texts, names, task.scale, config)
        self._teacher = Teacher(
            self._adapter,
            names,
            canaries=config.canaries,
            accuracy=PrequentialAccuracy(np.isin(np.array(names), np.array(config.canaries, dtype=np.str_))),
            fingerprint=_SOURCE,
            writer=_SOURCE,
            background=InlineExecutor(),
            metrics=Metrics(),
        )
        self._now_s = 0.0
        self._predicted: tuple[NDArray[np.float32], AdapterPrediction] | None = None

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """The adapted probabilities."""
        answer = self._adapter.predict(vectors)
        self._predicted = vectors, answer
        return answer.adapted

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Hand the batch to the teacher: its own labels with it, those of earlier batches as events that come again."""
        labels = dict(zip(lessons.ids.tolist(), lessons.classes.tolist(), strict=True))
        events = [self._event(id, labels.get(id)) for id in batch.ids.tolist()]
        if events:
            self._teacher.teach(events, batch.vectors, self._answer(batch.vectors))
        late = np.flatnonzero(~np.isin(lessons.ids, batch.ids))
        if late.size:
            again = [self._event(int(lessons.ids[row]), int(lessons.classes[row])) for row in late]
            self._teacher.teach(again, lessons.vectors[late], self._adapter.predict(lessons.vectors[late]))
        self._teacher.maintain(self._now_s)
        self._now_s += _BATCH_EVERY_S
        self._teacher.maintain(self._now_s)

    def class_kinds(self) -> Sequence[ClassKind] | None:
        """None: the adapter as it is tells only labelled classes from others."""
        return None

    def _answer(self, vectors: NDArray[np.float32]) -> AdapterPrediction:
        if self._predicted is not None and self._predicted[0] is vectors:
            return self._predicted[1]
        return self._adapter.predict(vectors)

    def _event(self, id: int, label: int | None) -> ImageEvent:
        name = None if label is None else self._names[label]
        record = Record(_INPUT, id, id, None, None)
        return ImageEvent(_SOURCE, str(id), id, EMBEDDING, b"", name, _SOURCE, record)


def _repeatable(config: AdapterConfig, canaries: tuple[str, ...], method: str | None) -> AdapterConfig:
    """The configuration with the run's canaries, and with refits in line in place of those in the background."""
    changes: dict[str, object] = {
        "canaries": canaries,
        "refit": config.refit.model_copy(update={"background": False}),
    }
    if method is not None and "method" in AdapterConfig.model_fields:
        changes["method"] = method
    return config.model_copy(update=changes)
