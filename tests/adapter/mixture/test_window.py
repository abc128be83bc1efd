"""The window beside one that is kept as a list, event by event."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.learner import Events
from stream_adapter.adapter.mixture.backend import Backend
from stream_adapter.adapter.mixture.window import Window
from stream_adapter.errors import SnapshotError

C, D, SIZE = 3, 6, 24
CLASSES = Classes(("a", "b", "c"), np.eye(C, D, dtype=np.float32), 10.0)
DIRECTIONS = Directions(np.eye(D, 4, dtype=np.float32), 1.0, 1)
KEYS = st.lists(st.integers(0, 70), min_size=1, max_size=40)


def vector(key: int) -> np.ndarray:
    """Every second event is a near-copy of the same picture."""
    drawn = np.random.default_rng(key).normal(size=D)
    drawn = np.ones(D) + 0.01 * drawn if key % 2 else drawn
    return np.asarray(drawn / np.linalg.norm(drawn), np.float32)


def probabilities(keys: list[int]) -> np.ndarray:
    return np.array([[key, key + 0.25, key + 0.5] for key in keys], np.float32)


def crowding(keys: list[int]) -> np.ndarray:
    """Σ_j max(0, 1 − |y_i − y_j|²) in the directions, in units of 0.3 of the variance; at least 1."""
    at = np.array([vector(key) for key in keys]).reshape(-1, D)[:, :4]
    square = np.square(at[:, None] - at).sum(axis=2) / 0.3
    return np.maximum(np.maximum(0.0, 1.0 - square).sum(axis=1), 1.0)


@settings(deadline=None)
@given(st.lists(KEYS, min_size=1, max_size=8), st.integers(0, 8))
def test_it_holds_the_newest_events_and_lets_go_of_copies_first(batches: list[list[int]], directed: int) -> None:
    window, held, seen = Window(CLASSES, SIZE, Backend("numpy")), list[int](), 0
    for number, keys in enumerate(batches):
        if number == directed:
            window.set_directions(DIRECTIONS)
        batch = Events(np.array(keys, np.uint64), np.array([vector(key) for key in keys]))
        window.add(batch, probabilities(keys))
        new = [key for key in dict.fromkeys(keys) if key not in held]
        seen, new = seen + len(new), new[-SIZE:]
        weighed = crowding(held) if number >= directed else np.ones(len(held))
        gone = sorted(range(len(held)), key=lambda row: (weighed[row] <= 10.0, row))
        for row in sorted(gone[: max(0, len(held) + len(new) - SIZE)], reverse=True):
            del held[row]
        held += new
        assert sorted(window.keys.tolist()) == sorted(held)
        assert (len(window), window.seen) == (len(held), seen)
        assert window.state()["keys"].tolist() == held, "not in the order in which they came"
        slots = [int(key) for key in window.keys]
        np.testing.assert_array_equal(window.zero_shot, probabilities(slots))
        np.testing.assert_array_equal(window.vectors, [vector(key) for key in slots])
        expected = 1.0 / crowding(slots) if number >= directed else np.ones(len(slots))
        np.testing.assert_allclose(window.weights, expected, atol=1e-3)
    again = Window(CLASSES, SIZE, Backend("numpy"))
    if len(batches) > directed:
        again.set_directions(DIRECTIONS)
    again.restore(window.state(), CLASSES)
    assert again.state()["keys"].tolist() == held and again.seen == seen
    logits = np.exp(10.0 * np.array([vector(key) for key in again.keys.tolist()])[:, :C])
    np.testing.assert_allclose(again.zero_shot, logits / logits.sum(axis=1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"seen": np.zeros(0, np.int64)}, id="no number"),
        pytest.param({"seen": np.array([2])}, id="fewer seen than held"),
        pytest.param({"seen": np.array([9.0])}, id="no whole number"),
        pytest.param({"keys": np.arange(2, dtype=np.uint64)}, id="a key too few"),
        pytest.param({"vectors": np.ones((3, D - 1), np.float32)}, id="another encoder's"),
        pytest.param({"vectors": np.full((3, D), np.nan, np.float32)}, id="not finite"),
    ],
)
def test_a_saved_window_that_does_not_fit_is_refused_and_what_was_held_stays(damage: dict[str, Any]) -> None:
    window, keys = Window(CLASSES, SIZE, Backend("numpy")), [1, 2, 4]
    window.add(Events(np.array(keys, np.uint64), np.array([vector(key) for key in keys])), probabilities(keys))
    state = window.state()
    with pytest.raises(SnapshotError, match="the saved window of traffic cannot be used"):
        window.restore({**state, **damage}, CLASSES)
    assert window.state()["keys"].tolist() == keys and window.seen == 3
