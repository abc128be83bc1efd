import numpy as np

from stream_adapter.config import AdapterConfig, AnchorsConfig
from stream_adapter.evaluate.methods import Batch, Lessons, Task
from stream_adapter.evaluate.methods.worker_adapter import WorkerAdapter
from tests.evaluate.data import make_features
from tests.learners import ClassMeans

FEATURES = make_features(96)
CONFIG = AdapterConfig(method="class-means", protection=0.0, anchors=AnchorsConfig(neighbours=4))


def lessons(rows: np.ndarray) -> Lessons:
    return Lessons(FEATURES.vectors[rows], FEATURES.labels[rows], rows)


def batch(rows: np.ndarray) -> Batch:
    return Batch(FEATURES.vectors[rows], rows)


def test_labels_become_anchors_and_canaries_do_not() -> None:
    method = WorkerAdapter(Task(FEATURES.vocabulary, ("house",), 0, CONFIG))
    rows = np.arange(24)
    method.update(batch(rows), lessons(rows))
    anchors = list(method._processor.adapter.anchors)
    assert len(anchors) == 20
    assert {anchor.label for anchor in anchors} == {"cat", "dog", "horse", "boat", "tree"}


def test_late_labels_become_the_same_anchors() -> None:
    at_once = WorkerAdapter(Task(FEATURES.vocabulary, (), 0, CONFIG))
    late = WorkerAdapter(Task(FEATURES.vocabulary, (), 0, CONFIG))
    first, second = np.arange(24), np.arange(24, 48)
    at_once.update(batch(first), lessons(first))
    at_once.update(batch(second), lessons(second[:0]))
    late.update(batch(first), lessons(first[:0]))
    late.update(batch(second), lessons(first))

    def taught(method: WorkerAdapter) -> dict[str, tuple[str, bytes]]:  # not when: a label has a time of its own
        return {one.anchor_id: (one.label, one.vector.tobytes()) for one in method._processor.adapter.anchors}

    assert taught(late) == taught(at_once) != {}


def test_what_a_batch_teaches_is_in_force_for_the_next_one() -> None:
    method = WorkerAdapter(Task(FEATURES.vocabulary, (), 0, CONFIG))
    rows = np.arange(24)
    before = method.predict(FEATURES.vectors[24:])
    method.update(batch(rows), lessons(rows))
    assert np.abs(method.predict(FEATURES.vectors[24:]) - before).max() > 0.01


def test_another_method_may_take_the_configured_ones_place() -> None:
    configured = AdapterConfig(method="llu", anchors=AnchorsConfig(neighbours=4))
    method = WorkerAdapter(Task(FEATURES.vocabulary, (), 0, configured), method="class-means")
    assert isinstance(method._processor.adapter._learner._learner, ClassMeans)  # type: ignore[attr-defined]
