"""The stream of near-copies, on features with a known structure."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.learner import ClassKind
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.cameras import CameraSettings, plan_cameras
from stream_adapter.evaluate.features import UNKNOWN, Features
from stream_adapter.evaluate.methods import METHODS, Batch, Lessons, Task
from tests.evaluate.data import make_features

FEATURES = make_features(240, unknown=12)

chosen = st.builds(
    CameraSettings,
    sources=st.integers(1, 50),
    copies=st.integers(1, 40),
    camera_classes=st.sampled_from([1, 2, 6, "all"]),
    copies_wrong=st.booleans(),
    events=st.integers(1, 300),
)


class Recorder:
    """Answers class 0 always, and class 1 once anything was forgotten."""

    def __init__(self) -> None:
        self.batches: list[tuple[Batch, Lessons]] = []
        self.forgotten = np.zeros(0, np.int64)

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.tile(np.eye(6, dtype=np.float32)[int(len(self.forgotten) > 0)], (len(vectors), 1))

    def update(self, batch: Batch, lessons: Lessons) -> None:
        self.batches.append((batch, lessons))

    def class_kinds(self) -> Sequence[ClassKind] | None:
        return None

    def forget(self, ids: NDArray[np.int64]) -> None:
        self.forgotten = ids


@settings(deadline=None)
@given(chosen, st.integers(0, 5))
def test_a_plan_keeps_its_promises(chosen: CameraSettings, seed: int) -> None:
    plan = plan_cameras(FEATURES, chosen, seed)
    assert len(plan.classes) == (6 if chosen.camera_classes == "all" else chosen.camera_classes)
    assert len(np.unique(plan.varied)) == len(plan.varied) <= chosen.events
    assert not np.isin(plan.varied, plan.copied).any(), "no camera is asked about"
    assert (FEATURES.labels[plan.varied] != UNKNOWN).all()
    truth = FEATURES.labels[plan.copied]
    assert set(truth.tolist()) == set(plan.classes.tolist())
    for label in plan.classes.tolist():
        sources, copies = np.unique(plan.copied[truth == label], return_counts=True)
        assert len(sources) == min(chosen.sources, 19)  # at most half of 38
        assert (copies == chosen.copies).all()
        assert len(set(plan.taught[truth == label].tolist())) == 1, "one name for all of a class"
    assert (np.diff(truth) != 0).sum() == len(plan.classes) - 1, "class after class"
    assert (np.diff(plan.copied) != 0).sum() == len(np.unique(plan.copied)) - 1, "source after source"
    assert (plan.taught != truth).all() if chosen.copies_wrong else (plan.taught == truth).all()


def test_wrong_names_are_any_other_class() -> None:
    one = CameraSettings(camera_classes=1, copies=1, copies_wrong=True)
    pairs = set()
    for seed in range(200):
        plan = plan_cameras(FEATURES, one, seed)
        pairs.add((int(FEATURES.labels[plan.copied[0]]), int(plan.taught[0])))
    assert len(pairs) > 25, "of 30"


@pytest.mark.parametrize("spread", [0.998, 0.9, 0.83])
def test_copies_have_the_cosine_that_was_asked_for(spread: float) -> None:
    random = np.random.default_rng(0)
    d = 512
    vectors = random.normal(size=(20, d))
    features = Features(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        np.arange(20) % 2,
        np.full(20, "all"),
        Vocabulary(("a", "b"), np.eye(2, d, dtype=np.float32), 10.0),
        "made",
    )
    recorder = Recorder()
    settings = CameraSettings(copies=400, spread=spread, events=10)
    settings.run(features, lambda never: recorder, 0, lambda n: None)
    source = features.vectors[plan_cameras(features, settings, 0).copied[0]]
    copies = np.concatenate([lessons.vectors for _, lessons in recorder.batches])
    assert len(copies) == 400
    np.testing.assert_allclose(np.linalg.norm(copies, axis=1), 1.0, atol=1e-5)
    assert (copies @ source).mean() == pytest.approx(spread, abs=2e-3)
    between = (np.square(copies.sum(axis=0)).sum() - 400) / (400 * 399)  # mean over all pairs
    assert between == pytest.approx(spread**2, abs=5e-3)


def test_varied_pictures_come_before_and_after_and_are_never_taught() -> None:
    chosen = CameraSettings(sources=2, copies=30, camera_classes=2, events=50, batch=16)
    recorder = Recorder()
    seen: list[int] = []
    outcome = chosen.run(FEATURES, lambda never: recorder, 0, seen.append)
    plan = plan_cameras(FEATURES, chosen, 0)
    assert sum(seen) == 50 + 120 + 50
    ids = np.concatenate([batch.ids for batch, _ in recorder.batches])
    np.testing.assert_array_equal(ids, np.arange(220))
    taught = np.concatenate([lessons.ids for _, lessons in recorder.batches])
    np.testing.assert_array_equal(taught, np.arange(50, 170))
    np.testing.assert_array_equal(np.concatenate([lessons.classes for _, lessons in recorder.batches]), plan.taught)
    vectors = np.concatenate([batch.vectors for batch, _ in recorder.batches])
    for part in (vectors[:50], vectors[170:]):
        np.testing.assert_array_equal(part, FEATURES.vectors[plan.varied])
    assert outcome.copies is not None
    assert set(outcome.copies.hits) == {"before", "after"}
    np.testing.assert_array_equal(outcome.copies.seen, np.isin(outcome.copies.truth, plan.classes))
    zero_shot = METHODS["zero-shot"](Task(FEATURES.vocabulary)).predict(FEATURES.vectors[plan.varied])
    np.testing.assert_array_equal(outcome.copies.zero_shot, zero_shot.argmax(axis=1) == outcome.copies.truth)


def test_batches_do_not_change_the_copies() -> None:
    found = []
    for batch in (7, 64):
        recorder = Recorder()
        CameraSettings(copies=100, events=50, batch=batch).run(FEATURES, lambda never, r=recorder: r, 3, lambda n: None)
        found.append(np.concatenate([lessons.vectors for _, lessons in recorder.batches]))
    np.testing.assert_array_equal(found[0], found[1])


def test_wrong_copies_are_forgotten_and_the_varied_pictures_come_a_third_time() -> None:
    recorder = Recorder()
    outcome = CameraSettings(copies=40, events=60, copies_wrong=True).run(
        FEATURES, lambda never: recorder, 0, lambda n: None
    )
    np.testing.assert_array_equal(recorder.forgotten, np.arange(60, 100))
    assert sum(len(batch.ids) for batch, _ in recorder.batches) == 60 + 40 + 60 + 60
    assert outcome.copies is not None
    np.testing.assert_array_equal(outcome.copies.hits["after"], outcome.copies.truth == 0)
    np.testing.assert_array_equal(outcome.copies.hits["deleted"], outcome.copies.truth == 1)
    assert {sample.group for sample in outcome.samples} == {"before", "after", "deleted"}


def test_what_cannot_forget_is_not_asked_a_third_time() -> None:
    outcome = CameraSettings(copies=40, events=60, copies_wrong=True).run(
        FEATURES, lambda never: METHODS["slda"](Task(FEATURES.vocabulary)), 0, lambda n: None
    )
    assert outcome.copies is not None
    assert set(outcome.copies.hits) == {"before", "after"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sources": 0}, "sources must be at least 1, found 0"),
        ({"copies": 0}, "copies must be at least 1"),
        ({"camera_classes": 0}, "camera-classes must be at least 1"),
        ({"events": 0}, "events must be at least 1"),
        ({"spread": 0.0}, "spread must be a cosine above 0, at most 1, found 0"),
        ({"spread": 1.1}, "spread must be a cosine"),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        CameraSettings(**wrong)  # type: ignore[arg-type]


def test_classes_that_are_not_there_are_refused() -> None:
    with pytest.raises(EvaluationError, match=r"made has 6 classes with at least two pictures.* wants 7"):
        plan_cameras(FEATURES, CameraSettings(camera_classes=7), 0)
    one = Features(FEATURES.vectors[:6], np.full(6, 2), FEATURES.domains[:6], FEATURES.vocabulary, "one")
    with pytest.raises(EvaluationError, match="there is no other one"):
        plan_cameras(one, CameraSettings(copies_wrong=True), 0)
    single = Features(FEATURES.vectors[:6], np.arange(6), FEATURES.domains[:6], FEATURES.vocabulary, "singles")
    with pytest.raises(EvaluationError, match=r"singles has 0 classes .* wants at least one"):
        plan_cameras(single, CameraSettings(camera_classes="all"), 0)
