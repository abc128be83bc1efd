import numpy as np

from stream_adapter.config import AdapterConfig, AnchorsConfig, RefitConfig
from stream_adapter.evaluate.methods import Batch, Lessons, Task
from stream_adapter.evaluate.methods.worker_adapter import WorkerAdapter
from tests.evaluate.data import make_features

FEATURES = make_features(96)
CONFIG = AdapterConfig(
    anchors=AnchorsConfig(neighbours=4), refit=RefitConfig(every_labels=10_000, max_age_s=2.0, steps=20, rho=10.0)
)


def lessons(rows: np.ndarray) -> Lessons:
    return Lessons(FEATURES.vectors[rows], FEATURES.labels[rows], rows)


def batch(rows: np.ndarray) -> Batch:
    return Batch(FEATURES.vectors[rows], rows)


def test_labels_become_anchors_and_canaries_do_not() -> None:
    method = WorkerAdapter(Task(FEATURES.vocabulary, ("house",), 0, CONFIG))
    rows = np.arange(24)
    method.update(batch(rows), lessons(rows))
    anchors = list(method._adapter.anchors())
    assert len(anchors) == 20
    assert {anchor.label for anchor in anchors} == {"cat", "dog", "horse", "boat", "tree"}


def test_late_labels_are_the_event_again_and_become_the_same_anchors() -> None:
    at_once = WorkerAdapter(Task(FEATURES.vocabulary, (), 0, CONFIG))
    late = WorkerAdapter(Task(FEATURES.vocabulary, (), 0, CONFIG))
    first, second = np.arange(24), np.arange(24, 48)
    at_once.update(batch(first), lessons(first))
    at_once.update(batch(second), lessons(second[:0]))
    late.update(batch(first), lessons(first[:0]))
    late.update(batch(second), lessons(first))
    assert late._adapter.anchors_digest == at_once._adapter.anchors_digest


def test_a_fit_that_is_due_is_done_before_the_next_batch_by_the_simulated_clock() -> None:
    method = WorkerAdapter(Task(FEATURES.vocabulary, (), 0, CONFIG))
    rows = np.arange(24)
    method.update(batch(rows), lessons(rows))
    fits = []
    for start in range(24, 96, 12):
        fits.append(method._adapter.fit_number)
        method.update(batch(np.arange(start, start + 12)), lessons(rows[:0]))
    assert fits == [0, 1, 1, 1, 1, 1], "a batch a second, and changes are fitted when two seconds old"
