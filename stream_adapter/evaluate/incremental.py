"""The incremental protocol: tasks are learned one after the other, and all of them are tested after each.

A[i][j] is the accuracy on task j after task i was learned, of T, on the joint vocabulary:

    Transfer    mean over tasks j ≥ 2 of the mean of A[i][j] over i < j: what is not learned yet
    Average     mean of A[i][j] over all i and j
    Last        mean of A[T][j] over all j
    Forgetting  mean over tasks j < T of max of A[i][j] over j ≤ i < T, less A[T][j]

References: Zheng, Ma, Wang, Qin, Yue, You, *Preventing Zero-Shot Transfer Degradation in Continual Learning of
Vision-Language Models*, ICCV 2023 (Transfer, Average, Last); Chaudhry, Dokania, Ajanthan, Torr, *Riemannian Walk for
Incremental Learning*, ECCV 2018 (forgetting).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.draws import generator
from stream_adapter.evaluate.features import UNKNOWN, Features
from stream_adapter.evaluate.methods import Batch, Lessons, Method
from stream_adapter.evaluate.methods.base import Advance, Make
from stream_adapter.evaluate.results import ALL, Figures, Outcome, Sample
from stream_adapter.evaluate.scores import joined, judge

Matrix = list[list[Figures]]
"""Figures by task learned (T rows) and task tested (T columns)."""


@dataclass(frozen=True, slots=True)
class IncrementalSettings:
    """What the tasks are.

    `evaluate incremental --help` says what each is.
    """

    protocol: ClassVar[str] = "incremental"
    tables: ClassVar[tuple[tuple[str, ...], ...]] = (("transfer", "average", "last", "forgetting"),)

    by: Literal["class", "domain"] = "class"
    tasks: int = 5
    train: float = 0.5
    batch: int = 64

    def __post_init__(self) -> None:
        if not 0.0 < self.train < 1.0:
            raise EvaluationError(f"train must be between 0 and 1, found {self.train:g}")
        for name, least in (("tasks", 2), ("batch", 1)):
            if getattr(self, name) < least:
                raise EvaluationError(f"{name} must be at least {least}, found {getattr(self, name)}")

    def size(self, features: Features) -> int:
        """About how many events one run predicts."""
        tasks = self.tasks if self.by == "class" else len(features.domain_names)
        return round(len(features) * (self.train + tasks * (1.0 - self.train)))

    def run(self, features: Features, make: Make, seed: int, advance: Advance) -> Outcome:
        """Learn the tasks one after the other, and test all of them after each."""
        tasks = draw_tasks(features, self, seed)
        method = make(())
        matrix: Matrix = []
        for task in tasks:
            for rows in self._batches(task.training):
                vectors = features.vectors[rows]
                method.predict(vectors)
                method.update(Batch(vectors, rows), Lessons(vectors, features.labels[rows], rows))
                advance(len(rows))
            matrix.append([self._tested(method, features, other.tests, advance) for other in tasks])
        return Outcome([Sample(group, ALL, figures) for group, figures in summary(matrix).items()])

    def _tested(self, method: Method, features: Features, tests: NDArray[np.int64], advance: Advance) -> Figures:
        """Tests are predicted and nothing else: they are no traffic."""
        answers = []
        for rows in self._batches(tests):
            answers.append(judge(method.predict(features.vectors[rows]), features.labels[rows]))
            advance(len(rows))
        return Figures.of(joined(answers))

    def _batches(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        for start in range(0, len(rows), self.batch):
            yield rows[start : start + self.batch]


@dataclass(frozen=True, eq=False, slots=True)
class IncrementalTask:
    """Rows to learn from and rows to test, both in random order."""

    training: NDArray[np.int64]
    tests: NDArray[np.int64]


def draw_tasks(features: Features, settings: IncrementalSettings, seed: int) -> list[IncrementalTask]:
    """Split what has a class of the vocabulary into tasks, and each into training and tests."""
    random = generator(seed, "tasks")
    known = np.flatnonzero(features.labels != UNKNOWN)
    if settings.by == "domain":
        groups = [known[features.domains[known] == name] for name in features.domain_names]
    else:
        classes = random.permutation(features.occurring)
        parts = np.array_split(classes, max(1, min(settings.tasks, len(classes))))
        groups = [known[np.isin(features.labels[known], part)] for part in parts]
    groups = [group for group in groups if len(group)]
    if len(groups) < 2:
        raise EvaluationError(
            f"{features.name} has {len(groups)} {settings.by} with events of its vocabulary; at least two are needed"
        )
    tasks = []
    for group in groups:
        training, tests = [], []
        for domain in features.domain_names:
            for label in np.unique(features.labels[group]).tolist():
                rows = group[(features.labels[group] == label) & (features.domains[group] == domain)]
                cut = round(settings.train * len(rows))
                shuffled = random.permutation(rows)
                training.append(shuffled[:cut])
                tests.append(shuffled[cut:])
        task = IncrementalTask(random.permutation(np.concatenate(training)), random.permutation(np.concatenate(tests)))
        if not len(task.training) or not len(task.tests):
            raise EvaluationError(f"{features.name} has too few events for train {settings.train:g} in every task")
        tasks.append(task)
    return tasks


def summary(matrix: Matrix) -> dict[str, Figures]:
    """Transfer, average, last and forgetting of a matrix of at least two tasks; forgetting has an accuracy alone."""
    tasks = range(len(matrix))
    last = len(matrix) - 1
    accuracy = [[figures.accuracy for figures in row] for row in matrix]
    forgotten = [max(accuracy[i][j] for i in range(j, last)) - accuracy[last][j] for j in range(last)]
    return {
        "transfer": _mean([_mean([matrix[i][j] for i in range(j)]) for j in tasks[1:]]),
        "average": _mean([figures for row in matrix for figures in row]),
        "last": _mean(matrix[last]),
        "forgetting": Figures(sum(figures.events for figures in matrix[last]), sum(forgotten) / len(forgotten)),
    }


def _mean(cells: list[Figures]) -> Figures:
    """Every cell counts the same, however many events it has."""
    count = len(cells)
    return Figures(
        sum(cell.events for cell in cells),
        sum(cell.accuracy for cell in cells) / count,
        sum(cell.ece for cell in cells) / count,
        sum(cell.nll for cell in cells) / count,
        sum(cell.brier for cell in cells) / count,
    )
