"""What is asked about: crowds in doubt, each once, and nothing beside a label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter import asking
from stream_adapter.adapter.asking import are_copies, doubt_of, most_telling
from tests.adapter.anchor_sets import around, random_unit

CENTRES = random_unit(3, 32, seed=1)
NONE = np.zeros((0, 32), np.float32)


def crowds(*sizes: int) -> np.ndarray:
    """Events around each centre."""
    return np.concatenate(
        [around(CENTRES[[number]], size, spread=0.1, seed=number) for number, size in enumerate(sizes)]
    )


def crowd_of(rows: np.ndarray, *sizes: int) -> list[int]:
    crowd: list[int] = np.searchsorted(np.cumsum(sizes), rows, side="right").tolist()
    return crowd


def test_the_largest_crowd_comes_first_and_each_once() -> None:
    rows = most_telling(crowds(5, 30, 15), np.full(50, 0.5), NONE, 3)
    assert crowd_of(rows, 5, 30, 15) == [1, 2, 0]


def test_who_is_sure_is_not_asked() -> None:
    doubt = np.concatenate([np.full(5, 0.9), np.full(30, 0.01), np.full(15, 0.5)])
    assert crowd_of(most_telling(crowds(5, 30, 15), doubt, NONE, 2), 5, 30, 15) == [2, 0]


def test_a_crowd_that_is_nearly_sure_comes_before_few_that_are_not() -> None:
    doubt = doubt_of(np.concatenate([np.full(4, 0.2), np.full(26, 0.9), np.full(26, 1.0)]))
    assert crowd_of(most_telling(crowds(4, 26, 26), doubt, NONE, 1), 4, 26, 26) == [1]


def test_beside_a_label_nothing_is_asked_before_the_rest() -> None:
    rows = most_telling(crowds(5, 30, 15), np.full(50, 0.5), CENTRES[[1]], 2)
    assert crowd_of(rows, 5, 30, 15) == [2, 0]


def test_labels_are_looked_at_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    labelled = np.concatenate([crowds(3, 0, 0), CENTRES[[1]], crowds(4, 0, 0)])
    events, doubt = crowds(5, 30, 15), np.full(50, 0.5)
    whole = most_telling(events, doubt, labelled, 9), are_copies(events, labelled)
    monkeypatch.setattr(asking, "_AT_ONCE", 2)
    np.testing.assert_array_equal(most_telling(events, doubt, labelled, 9), whole[0])
    np.testing.assert_array_equal(are_copies(events, labelled), whole[1])
    assert 0 < whole[1].sum() < 50


def test_copies_are_asked_about_once() -> None:
    copies = np.repeat(crowds(1, 1, 1), 20, axis=0)
    assert sorted(row // 20 for row in most_telling(copies, np.full(60, 0.5), NONE, 60).tolist()) == [0, 1, 2]


@pytest.mark.parametrize("others", [0, 1, 10])
def test_a_thousand_frames_of_one_scene_are_asked_about_once(others: int) -> None:
    frames = around(CENTRES[[0]], 1_000, spread=0.05, seed=1)
    vectors = np.concatenate([frames, random_unit(10, 32, seed=2)[:others]])
    asked = most_telling(vectors, np.full(len(vectors), 0.5), NONE, 20)
    assert (asked < 1_000).sum() == 1
    assert len(asked) == 1 + others
    labelled = most_telling(vectors, np.full(len(vectors), 0.5), frames[:1], 20)
    assert sorted(labelled.tolist()) == list(range(1_000, 1_000 + others))


def test_only_those_that_may_be_asked_about() -> None:
    may = np.zeros(50, np.bool_)
    may[[3, 40]] = True
    assert sorted(most_telling(crowds(5, 30, 15), np.full(50, 0.5), NONE, 9, may).tolist()) == [3, 40]


@pytest.mark.parametrize("vectors", [NONE[:0], np.repeat(CENTRES[[0]], 4, axis=0)])
def test_nothing_and_all_the_same(vectors: np.ndarray) -> None:
    assert len(most_telling(vectors, np.full(len(vectors), 0.5), NONE, 2)) == min(len(vectors), 1)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 45), st.integers(0, 1000))
def test_each_is_asked_about_once_and_no_more_than_wanted(events: int, number: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors = random_unit(events, 32, seed=seed)
    rows = most_telling(vectors, random.random(events), NONE, number).tolist()
    assert len(set(rows)) == len(rows) <= number
    assert all(0 <= row < events for row in rows)
