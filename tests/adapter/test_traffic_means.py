import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.traffic_means import TrafficMeans
from tests.adapter.anchor_sets import random_unit

C, D = 5, 4
NAMES = tuple("vwxyz")


def window(
    adapted: NDArray[np.float64], labelled: NDArray[np.bool_], seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], NDArray[np.bool_]]:
    """Vectors, all probabilities in the order of classes, labelled."""
    n = len(adapted)
    vectors = random_unit(n, D, seed)
    return vectors, adapted.astype(np.float32), np.tile(np.arange(C, dtype=np.int32), (n, 1)), labelled


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 1_000), n=st.integers(1, 60), rate=st.floats(0, 0.9))
def test_is_what_the_docstring_defines(seed: int, n: int, rate: float) -> None:
    random = np.random.default_rng(seed)
    adapted, labelled = random.dirichlet(np.full(C, 0.3), n), random.random(n) < rate
    vectors, beliefs, believed, _ = window(adapted, labelled, seed)
    means = TrafficMeans.of(vectors, beliefs, believed, labelled, C)
    free = adapted[~labelled]
    weights = free.sum(axis=0)
    excess = weights - (adapted[labelled].mean(axis=0) * len(free) if labelled.any() else 0.0)
    told = np.flatnonzero(weights >= 0.5 + 1e-5)
    assert set(told) <= set(means.classes.tolist())
    at = np.searchsorted(means.classes, told)
    assert means.weights[at] == pytest.approx(weights[told], abs=1e-4)
    assert means.excess[at] == pytest.approx(np.maximum(excess, 0.0)[told], abs=1e-3)
    if len(told):
        assert means.sums[at] == pytest.approx((free.T @ vectors[~labelled])[told], abs=1e-3)


def test_where_all_events_are_labelled_nothing_is_told() -> None:
    assert len(TrafficMeans.of(*window(np.eye(C), np.ones(C, bool)), C).classes) == 0


def test_of_too_many_classes_those_with_most_events_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_adapter.adapter.traffic_means._MOST_BYTES", 2 * D * 8 / 3)  # room for two
    adapted = np.repeat(np.eye(C), [3, 1, 4, 1, 5], axis=0)
    means = TrafficMeans.of(*window(adapted, np.zeros(len(adapted), bool)), C)
    assert means.classes.tolist() == [2, 4]
    assert means.weights == pytest.approx([4, 5])


@settings(deadline=None, max_examples=50)
@given(seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)), rate=st.floats(0, 1))
def test_those_of_two_workers_add_up(seeds: tuple[int, int], rate: float) -> None:
    parts = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        adapted = random.dirichlet(np.full(C, 0.1), 20)
        parts.append(TrafficMeans.of(*window(adapted, random.random(20) < rate, seed), C))
    one, other = parts
    both, dense = one + other, np.zeros((C, D))
    for part in parts:
        if len(part.classes):
            dense[part.classes] += part.sums
    assert both.classes.tolist() == sorted({*one.classes.tolist(), *other.classes.tolist()})
    if len(both.classes):
        assert both.sums == pytest.approx(dense[both.classes], abs=1e-4)
    assert both.weights.sum() == pytest.approx(one.weights.sum() + other.weights.sum())
    assert both.excess.sum() == pytest.approx(one.excess.sum() + other.excess.sum())


def test_it_has_moved_where_a_class_came_went_or_lies_elsewhere() -> None:
    def of(*rows: tuple[int, float, list[float]]) -> TrafficMeans:
        classes, excess, sums = zip(*rows, strict=True)
        return TrafficMeans(np.array(classes), np.ones(len(rows)), np.array(excess), np.array(sums, np.float32))

    before = of((0, 4.0, [1, 0]), (3, 5.0, [0, 1]))
    assert not of((0, 6.0, [9, 1]), (1, 3.5, [1, 1]), (3, 5.0, [0, 7])).moved(before, 0.99)
    assert of((0, 4.0, [1, 0.2]), (3, 5.0, [0, 1])).moved(before, 0.99)
    assert of((0, 4.0, [1, 0])).moved(before, 0.99)
    assert of((0, 4.0, [1, 0]), (1, 4.0, [1, 1]), (3, 5.0, [0, 1])).moved(before, 0.99)
    assert before.moved(TrafficMeans.none(), 0.99)
    assert not TrafficMeans.none().moved(TrafficMeans.none(), 0.99)


def test_what_was_rounded_is_the_same_again() -> None:
    random = np.random.default_rng(0)
    adapted = random.dirichlet(np.full(C, 0.3), 40)
    means = TrafficMeans.of(*window(adapted, random.random(40) < 0.3), C).rounded()
    read = TrafficMeans.from_json(means.to_json(NAMES), NAMES, D)
    for one, two, three in zip(means.columns(), means.rounded().columns(), read.columns(), strict=True):
        assert one.tobytes() == two.tobytes() == three.tobytes()
        assert one.dtype == two.dtype == three.dtype
