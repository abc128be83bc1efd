"""Small streams for the mixture: classes around means of their own, away from their texts, as pictures are."""

from dataclasses import dataclass, field

import numpy as np

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.config import AdapterConfig, AnchorsConfig, MixtureConfig

C, D = 12, 24
NAMES = [f"class {index}" for index in range(C)]


def unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


TEXTS = unit(np.random.default_rng(0).normal(size=(C, D)))
CENTRES = unit(TEXTS + 1.3 * unit(np.random.default_rng(1).normal(size=(C, D))))


@dataclass
class Stream:
    """Events with ids, vectors and true classes."""

    ids: list[str] = field(default_factory=list)
    vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, D), np.float32))
    truth: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def anchors(self, rows: np.ndarray, wrong: int | None = None) -> list[Anchor]:
        return [
            Anchor(self.ids[row], self.vectors[row], NAMES[int(self.truth[row]) if wrong is None else wrong], int(row))
            for row in rows.tolist()
        ]


def stream(events: int, seed: int, classes: int = 6, name: str = "e") -> Stream:
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, events)
    vectors = unit(CENTRES[truth] + 0.15 * random.normal(size=(events, D)))
    return Stream([f"{name}{seed}-{index}" for index in range(events)], vectors, truth)


def copies(of: np.ndarray, count: int, truth: int, seed: int) -> Stream:
    random = np.random.default_rng(seed)
    vectors = unit(of + 0.002 * random.normal(size=(count, D)))
    return Stream([f"copy{seed}-{index}" for index in range(count)], vectors, np.full(count, truth))


def adapter(context: LearnerContext | None = None, protection: float = 0.0, **settings: object) -> Adapter:
    config = AdapterConfig(
        anchors=AnchorsConfig(index="exact", neighbours=4),
        protection=protection,
        mixture=MixtureConfig(**settings),  # type: ignore[arg-type]
    )
    return Adapter(TEXTS, NAMES, 20.0, config, context=context)


def run(to: Adapter, of: Stream, labelled: np.ndarray | None = None, wrong: int | None = None, batch: int = 32) -> None:
    """Events in batches; those whose row is in `labelled` with their label, or a wrong one."""
    for start in range(0, len(of.ids), batch):
        rows = np.arange(start, min(start + batch, len(of.ids)))
        taught = rows[:0] if labelled is None else rows[np.isin(rows, labelled)]
        to.predict(of.vectors[rows])
        to.update([of.ids[row] for row in rows], of.vectors[rows], of.anchors(taught, wrong))


PROBES = stream(200, seed=99, classes=C).vectors


def answers(of: Adapter) -> np.ndarray:
    """Float32 (200, C), what is said about the probes."""
    return of.predict(PROBES).adapted
