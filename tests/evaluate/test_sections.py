from stream_adapter.config import AdapterConfig
from stream_adapter.evaluate.results import Interval, Outcome, Row, Run
from stream_adapter.evaluate.running import Evaluation
from stream_adapter.evaluate.sections import costs, frontier, kinds
from stream_adapter.evaluate.stream import StreamSettings
from tests.evaluate.data import CLASSES, make_features

EVALUATION = Evaluation(make_features(60), StreamSettings(), ("zero-shot", "greedy", "default"), 1, AdapterConfig())


def row(method: str, group: str, accuracy: float) -> Row:
    return Row(method, group, "all", None, Interval(accuracy, accuracy, accuracy), ())


def found(greedy_canary: float = 0.2) -> list[Row]:
    accuracies = {"zero-shot": (0.8, 0.8), "greedy": (0.97, greedy_canary), "default": (0.95, 0.85)}
    groups = ("labelled", "canary")
    return [row(m, group, value) for m, pair in accuracies.items() for group, value in zip(groups, pair, strict=True)]


def test_what_is_better_on_labelled_classes_is_shown_with_its_cost() -> None:
    text = costs(EVALUATION, found(), "default")
    assert "greedy" in text
    assert "+2.0" in text
    assert "-65.0" in text, "points lost on canaries, from default"
    assert "-60.0" in text, "and from zero-shot"
    assert text.count("<tr>") == 2


def test_where_nothing_is_better_that_is_said() -> None:
    rows = [r for r in found() if r.method != "greedy"]
    without = Evaluation(make_features(60), StreamSettings(), ("zero-shot", "default"), 1, AdapterConfig())
    assert "No method is better than default on labelled classes" in costs(without, rows, "default")


def test_the_frontier_has_a_point_a_method_or_is_left_out() -> None:
    assert frontier(EVALUATION, found(), "labelled", "canary").count("<circle") == 3
    nothing = [r for r in found() if r.group == "labelled"] + [
        row(method, "canary", float("nan")) for method in EVALUATION.methods
    ]
    assert frontier(EVALUATION, nothing, "labelled", "canary") == ""


def test_kinds_name_the_classes_that_occur() -> None:
    told = Outcome([], kinds=["labelled", "labelled", "labelled", "present", "dormant", "dormant"])
    text = kinds(EVALUATION, [Run("default", 0, 0.0, told)])
    for kind, names in (("labelled", CLASSES[:3]), ("present", CLASSES[3:4]), ("dormant", CLASSES[4:])):
        assert f'{kind}</td><td class="text">{", ".join(names)}</td><td>0</td>' in text
    assert kinds(EVALUATION, [Run("knn", 0, 0.0, Outcome([]))]) == ""
