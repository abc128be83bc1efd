import numpy as np
import pytest

from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.incremental import IncrementalSettings, draw_tasks, summary
from stream_adapter.evaluate.methods import METHODS, Task
from stream_adapter.evaluate.results import Figures, Outcome
from tests.evaluate.data import make_features

FEATURES = make_features(240, unknown=6)


def run(method: str, settings: IncrementalSettings) -> dict[str, float]:
    outcome: Outcome = settings.run(
        FEATURES, lambda never: METHODS[method](Task(FEATURES.vocabulary, never)), 0, lambda events: None
    )
    return {sample.group: sample.figures.accuracy for sample in outcome.samples}


def test_the_summary_of_three_tasks_by_hand() -> None:
    table = [[0.9, 0.4, 0.2], [0.7, 0.8, 0.3], [0.6, 0.9, 1.0]]
    found = summary([[Figures(10, value, ece=value / 2, nll=1.0, brier=1.0) for value in row] for row in table])
    assert found["transfer"].accuracy == pytest.approx((0.4 + (0.2 + 0.3) / 2) / 2)
    assert found["average"].accuracy == pytest.approx(5.8 / 9)
    assert found["last"].accuracy == pytest.approx(2.5 / 3)
    # Task 1: best before the end 0.9, then 0.6. Task 2: 0.8, then 0.9, so it gained.
    assert found["forgetting"].accuracy == pytest.approx((0.3 - 0.1) / 2)
    assert found["last"].ece == pytest.approx(2.5 / 6)
    assert np.isnan(found["forgetting"].ece)


@pytest.mark.parametrize("by", ["class", "domain"])
def test_tasks_share_no_event_and_tests_are_not_learned(by: str) -> None:
    tasks = draw_tasks(FEATURES, IncrementalSettings(by=by, tasks=3), 0)  # type: ignore[arg-type]
    rows = np.concatenate([np.concatenate([task.training, task.tests]) for task in tasks])
    assert len(rows) == len(np.unique(rows)) == 234
    assert (FEATURES.labels[rows] >= 0).all()
    values = FEATURES.labels if by == "class" else FEATURES.domains
    sets = [set(values[np.concatenate([task.training, task.tests])].tolist()) for task in tasks]
    assert [len(one) for one in sets] == ([2, 2, 2] if by == "class" else [1, 1])
    assert len(set.union(*sets)) == sum(len(one) for one in sets)


def test_domains_come_in_the_files_order() -> None:
    tasks = draw_tasks(FEATURES, IncrementalSettings(by="domain"), 3)
    assert [FEATURES.domains[task.training[0]] for task in tasks] == ["photo", "cartoon"]


def test_zero_shot_forgets_nothing_and_a_method_of_labels_alone_transfers_nothing() -> None:
    settings = IncrementalSettings(by="class", tasks=3)
    zero_shot, alone = run("zero-shot", settings), run("slda", settings)
    assert zero_shot["forgetting"] == 0.0
    assert alone["transfer"] == 0.0
    assert alone["last"] > zero_shot["last"]


def test_by_domain_a_method_of_labels_alone_transfers() -> None:
    assert run("slda", IncrementalSettings(by="domain"))["transfer"] > 0.8


@pytest.mark.parametrize(
    ("wrong", "said"), [({"train": 0.0}, "train"), ({"train": 1.0}, "train"), ({"tasks": 1}, "tasks")]
)
def test_values_out_of_range_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        IncrementalSettings(**wrong)  # type: ignore[arg-type]


def test_one_domain_is_no_sequence() -> None:
    features = make_features(60)
    features.domains[:] = "photo"
    with pytest.raises(EvaluationError, match="1 domain with events of its vocabulary"):
        draw_tasks(features, IncrementalSettings(by="domain"), 0)


def test_events_without_a_class_of_the_vocabulary_are_no_tasks() -> None:
    with pytest.raises(EvaluationError, match="0 class with events of its vocabulary"):
        draw_tasks(make_features(60, unknown=60), IncrementalSettings(by="class"), 0)
