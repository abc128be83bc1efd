"""The directions of the traffic: as an eigenvalue solver finds them, the variance by definition, and their record."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from stream_adapter.adapter.mixture.constants import PRIOR, SPREAD
from stream_adapter.adapter.mixture.directions import SharedDirections, bytes_of, directions_of, find_directions
from tests.adapter.mixture.streams import unit

N, C, D = 400, 12, 60


@pytest.fixture(scope="module")
def found() -> tuple[Any, ...]:
    random = np.random.default_rng(3)
    centres = unit(random.normal(size=(C, D)))
    truth = np.r_[random.integers(0, 6, N - 1), 11]  # one class has one event: it says nothing of a variance
    vectors = unit(centres[truth] + 0.05 * random.normal(size=(N, D)))
    weights = random.uniform(0.2, 1.0, N)
    belief = np.eye(C, dtype=np.float32)[truth]
    window: Any = SimpleNamespace(weights=weights, seen=777)
    return find_directions(window, vectors, belief, None, 0), vectors, weights, truth, window, belief


def test_they_are_where_the_traffic_varies_most(found: tuple[Any, ...]) -> None:
    directions, vectors, weights, *_ = found
    assert directions.version == 777 and directions.matrix.dtype == np.float32
    centred = vectors - weights @ vectors / weights.sum()
    largest = np.linalg.eigh((centred * weights[:, None]).T @ centred)[1][:, ::-1][:, :5]
    np.testing.assert_allclose(directions.matrix.T @ directions.matrix, np.eye(directions.matrix.shape[1]), atol=1e-5)
    kept = np.linalg.norm(directions.matrix.T @ largest, axis=0)
    np.testing.assert_allclose(kept, 1.0, atol=1e-3)


def test_the_variance_is_that_within_classes(found: tuple[Any, ...]) -> None:
    directions, vectors, weights, truth, *_ = found
    projected = vectors @ directions.matrix
    inside = free = 0.0
    for label in np.unique(truth):
        rows = truth == label
        mass = weights[rows].sum()
        if mass < 2.0:
            continue
        mean = weights[rows] @ projected[rows] / mass
        inside += float(weights[rows] @ np.square(projected[rows] - mean).sum(axis=1))
        free += mass - 1.0
    expected = (PRIOR * 0.4 * SPREAD + inside) / (PRIOR + free)
    assert directions.variance == pytest.approx(expected, rel=1e-4)


def test_without_a_class_of_several_events_the_variance_is_what_was_believed_before(found: tuple[Any, ...]) -> None:
    _, vectors, _, _, _, belief = found
    alone: Any = SimpleNamespace(weights=np.full(3, 0.5), seen=3)
    assert find_directions(alone, vectors[:3], belief[:3], None, 0).variance == pytest.approx(0.4 * SPREAD)


def test_found_again_they_begin_where_they_were(found: tuple[Any, ...]) -> None:
    directions, vectors, _, _, window, belief = found
    again = find_directions(window, vectors, belief, directions, 99)
    other = find_directions(window, vectors, belief, None, 99)
    kept, drawn = (np.abs((one.matrix * directions.matrix).sum(axis=0))[:4] for one in (again, other))
    assert kept.min() > 0.8 > drawn.min()
    assert again.variance == pytest.approx(other.variance, rel=0.05)


def test_their_record_is_read_back(found: tuple[Any, ...]) -> None:
    read = directions_of(bytes_of(found[0]), D)
    np.testing.assert_allclose(read.matrix, found[0].matrix, atol=1e-3)
    assert (read.variance, read.version) == (found[0].variance, 777)


@pytest.mark.parametrize(
    ("part", "change", "reason"),
    [
        ("matrix", lambda matrix: matrix[:-1], "of shape"),
        ("matrix", lambda matrix: matrix[0], "of shape"),
        ("matrix", lambda matrix: matrix * np.float16(np.nan), "not finite"),
        ("variance_and_version", lambda facts: facts[:1], "of shape"),
        ("variance_and_version", lambda facts: np.array([0.0, 1.0]), "not finite"),
        ("variance_and_version", lambda facts: np.array([0.1, -1.0]), "not finite"),
        ("variance_and_version", lambda facts: np.array([np.inf, 1.0]), "not finite"),
        ("matrix", lambda matrix: matrix * np.float16(100.0), "out of range"),
        ("matrix", lambda matrix: np.zeros((D, D + 1), np.float16), "out of range"),
        ("variance_and_version", lambda facts: np.array([1e-300, 1.0]), "out of range"),
        ("variance_and_version", lambda facts: np.array([1e300, 1.0]), "out of range"),
        ("variance_and_version", lambda facts: np.array([0.1, 1e300]), "out of range"),
        ("variance_and_version", lambda facts: np.array([0.1, 2.0**53]), "out of range"),  # the next is no float
        ("variance_and_version", None, "cannot be read"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_and_changes_nothing(
    found: tuple[Any, ...], part: str, change: Any, reason: str
) -> None:
    arrays = load(bytes_of(found[0]))
    arrays = {**arrays, part: change(arrays[part])} if change else {"matrix": arrays["matrix"]}
    value = save(arrays)
    with pytest.raises(ValueError, match=reason):
        directions_of(value, D)
    shared = SharedDirections(D, publishes=True)
    with pytest.raises(ValueError, match=reason):
        shared.follow({"directions": value})
    assert shared.in_force is None and shared.value == b""


def test_what_was_found_is_in_force_when_it_comes_back(found: tuple[Any, ...]) -> None:
    directions = found[0]
    shared = SharedDirections(D, publishes=True)
    shared.found(directions)
    assert shared.in_force is None and shared.newest is directions
    (value,) = shared.due().values()
    assert shared.follow({"directions": value}) and not shared.due()
    assert shared.in_force is not None and shared.in_force.version == 777 and shared.value == value
    assert not shared.follow({"directions": value}), "it is no news"
    assert not shared.follow({"another": b""})
    shared.found(directions)  # not newer than what is in force
    older = bytes_of(type(directions)(directions.matrix, directions.variance, 5))
    assert shared.follow({"directions": older}) and shared.newest is directions, "older ones leave what waits"
    alone = SharedDirections(D, publishes=False)
    alone.found(directions)
    assert alone.in_force is not None and not alone.due()
