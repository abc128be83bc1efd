import json
import math

import numpy as np
import pytest

from stream_adapter.drift.detector import ALL
from stream_adapter.drift.guard import Guard

QUIET = np.zeros(1, dtype=np.int64)


def _damped(guard: Guard, index: int) -> float:
    return float(guard.damping[index])


def test_classes_at_fault_are_taken_to_zero_and_others_left_alone() -> None:
    guard = Guard(4)
    (action,) = guard.lower([2], labels=30, difference=-0.4, row=5)
    assert (action.subject, action.before, action.after, action.labels, action.row) == (2, 1.0, 0.0, 30, 5)
    assert guard.damping.tolist() == [1.0, 1.0, 0.0, 1.0]


def test_damping_restores_zero_shot_exactly_where_it_was_right() -> None:
    rng = np.random.default_rng(0)
    zero_shot, adapted = (rng.dirichlet(np.ones(4), 500).astype(np.float32) for _ in range(2))
    guard = Guard(4)
    guard.lower([2], labels=30, difference=-0.4, row=0)
    published = guard.damp(zero_shot, adapted)
    of_class = zero_shot.argmax(axis=1) == 2
    assert np.array_equal(published[of_class], zero_shot[of_class])
    assert np.allclose(published[~of_class], adapted[~of_class])
    # No event of class 2 that zero-shot gets right can be lost any more.
    assert (published[of_class].argmax(axis=1) == 2).all()


def test_overall_goes_down_by_halves_then_to_zero() -> None:
    guard = Guard(2, scope="overall")
    levels = []
    for _ in range(4):
        guard.lower([1], labels=10, difference=-0.2, row=0)
        levels.append(_damped(guard, 0))
    assert levels == [0.5, 0.25, 0.0, 0.0]


def test_alarm_only_changes_nothing() -> None:
    guard = Guard(2, mode="alarm_only")
    assert guard.lower([1], labels=10, difference=-0.2, row=0) == []
    assert guard.damping.tolist() == [1.0, 1.0]
    adapted = np.array([[0.3, 0.7]], dtype=np.float32)
    assert guard.damp(adapted[:, ::-1], adapted) is adapted


def test_releases_slowly_and_only_without_harm() -> None:
    guard = Guard(2, hold=100)
    guard.lower([1], labels=10, difference=-0.2, row=0)
    ones = np.ones(100, dtype=np.int64)
    assert guard.observe(ones, np.where(np.arange(100) < 10, -1, 0)) == []  # the undamped update still harms
    assert guard.observe(ones[:99], 0 * ones[:99]) == []
    assert [a.after for a in guard.observe(ones[:1], QUIET)] == [0.25]
    assert [a.after for a in guard.observe(np.ones(300, dtype=np.int64), np.zeros(300, dtype=np.int64))] == [
        0.5,
        0.75,
        1.0,
    ]
    assert guard.observe(np.ones(500, dtype=np.int64), np.zeros(500, dtype=np.int64)) == []


def test_labels_of_other_classes_release_nothing() -> None:
    guard = Guard(2, hold=10)
    guard.lower([1], labels=10, difference=-0.2, row=0)
    assert guard.observe(np.zeros(100, dtype=np.int64), np.zeros(100, dtype=np.int64)) == []


@pytest.mark.parametrize("scope", ["classes", "overall"])
def test_never_oscillates(scope: str) -> None:
    """The worst adversary: every release is answered by an alarm at once, for 100,000 labels."""
    guard = Guard(1, scope=scope, hold=100)
    lowered, labels = 0, np.zeros(100, dtype=np.int64)
    guard.lower([0], labels=1, difference=-1.0, row=0)
    for _ in range(1_000):
        if any(action.action == "raised" for action in guard.observe(labels, labels)):
            lowered += len(guard.lower([0], labels=1, difference=-1.0, row=0))
    assert 3 <= lowered <= math.log2(100_000 / 100) + 1


def test_a_class_that_gets_anchors_is_no_longer_damped() -> None:
    guard = Guard(2)
    guard.lower([1], labels=10, difference=-0.2, row=0)
    guard.forget([1])
    assert guard.damping.tolist() == [1.0, 1.0]


def test_state_goes_through_json() -> None:
    guard, restored = Guard(3, hold=10), Guard(3, hold=10)
    guard.lower([1, 2], labels=10, difference=-0.2, row=0)
    guard.observe(np.full(25, 2), np.zeros(25, dtype=np.int64))
    restored.restore(json.loads(json.dumps(guard.state())))
    assert np.array_equal(restored.damping, guard.damping)
    assert restored.state() == guard.state()
    assert ALL not in guard.state()


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="hold"):
        Guard(2, hold=0)
