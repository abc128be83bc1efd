"""Classes without labels that lose what zero-shot gives to them are named, with events; and what a label bought."""

import json

import numpy as np

from stream_adapter.drift.at_risk import ENOUGH, WINDOW, ClassesAtRisk, Risk

N = 4
PRESENT = np.ones(N, np.float32)
LABELLED = np.array([True, False, False, False])
OPEN = np.array([False, True, True, False])  # the last one is a canary


def _said(classes: list[int], chance: float = 0.6) -> np.ndarray:
    rest = (1.0 - chance) / (N - 1)
    return np.where(np.eye(N, dtype=bool)[classes], chance, rest).astype(np.float32)


def _observe(
    risks: ClassesAtRisk, zero_shot: list[int], published: list[int], *, labelled: np.ndarray = LABELLED, start: int = 0
) -> list[Risk]:
    ids = [f"e{start + number}" for number in range(len(zero_shot))]
    open_to = OPEN & ~labelled
    return risks.observe(_said(zero_shot), _said(published), PRESENT, labelled, open_to, ids)


def test_a_class_is_at_risk_once_it_is_expected_to_lose_enough() -> None:
    risks = ClassesAtRisk(N)
    assert _observe(risks, [1] * 3, [0, 1, 1]) == [], "0.6 of an event is less than one"
    (risk,) = _observe(risks, [1], [0], start=3)
    assert risk.index == 1 and risk.lost >= ENOUGH and risk.events == 4
    assert abs(risk.kept - 0.5) < 1e-6, "half of the four that zero-shot gives to it"
    assert risk.event_ids == ("e0", "e3")
    assert _observe(risks, [1] * 5, [0] * 5, start=4) == [], "it is said once"


def test_events_are_named_with_the_surest_last() -> None:
    risks = ClassesAtRisk(N)
    zero_shot = np.concatenate([_said([2], chance) for chance in (0.9, 0.5, 0.7, 0.95)])
    (risk,) = risks.observe(zero_shot, _said([0] * 4), PRESENT, LABELLED, OPEN, list("abcd"))
    assert risk.event_ids == ("b", "c", "a", "d")


def test_what_has_labels_is_a_canary_or_is_not_there_is_not_at_risk() -> None:
    risks = ClassesAtRisk(N)
    assert _observe(risks, [0, 3] * 20, [1] * 40) == []
    absent = np.full(N, 0.01, np.float32)
    assert risks.observe(_said([1] * 20), _said([0] * 20), absent, LABELLED, OPEN, ["x"] * 20) == []
    assert (risks.lost < ENOUGH).all()


def test_only_the_newest_events_count() -> None:
    risks = ClassesAtRisk(N)
    _observe(risks, [1] * 10, [0] * 10)
    assert risks.lost[1] > ENOUGH
    _observe(risks, [0] * WINDOW, [0] * WINDOW)
    assert risks.lost[1] == 0.0 and risks.observed == WINDOW


def test_what_the_first_label_bought_is_told_once() -> None:
    risks = ClassesAtRisk(N)
    assert _observe(risks, [1] * 10, [0] * 10)[0].kept == 0.0
    labelled = LABELLED | (np.arange(N) == 1)
    assert _observe(risks, [1] * 30, [1] * 30, labelled=labelled) == []
    restored = ClassesAtRisk(N)
    restored.restore(json.loads(json.dumps(risks.state())))
    for one in (risks, restored):
        (bought,) = _observe(one, [1] * 20, [0] * 10 + [1] * 10, labelled=labelled)
        assert (bought.index, bought.kept, bought.kept_after, bought.events) == (1, 0.0, 0.8, 50)
        assert _observe(one, [1] * 60, [1] * 60, labelled=labelled) == []


def test_other_classes_keep_what_was_said() -> None:
    risks = ClassesAtRisk(N)
    _observe(risks, [1] * 10, [0] * 10)
    risks.set_classes(np.array([1, 0, -1]))
    said = np.eye(3, dtype=np.float32)
    later = risks.observe(
        said[[0] * 10], said[[1] * 10], np.ones(3), np.array([False, True, False]), np.ones(3) > 0, ["x"] * 10
    )
    assert later == [], "class 0 of today was said to be at risk when it was number 1"
