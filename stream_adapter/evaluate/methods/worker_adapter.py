"""`ours` and `llu`: the very adapter that the worker runs, scored and taught by the worker's own `Teacher`.

Only what surrounds them is simulated: refits run in line, and a clock on which a batch arrives every second takes the
place of the real one, so that runs are repeatable. As in the worker, a fit that falls due between two batches is done
before the second one is predicted: with the default settings labels are in force one batch later, as for all methods.

Settings are those of the configuration, see `docs/configuration.md`; `llu` is as published, with g = 1.

Reference: Ibing, Lim, Kobbelt, *Localized Latent Updates for Fine-Tuning Vision-Language Models*, CVPR Workshops 2023,
arXiv 2212.06556.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.learner import ClassKind
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.results import AdapterPrediction
from stream_adapter.config import AdapterConfig
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.prequential import PrequentialAccuracy
from stream_adapter.evaluate.methods.base import Batch, Lessons, Probabilities, Task
from stream_adapter.events import EMBEDDING, ImageEvent
from stream_adapter.metrics import Metrics
from stream_adapter.shared_presence import SharedPresence
from stream_adapter.teaching import Teacher
from stream_adapter.transport.base import Partition, Record
from stream_adapter.watch import Watch

_SOURCE = "evaluate"
_INPUT = Partition(_SOURCE, 0)
_BATCH_EVERY_S = 1.0


class WorkerAdapter:
    """An adapter and its teacher, without transport and threads.

    Args:
        task: the classes, canaries and settings.
        published_llu: run LLU as published in place of what is configured.
    """

    def __init__(self, task: Task, *, published_llu: bool = False) -> None:
        names = task.vocabulary.class_names
        config = _repeatable(task.adapter, task.canaries)
        if published_llu:
            config = config.model_copy(update={"method": "llu", "damping": 1.0})
        self._names = names
        self._adapter = Adapter(task.texts, names, task.scale, config)
        canary = np.isin(np.array(names), np.array(config.canaries, dtype=np.str_))
        metrics = Metrics()
        self._watch = Watch(
            lambda: DriftMonitor(names, task.scale, canary),
            source=_SOURCE,
            status_every_s=1e9,
            metrics=metrics,
            say=lambda _: None,
        )
        self._teacher = Teacher(
            self._adapter,
            names,
            canaries=config.canaries,
            accuracy=PrequentialAccuracy(canary),
            fingerprint=_SOURCE,
            writer=_SOURCE,
            presence=SharedPresence(
                self._adapter,
                names,
                slot=_SOURCE,
                writer=_SOURCE,
                fingerprint=_SOURCE,
                every_s=config.presence.every_s,
                background=InlineExecutor(),
            ),
            watch=self._watch,
            background=InlineExecutor(),
            metrics=metrics,
        )
        self._tells_kinds = config.method == "ours"
        self._now_s = 0.0
        self._predicted: tuple[NDArray[np.float32], AdapterPrediction] | None = None

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """The adapted probabilities."""
        answer = self._watch.damp(self._adapter.predict(vectors))
        self._predicted = vectors, answer
        return answer.adapted

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Hand the batch to the teacher: its own labels with it, those of earlier batches as events that come again."""
        labels = dict(zip(lessons.ids.tolist(), lessons.classes.tolist(), strict=True))
        events = [self._event(id, labels.get(id)) for id in batch.ids.tolist()]
        late = np.flatnonzero(~np.isin(lessons.ids, batch.ids))
        if events:
            self._teacher.teach(events, batch.vectors, self._answer(batch.vectors))
        if late.size:
            again = [self._event(int(lessons.ids[row]), int(lessons.classes[row])) for row in late]
            answer = self._watch.damp(self._adapter.predict(lessons.vectors[late]))
            self._teacher.teach(again, lessons.vectors[late], answer)
        self._teacher.maintain(self._now_s)
        self._now_s += _BATCH_EVERY_S
        self._teacher.maintain(self._now_s)

    def class_kinds(self) -> Sequence[ClassKind] | None:
        """What the full method takes each class for; None for LLU."""
        return self._adapter.kinds if self._tells_kinds else None

    def _answer(self, vectors: NDArray[np.float32]) -> AdapterPrediction:
        if self._predicted is not None and self._predicted[0] is vectors:
            return self._predicted[1]
        return self._watch.damp(self._adapter.predict(vectors))

    def _event(self, id: int, label: int | None) -> ImageEvent:
        name = None if label is None else self._names[label]
        record = Record(_INPUT, id, id, None, None)
        return ImageEvent(_SOURCE, str(id), id, EMBEDDING, b"", name, _SOURCE, record)


def _repeatable(config: AdapterConfig, canaries: tuple[str, ...]) -> AdapterConfig:
    """The configuration with the run's canaries, and with refits in line in place of those in the background."""
    return config.model_copy(
        update={"canaries": canaries, "refit": config.refit.model_copy(update={"background": False})}
    )
