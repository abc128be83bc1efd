import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.drift.prequential import Group, PrequentialAccuracy

CANARY = np.array([False, False, True])
SOME = np.array([True, False, False])
GROUPS: tuple[Group, ...] = get_args(Group)


def batch(*events: tuple[int, int, int]) -> dict[str, NDArray[np.int64]]:
    """Events as (label, zero-shot's answer, the adapted model's answer)."""
    columns = np.array(events, np.int64).reshape(-1, 3)
    return {"labels": columns[:, 0], "zero_shot": columns[:, 1], "adapted": columns[:, 2]}


def test_each_event_counts_in_its_group_for_both_models() -> None:
    accuracy = PrequentialAccuracy(CANARY, window=10)
    accuracy.update(**batch((0, 0, 1), (0, 1, 0), (0, 1, 0), (1, 1, 1), (2, 2, 0)), has_anchor=SOME)
    assert accuracy.of("labelled") == (1 / 3, 2 / 3)
    assert accuracy.of("unlabelled") == (1.0, 1.0)
    assert accuracy.of("canary") == (1.0, 0.0)


def test_the_group_is_that_of_the_moment_of_prediction() -> None:
    accuracy = PrequentialAccuracy(CANARY)
    assert accuracy.update(**batch((1, 1, 1)), has_anchor=SOME).tolist() == ["unlabelled"]
    assert accuracy.update(**batch((1, 1, 0)), has_anchor=np.array([True, True, False])).tolist() == ["labelled"]
    assert (accuracy.of("unlabelled"), accuracy.of("labelled")) == ((1.0, 1.0), (1.0, 0.0))


def test_a_canary_stays_a_canary_even_with_anchors_and_whatever_happens_to_the_callers_array() -> None:
    canary = CANARY.copy()
    accuracy = PrequentialAccuracy(canary)
    canary[:] = False
    accuracy.update(**batch((2, 2, 2)), has_anchor=np.ones(3, np.bool_))
    assert accuracy.of("canary") == (1.0, 1.0)


def test_before_the_first_event_there_is_no_accuracy() -> None:
    accuracy = PrequentialAccuracy(CANARY)
    accuracy.update(**batch(), has_anchor=SOME)
    for group in GROUPS:
        assert accuracy.of(group) is None


def test_what_was_counted_is_restored_or_refused_whole() -> None:
    accuracy, other = PrequentialAccuracy(CANARY, window=2), PrequentialAccuracy(CANARY, window=2)
    accuracy.update(**batch((0, 0, 1), (0, 1, 0), (0, 1, 1), (2, 2, 0)), has_anchor=SOME)
    other.restore(json.loads(json.dumps(accuracy.state())))
    assert [other.of(group) for group in GROUPS] == [(0.0, 0.5), None, (1.0, 0.0)]
    for wrong in ({}, {**accuracy.state(), "canary": [[1, 0, 1]]}, {**accuracy.state(), "canary": 1}):
        with pytest.raises(ValueError, match="not the state of prequential accuracy"):
            other.restore(wrong)
    assert other.of("labelled") == (0.0, 0.5)


EVENTS = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))


@settings(deadline=None)
@given(batches=st.lists(st.lists(EVENTS, max_size=8), max_size=12), window=st.integers(1, 9))
def test_the_window_holds_the_newest_events_of_each_group(
    batches: list[list[tuple[int, int, int]]], window: int
) -> None:
    accuracy = PrequentialAccuracy(CANARY, window)
    for events in batches:
        accuracy.update(**batch(*events), has_anchor=SOME)
    for label, group in enumerate(GROUPS):
        hits = np.array([(z == label, a == label) for events in batches for own, z, a in events if own == label])
        expected = pytest.approx(tuple(hits[-window:].mean(axis=0))) if len(hits) else None
        assert accuracy.of(group) == expected


def test_a_window_holds_at_least_one_event() -> None:
    with pytest.raises(ValueError, match="at least one event, got 0"):
        PrequentialAccuracy(CANARY, window=0)
