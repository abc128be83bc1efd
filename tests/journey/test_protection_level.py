"""From labels of canaries to the protection that is in force, through a worker's own journey."""

import numpy as np
import pytest

from stream_adapter.config import AdapterConfig
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.evaluate.methods.base import Batch, Lessons, Task
from stream_adapter.evaluate.methods.worker_adapter import WorkerAdapter
from tests.fakes import unit

NAMES = ("cat", "dog", "giraffe", "wall")
TEXTS = np.eye(4, 32, dtype=np.float32)
CAT, DOG, GIRAFFE, WALL = range(4)


def _run(protection: float, seed: int = 0) -> WorkerAdapter:
    """All labels say cat, so the method says cat; half of the pictures are giraffes, canaries, as sure as the cats."""
    config = AdapterConfig(method="knn", protection=protection)
    worker = WorkerAdapter(Task(Vocabulary(NAMES, TEXTS, 8.0), ("giraffe",), seed, config))
    rng = np.random.default_rng(seed)
    for start in range(0, 1_200, 40):
        labels = np.where(np.arange(40) % 2, GIRAFFE, CAT)
        vectors = unit(
            0.8 * TEXTS[[GIRAFFE] * 40] + 0.6 * TEXTS[CAT] + 0.05 * rng.normal(size=(40, 32)).astype(np.float32)
        )
        ids = np.arange(start, start + 40)
        worker.predict(vectors)
        worker.update(Batch(vectors, ids), Lessons(vectors, labels, ids))
    return worker


def test_harm_on_canaries_doubles_the_protection_that_is_in_force() -> None:
    parts = _run(0.05)._processor.parts
    assert parts.sharing.state()["protection"] == b"2"
    assert parts.watching.protection.factor == 4.0
    assert "+2-" in parts.adapter.version, "the learner answers under it"


@pytest.mark.parametrize("protection", [0.0, 10.0])
def test_without_protection_or_without_harm_it_is_never_raised(protection: float) -> None:
    parts = _run(protection)._processor.parts
    assert int(parts.sharing.state().get("protection", b"0")) <= 0
    assert parts.watching.protection.factor <= 1.0
