import numpy as np
import pytest
from numpy.typing import NDArray

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.features import read_features
from stream_adapter.evaluate.few_shot import FewShotSettings, draw_shots
from stream_adapter.evaluate.methods import METHODS, Method, Task
from stream_adapter.evaluate.methods.base import LabelsOnly
from stream_adapter.evaluate.results import Outcome
from tests.evaluate.data import make_features
from tests.shared_data import shared

FEATURES = make_features(240, unknown=6)


def run(method: str, settings: FewShotSettings, seed: int = 0) -> Outcome:
    return settings.run(FEATURES, lambda never: METHODS[method](Task(FEATURES.vocabulary, never)), seed, lambda n: None)


def accuracy(outcome: Outcome, group: str, shots: int) -> float:
    return next(
        sample.figures.accuracy
        for sample in outcome.samples
        if (sample.group, sample.domain, sample.shots) == (group, "all", shots)
    )


def test_tests_are_nobodys_training_and_no_class_is_both_seen_and_unseen() -> None:
    draw = draw_shots(FEATURES, FewShotSettings(shots=(1, 4)), 0)
    trained = np.concatenate(draw.training)
    assert not np.intersect1d(trained, draw.tests).size
    assert set(FEATURES.labels[trained].tolist()) == set(draw.seen.tolist())
    assert not np.intersect1d(draw.seen, draw.unseen).size
    assert (FEATURES.labels[draw.tests] >= 0).all()
    assert [len(of_class) for of_class in draw.training] == [4, 4, 4]
    assert len(draw.tests) == 234 - 6 * 4


def test_fewer_shots_are_the_first_of_more() -> None:
    draw = draw_shots(FEATURES, FewShotSettings(shots=(1, 4)), 0)
    one, four = draw.lessons(FEATURES, 1), draw.lessons(FEATURES, 4)
    np.testing.assert_array_equal(one.ids, four.ids[::4])


def test_a_small_class_keeps_half_of_its_pictures_for_the_tests() -> None:
    draw = draw_shots(make_features(24), FewShotSettings(shots=(16,)), 0)
    assert [len(of_class) for of_class in draw.training] == [2, 2, 2]


def test_a_method_without_unseen_classes_is_fine_on_separate_label_sets_only() -> None:
    outcome = run("slda", FewShotSettings(shots=(8,)))
    assert accuracy(outcome, "seen", 8) > 0.8
    assert accuracy(outcome, "unseen", 8) == 0.0
    assert accuracy(outcome, "harmonic", 8) == 0.0
    assert accuracy(outcome, "base", 8) >= accuracy(outcome, "seen", 8)
    assert accuracy(outcome, "new", 8) > 0.0


def test_zero_shot_does_not_depend_on_shots_and_separate_sets_are_easier() -> None:
    outcome = run("zero-shot", FewShotSettings(shots=(1, 4)))
    for group in ("seen", "unseen", "harmonic", "base", "new"):
        assert accuracy(outcome, group, 1) == accuracy(outcome, group, 4)
    assert accuracy(outcome, "base", 1) >= accuracy(outcome, "seen", 1)
    assert accuracy(outcome, "new", 1) >= accuracy(outcome, "unseen", 1)


class Counter(LabelsOnly):
    """Counts its lessons; answers alike for all classes."""

    def __init__(self) -> None:
        self.lessons = 0

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full((len(vectors), 6), 1 / 6, np.float32)

    def learn(self, vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> None:
        self.lessons += len(classes)


def test_each_number_of_shots_starts_anew() -> None:
    made: list[Counter] = []

    def make(never_taught: tuple[str, ...]) -> Method:
        assert len(never_taught) == 3
        made.append(Counter())
        return made[-1]

    FewShotSettings(shots=(1, 4)).run(FEATURES, make, 0, lambda events: None)
    assert [counter.lessons for counter in made] == [3, 12]


@pytest.mark.parametrize("wrong", [{"shots": ()}, {"shots": (0,)}, {"batch": 0}])
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(EvaluationError):
        FewShotSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.data
@pytest.mark.parametrize(
    ("method", "table"), [("zero-shot", (82.3, 79.9)), ("tip-adapter", (96.7, 25.9)), ("slda", (98.5, 0.0))]
)
def test_figures_on_aerial_scenes_are_those_of_the_study(method: str, table: tuple[float, float]) -> None:
    """16 shots, half of 19 classes seen. Other draws than the study's: a mean of 5 is within 4 points of another's."""
    features = read_features(shared("whurs19_clip_vitb32.npz"))
    settings = FewShotSettings(shots=(16,))
    outcomes = [
        settings.run(features, lambda never: METHODS[method](Task(features.vocabulary, never)), seed, lambda n: None)
        for seed in range(5)
    ]
    means = [
        100 * float(np.mean([accuracy(outcome, group, 16) for outcome in outcomes])) for group in ("seen", "unseen")
    ]
    np.testing.assert_allclose(means, table, atol=4.0)
