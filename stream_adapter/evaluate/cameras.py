"""The stream of near-copies: what a fixed camera sends. Copies are many, and say little more than one picture does.

Varied pictures come without labels; then, class after class, long runs of near-copies of a few of its other pictures,
all labelled; then the varied pictures again. What is asked is how these are answered before and after. Where the
copies' labels are wrong, they are deleted in the end, and the varied pictures come a third time.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.draws import generator
from stream_adapter.evaluate.features import UNKNOWN, Features
from stream_adapter.evaluate.methods import Batch, CanForget, Lessons, Method, Task
from stream_adapter.evaluate.methods.base import Advance, Make, zero_shot_probabilities
from stream_adapter.evaluate.results import ALL, CopiesTrace, Figures, Outcome, Sample
from stream_adapter.evaluate.scores import Answers, joined, judge


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """How many copies of what.

    `evaluate stream --help` says what each is. A class gives at most half of its pictures as sources, and two copies
    have the square of `spread` as their cosine.
    """

    protocol: ClassVar[str] = "stream"
    tables: ClassVar[tuple[tuple[str, ...], ...]] = (("before", "after", "deleted"),)

    sources: int = 1
    copies: int = 1_000
    spread: float = 0.998
    camera_classes: int | Literal["all"] = 1
    copies_wrong: bool = False
    events: int = 900
    batch: int = 64
    order: Literal["cameras"] = "cameras"

    def __post_init__(self) -> None:
        for name in ("sources", "copies", "camera_classes", "events", "batch"):
            value = getattr(self, name)
            if value != "all" and value < 1:
                raise EvaluationError(f"{name.replace('_', '-')} must be at least 1, found {value}")
        if not 0.0 < self.spread <= 1.0:
            raise EvaluationError(f"spread must be a cosine above 0, at most 1, found {self.spread:g}")

    def size(self, features: Features) -> int:
        """About how many events one run predicts."""
        classes = len(features.occurring) if self.camera_classes == "all" else self.camera_classes
        return (3 if self.copies_wrong else 2) * min(self.events, len(features)) + classes * self.sources * self.copies

    def run(self, features: Features, make: Make, seed: int, advance: Advance) -> Outcome:
        """Show one method the varied pictures, the copies, and the varied pictures again."""
        plan = plan_cameras(features, self, seed)
        stream = _Stream(make(()), features, self.batch, advance)
        truth = features.labels[plan.varied]
        found = {"before": stream.show(plan.varied)}
        taught = stream.teach(plan, self.deviation(features.vectors.shape[1]), generator(seed, "copies"))
        found["after"] = stream.show(plan.varied)
        if self.copies_wrong and isinstance(stream.method, CanForget):
            stream.method.forget(taught)
            found["deleted"] = stream.show(plan.varied)
        zero_shot = zero_shot_probabilities(features.vectors[plan.varied], Task(features.vocabulary))
        copies = CopiesTrace(
            truth,
            np.isin(truth, plan.classes),
            judge(zero_shot, truth).hits,
            {phase: answers.hits for phase, answers in found.items()},
        )
        samples = [Sample(phase, ALL, Figures.of(answers)) for phase, answers in found.items()]
        return Outcome(samples, kinds=stream.method.class_kinds(), copies=copies)

    def deviation(self, dimension: int) -> float:
        """σ of the noise: a unit vector z and z + N(0, σ² I) in d dimensions have a cosine of about 1 / √(1 + d σ²)."""
        return math.sqrt((1.0 / self.spread**2 - 1.0) / dimension)


@dataclass(frozen=True, eq=False, slots=True)
class CameraPlan:
    """Everything that was drawn for one seed but the noise of the copies.

    Attributes:
        varied: int64 (n,), rows of the varied pictures in their order.
        classes: int64, ascending, those that have cameras.
        copied: int64 (m,), for each copy the row of its source; class after class, source after source.
        taught: int64 (m,), the class that the copy's label names, right or wrong.
    """

    varied: NDArray[np.int64]
    classes: NDArray[np.int64]
    copied: NDArray[np.int64]
    taught: NDArray[np.int64]


def plan_cameras(features: Features, settings: CameraSettings, seed: int) -> CameraPlan:
    """Draw classes, sources and varied pictures."""
    counts = {label: int((features.labels == label).sum()) for label in features.occurring.tolist()}
    able = np.array([label for label, count in counts.items() if count > 1], np.int64)
    wanted = len(able) if settings.camera_classes == "all" else settings.camera_classes
    if not 0 < wanted <= len(able):
        raise EvaluationError(
            f"{features.name} has {len(able)} classes with at least two pictures, one to be a camera and one to be "
            f"asked about; camera-classes wants {wanted or 'at least one'}"
        )
    if settings.copies_wrong and len(counts) < 2:
        raise EvaluationError(f"{features.name} has one class; there is no other one for copies-wrong to name")
    classes = generator(seed, "camera classes").permutation(able)[:wanted]
    random = generator(seed, "sources")
    chosen = [
        random.permutation(np.flatnonzero(features.labels == label))[: min(settings.sources, counts[label] // 2)]
        for label in classes.tolist()
    ]
    sources = np.concatenate(chosen)
    copied = np.repeat(sources, settings.copies)
    taught = features.labels[copied]
    if settings.copies_wrong:
        others = generator(seed, "wrong classes").permutation(features.occurring)
        taught = np.roll(others, -1)[np.argsort(others)[np.searchsorted(features.occurring, taught)]]
    rest = np.setdiff1d(np.flatnonzero(features.labels != UNKNOWN), sources)
    varied = generator(seed, "varied pictures").permutation(rest)[: settings.events]
    return CameraPlan(varied, np.sort(classes), copied, taught)


class _Stream:
    """Feeds a method; ids go on from phase to phase."""

    def __init__(self, method: Method, features: Features, batch: int, advance: Advance) -> None:
        self.method = method
        self._features = features
        self._batch = batch
        self._advance = advance
        self._sent = 0

    def show(self, rows: NDArray[np.int64]) -> Answers:
        """Pictures (n,) without labels: what is answered."""
        answers = []
        for start in range(0, len(rows), self._batch):
            part = rows[start : start + self._batch]
            probabilities, _ = self._push(self._features.vectors[part], np.zeros(0, np.int64))
            answers.append(judge(probabilities, self._features.labels[part]))
        return joined(answers)

    def teach(self, plan: CameraPlan, deviation: float, random: np.random.Generator) -> NDArray[np.int64]:
        """All copies with their labels: the ids of their events."""
        ids = []
        for start in range(0, len(plan.copied), self._batch):
            part = slice(start, start + self._batch)
            sources = self._features.vectors[plan.copied[part]]
            copies = sources + random.normal(scale=deviation, size=sources.shape).astype(np.float32)
            copies /= np.linalg.norm(copies, axis=1, keepdims=True)
            ids.append(self._push(copies, plan.taught[part])[1])
        return np.concatenate(ids)

    def _push(
        self, vectors: NDArray[np.float32], taught: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """A batch whose first events have these labels: its probabilities and ids."""
        ids = np.arange(self._sent, self._sent + len(vectors))
        self._sent += len(vectors)
        probabilities = self.method.predict(vectors)
        labelled = len(taught)
        self.method.update(Batch(vectors, ids), Lessons(vectors[:labelled], taught, ids[:labelled]))
        self._advance(len(vectors))
        return probabilities, ids
