"""`default`, `llu`, plug-ins, any method under protection: what the worker runs, taught by its own `Processor`.

What surrounds it is left out: no clock and no background, so that what is learned is in force at once and runs repeat.

Settings are those of the configuration, see `docs/configuration.md`; `llu` is Localized Latent Updates as published.

Reference: Ibing, Lim, Kobbelt, *Localized Latent Updates for Fine-Tuning Vision-Language Models*, CVPR Workshops 2023,
arXiv 2212.06556.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.ownership import EVERYTHING
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.learner import ClassKind, LearnerContext
from stream_adapter.adapter.prediction import Prediction
from stream_adapter.config import AdapterConfig, LabelsConfig
from stream_adapter.encode.vectors_only import VectorsOnly
from stream_adapter.evaluate.methods.base import Batch, Lessons, Probabilities, Task
from stream_adapter.events import EMBEDDING, ImageEvent
from stream_adapter.events.label import LabelEvent
from stream_adapter.journey.faults import UnderWay, Unexpected
from stream_adapter.metrics import Metrics
from stream_adapter.service.wiring import JourneyConfig, make_processor
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.labels import Arrivals

_SOURCE = "evaluate"
_INPUT = Partition(_SOURCE, 0)
_WAITING = Partition("waiting", 0)


class WorkerAdapter:
    """A worker's adapter, without transport and threads.

    Args:
        task: the classes, canaries and settings.
        method: in place of the configured one.
        protection: the other method's; by default it has none, as published.
    """

    def __init__(self, task: Task, *, method: str | None = None, protection: float = 0.0) -> None:
        changes: dict[str, Any] = {"canaries": task.canaries}
        if method is not None:
            changes |= {"method": method, "protection": protection, "protect": {}}
        config = AdapterConfig.model_validate({**dict(task.adapter), **changes})  # the method may want settings
        self._names = task.vocabulary.class_names
        self._metrics = Metrics()
        self._processor = make_processor(
            VectorsOnly(task.vocabulary.d),
            task.vocabulary,
            JourneyConfig(adapter=config, labels=LabelsConfig(wait_max_events=10**9)),
            context=LearnerContext(seed=config.seed),
            writer=_SOURCE,
            source=_SOURCE,
            decoders=InlineExecutor(),
            metrics=self._metrics,
            clock=lambda: 0.0,
            notify=lambda _: None,
            waiting_partitions=1,
            now_ms=lambda: 0,
        )
        self._waiting: set[int] = set()  # events that were learned without their label
        self._take(Arrivals(fresh=frozenset({0}), restored=frozenset({0})))
        self._tells_kinds = config.method != "llu"
        self._predicted: tuple[NDArray[np.float32], Prediction] | None = None

    def predict(self, vectors: NDArray[np.float32]) -> Probabilities:
        """The adapted probabilities."""
        self._predicted = vectors, self._processor.adapter.predict(vectors)
        return self._predicted[1].adapted

    def update(self, batch: Batch, lessons: Lessons) -> None:
        """Learn the batch: its own labels with it, those of earlier events as a worker learns labels that come late."""
        labels = dict(zip(lessons.ids.tolist(), lessons.classes.tolist(), strict=True))
        self._learn([self._event(id, labels.pop(id, None)) for id in batch.ids.tolist()], batch.vectors)
        late = [
            LabelEvent.new(_SOURCE, str(id), self._names[label], time_ms=int(batch.ids[-1])).to_record()
            for id, label in labels.items()
            if id in self._waiting
        ]
        if late:
            self._take(Arrivals(labels=late))
        strangers = np.array([id in labels and id not in self._waiting for id in lessons.ids.tolist()], np.bool_)
        if strangers.any():
            rows = np.flatnonzero(strangers)
            events = [self._event(int(lessons.ids[row]), int(lessons.classes[row])) for row in rows]
            self._learn(events, lessons.vectors[rows])

    def forget(self, ids: NDArray[np.int64]) -> None:
        """Delete the anchors of these events; what the traffic is believed to say is estimated anew at once."""
        self._processor.adapter.forget([self._event(id, None).anchor_id for id in ids.tolist()])
        self._processor.adapter.learn(())

    def class_kinds(self) -> Sequence[ClassKind] | None:
        """What each class is taken for; None for LLU, which does not look at the traffic."""
        return self._processor.adapter.kinds if self._tells_kinds else None

    def _learn(self, events: Sequence[ImageEvent], vectors: NDArray[np.float32]) -> None:
        if self._predicted is not None and self._predicted[0] is vectors:
            prediction = self._predicted[1]
        else:
            prediction = self._processor.adapter.predict(vectors)
        outputs, _ = self._processor.learn(
            UnderWay(events, (), vectors, self._metrics, Unexpected(self._metrics)), prediction
        )
        self._waiting |= {int(event.id) for event in events if event.label is None}
        kept = [output for output in outputs if output.channel == "waiting"]
        self._processor.parts.sharing.publish()
        self._take(Arrivals(waiting=[Record(_WAITING, 0, 0, one.key, one.value) for one in kept]))

    def _take(self, arrivals: Arrivals) -> None:
        self._processor.apply_labels(arrivals, {0: _INPUT}, EVERYTHING)

    def _event(self, id: int, label: int | None) -> ImageEvent:
        name = None if label is None else self._names[label]
        record = Record(_INPUT, id, id, None, None)
        return ImageEvent(_SOURCE, str(id), id, EMBEDDING, b"", name, _SOURCE, record)
