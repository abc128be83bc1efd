"""The few-shot protocol: some classes have a few labelled pictures each, the others have none.

Judged twice. On the joint vocabulary, where a picture may be taken for any class: seen, unseen, and their harmonic
mean. And base-to-new, on separate label sets, where a picture of a seen class can only be taken for a seen class, and
one of an unseen class only for an unseen one: as the field reports it, and blind to what forgets the unseen ones.

References: Zhou, Yang, Loy, Liu, *Conditional Prompt Learning for Vision-Language Models*, CVPR 2022 (base-to-new);
Xian, Lampert, Schiele, Akata, *Zero-Shot Learning: A Comprehensive Evaluation*, TPAMI 2018 (joint, harmonic mean).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.draws import draw_classes, generator
from stream_adapter.evaluate.features import Features
from stream_adapter.evaluate.methods import Batch, Lessons, Method, Probabilities
from stream_adapter.evaluate.methods.base import Advance, Make
from stream_adapter.evaluate.results import Figures, Outcome, Sample, by_domain, harmonic
from stream_adapter.evaluate.scores import Answers, joined, judge


@dataclass(frozen=True, slots=True)
class FewShotSettings:
    """How much is taught.

    `evaluate few-shot --help` says what each is; each number of shots is a run of its own.
    """

    protocol: ClassVar[str] = "few-shot"
    tables: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("seen", "unseen", "harmonic"),
        ("base", "new", "base-new harmonic"),
    )

    shots: tuple[int, ...] = (1, 4, 16)
    seen: float = 0.5
    batch: int = 64

    def __post_init__(self) -> None:
        if not self.shots or min(self.shots) < 1:
            raise EvaluationError(f"shots must be at least 1, found {self.shots}")
        if self.batch < 1:
            raise EvaluationError(f"batch must be at least 1, found {self.batch}")

    def size(self, features: Features) -> int:
        """About how many events one run predicts."""
        return len(features) * len(self.shots)

    def run(self, features: Features, make: Make, seed: int, advance: Advance) -> Outcome:
        """Teach and test one method, anew for each number of shots."""
        draw = draw_shots(features, self, seed)
        never_taught = tuple(features.vocabulary.class_names[label] for label in draw.unseen.tolist())
        samples: list[Sample] = []
        for shots in self.shots:
            method = make(never_taught)
            method.update(Batch(features.vectors[:0], np.zeros(0, np.int64)), draw.lessons(features, shots))
            joint, separate = self._test(method, features, draw, advance)
            samples += _samples(joint, separate, draw, features, shots)
        return Outcome(samples, held_out=never_taught)

    def _test(self, method: Method, features: Features, draw: "ShotDraw", advance: Advance) -> tuple[Answers, Answers]:
        """Answers to the tests on the joint vocabulary, and on separate label sets."""
        joint, separate = [], []
        for start in range(0, len(draw.tests), self.batch):
            rows = draw.tests[start : start + self.batch]
            batch = Batch(features.vectors[rows], rows)
            truth = features.labels[rows]
            probabilities = method.predict(batch.vectors)  # (B, C)
            method.update(batch, draw.lessons(features, 0))  # the tests are traffic without labels
            joint.append(judge(probabilities, truth))
            separate.append(judge(_within(probabilities, truth, draw), truth))
            advance(len(rows))
        return joined(joint), joined(separate)


@dataclass(frozen=True, eq=False, slots=True)
class ShotDraw:
    """What was drawn for one seed.

    Attributes:
        seen: int64 (S,), the classes that are taught.
        unseen: int64 (U,), the other classes that occur.
        training: for each seen class its rows, as many as the most shots or half of the class.
        tests: int64 (n,), rows that are nobody's training, in random order.
    """

    seen: NDArray[np.int64]
    unseen: NDArray[np.int64]
    training: tuple[NDArray[np.int64], ...]
    tests: NDArray[np.int64]

    def lessons(self, features: Features, shots: int) -> Lessons:
        """The first shots of each seen class, class after class."""
        rows = np.concatenate([of_class[:shots] for of_class in self.training])
        return Lessons(features.vectors[rows], features.labels[rows], rows)


def draw_shots(features: Features, settings: FewShotSettings, seed: int) -> ShotDraw:
    """Draw seen classes, their pictures, and the tests: the same for all numbers of shots.

    The first `max(shots)` pictures of each class, at most half of them, are kept out of the tests, also of unseen
    classes, so that both are tested alike.
    """
    seen = draw_classes(features, settings.seen, seed, "seen classes")
    random = generator(seed, "shots")
    training, tests = [], []
    for label in features.occurring.tolist():
        rows = random.permutation(np.flatnonzero(features.labels == label))
        held = min(max(settings.shots), len(rows) // 2)
        if label in seen:
            training.append(rows[:held])
        tests.append(rows[held:])
    unseen = np.setdiff1d(features.occurring, seen)
    order = generator(seed, "test order").permutation(np.concatenate(tests))
    return ShotDraw(seen, unseen, tuple(training), order)


def _within(probabilities: Probabilities, truth: NDArray[np.int64], draw: ShotDraw) -> Probabilities:
    """Each row within the label set that its true class belongs to: seen classes, or unseen ones that occur."""
    answer = np.zeros_like(probabilities)
    for classes in (draw.seen, draw.unseen):
        rows = np.flatnonzero(np.isin(truth, classes))
        # Where the method gave them nothing they are all alike.
        inside = probabilities[np.ix_(rows, classes)] + np.float32(1e-12)
        answer[np.ix_(rows, classes)] = inside / inside.sum(axis=1, keepdims=True)
    return answer


def _samples(joint: Answers, separate: Answers, draw: ShotDraw, features: Features, shots: int) -> list[Sample]:
    is_seen = np.isin(joint.truth, draw.seen)  # (n,)
    samples = []
    for answers, names in ((joint, ("seen", "unseen", "harmonic")), (separate, ("base", "new", "base-new harmonic"))):
        for domain, members in by_domain(np.ones(len(answers), np.bool_), features.domains[draw.tests]):
            first, second = Figures.of(answers[members & is_seen]), Figures.of(answers[members & ~is_seen])
            both = Figures(len(answers[members]), harmonic(first.accuracy, second.accuracy))
            samples += [
                Sample(name, domain, figures, shots) for name, figures in zip(names, (first, second, both), strict=True)
            ]
    return samples
