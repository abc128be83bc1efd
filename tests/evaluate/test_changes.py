import math

import numpy as np

from stream_adapter.evaluate.changes import Changes, changes, confusions, curve
from stream_adapter.evaluate.results import Trace
from stream_adapter.evaluate.scores import judge

TRUTH = np.array([0, 0, 1, 1, 2, -1])
CANARY = np.array([False, False, False, False, True, False])


def trace(predicted: list[int]) -> Trace:
    answers = judge(np.eye(3, dtype=np.float32)[predicted], TRUTH)
    return Trace(answers, CANARY)


BEFORE, AFTER = trace([0, 1, 2, 1, 2, 0]), trace([0, 0, 0, 2, 1, 1])


def test_changes_by_hand() -> None:
    # Event 1 is fixed, event 3 is caused, event 2 stays wrong in another way; the last has no truth.
    assert changes([(AFTER, BEFORE)], "labelled") == Changes(events=4, fixed=1, caused=1, other=1)
    assert changes([(AFTER, BEFORE)], "canary") == Changes(events=1, fixed=0, caused=1, other=0)
    assert changes([(BEFORE, BEFORE)], "labelled") == Changes(events=4, fixed=0, caused=0, other=0)


def test_confusions_by_hand() -> None:
    fixed, caused = confusions([(AFTER, BEFORE), (AFTER, BEFORE)])
    assert fixed == [(0, 1, 2)]
    assert caused == [(1, 2, 2), (2, 1, 2)]


def test_a_curve_begins_with_the_first_event_of_its_group() -> None:
    positions, values = curve([AFTER], "canary", points=6)
    assert positions == [1, 2, 3, 4, 5, 6]
    assert [math.isnan(value) for value in values] == [True] * 4 + [False] * 2
    _, labelled = curve([AFTER, BEFORE], "labelled", points=6)
    np.testing.assert_allclose(labelled, [1.0, 0.75, 0.5, 0.5, 0.5, 0.5])
