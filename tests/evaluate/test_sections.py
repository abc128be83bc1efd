from stream_adapter.config import AdapterConfig
from stream_adapter.evaluate.page import frontier, kinds
from stream_adapter.evaluate.results import Interval, Outcome, Row, Run
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.evaluate.stream import StreamSettings
from tests.evaluate.data import CLASSES, make_features

EVALUATION = Evaluation(make_features(60), StreamSettings(), ("zero-shot", "greedy", "default"), 1, AdapterConfig())


def row(method: str, group: str, accuracy: float) -> Row:
    return Row(method, group, "all", None, Interval(accuracy, accuracy, accuracy), ())


def found(greedy_canary: float = 0.2) -> list[Row]:
    accuracies = {"zero-shot": (0.8, 0.8), "greedy": (0.97, greedy_canary), "default": (0.95, 0.85)}
    groups = ("labelled", "canary")
    return [row(m, group, value) for m, pair in accuracies.items() for group, value in zip(groups, pair, strict=True)]


def test_the_frontier_has_a_point_a_method_or_is_left_out() -> None:
    assert frontier(EVALUATION, found(), "labelled", "canary").count("<circle") == 3
    nothing = [r for r in found() if r.group == "labelled"] + [
        row(method, "canary", float("nan")) for method in EVALUATION.methods
    ]
    assert frontier(EVALUATION, nothing, "labelled", "canary") == ""


def test_kinds_name_the_classes_that_occur() -> None:
    known = Outcome([], kinds=["labelled", "labelled", "labelled", "present", "dormant", "dormant"])
    text = kinds(EVALUATION, [Run("default", 0, 0.0, known)])
    for kind, names in (("labelled", CLASSES[:3]), ("present", CLASSES[3:4]), ("dormant", CLASSES[4:])):
        assert f'{kind}</td><td class="text">{", ".join(names)}</td><td>0</td>' in text
    assert kinds(EVALUATION, [Run("knn", 0, 0.0, Outcome([]))]) == ""
