"""The weights kept by what each change changes, against the formula."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.anchors import weights as weights_module
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.anchors.weights import NEARNESS, Directions, closeness, placed
from stream_adapter.adapter.classes import Classes
from stream_adapter.config import AnchorsConfig
from tests.adapter.anchor_sets import around, random_unit

D = 8
CLASSES = ("cat", "dog", "owl")
# Close enough to each other to say partly the same; two of them are copies.
POOL = around(random_unit(3, D, seed=1), per_class=8, spread=0.4)
POOL[1] = POOL[0]


def directions(seed: int = 0, variance: float = 0.3) -> Directions:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(D, 4)))
    return Directions(matrix.astype(np.float32), variance, 1)


def anchors_with(found: Directions | None, budget: int = 1_000) -> Anchors:
    anchors = Anchors(Classes(CLASSES, random_unit(3, D, seed=9), 10.0), (), AnchorsConfig(budget=budget))
    anchors.set_directions(found)
    return anchors


def from_scratch(anchors: Anchors, found: Directions | None) -> NDArray[np.float64]:
    """The formula as it is written down: float64 (n,), by slot."""
    if found is None:
        return np.ones(len(anchors))
    matrix, reach = found.matrix.astype(np.float64), 2.0 * NEARNESS * found.variance
    weights = np.empty(len(anchors))
    for i, one in enumerate(anchors.vectors.astype(np.float64)):
        near = [
            max(0.0, 1.0 - float(np.square((one - other) @ matrix).sum()) / reach)
            for other in anchors.vectors[anchors.classes == anchors.classes[i]].astype(np.float64)
        ]
        weights[i] = 1.0 / sum(near)
    return weights


def summed(
    vectors: NDArray[np.float32], classes: NDArray[np.int64], amounts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What a learner sums over anchors: of each class the total and the weighted vectors, (C, 1 + d)."""
    sums = np.zeros((len(CLASSES), 1 + D))
    np.add.at(sums, classes, amounts[:, None] * np.hstack([np.ones((len(vectors), 1)), vectors]))
    return sums


GIVEN = st.builds(
    Anchor,
    st.sampled_from([f"id{n}" for n in range(12)]),
    st.sampled_from(list(POOL)),
    st.sampled_from(CLASSES),
    st.integers(0, 3),
)
CALLS = st.one_of(
    st.tuples(st.sampled_from(["take in", "put"]), st.lists(GIVEN, max_size=8)),
    st.tuples(st.just("remove"), st.lists(st.sampled_from([f"id{n}" for n in range(12)]), max_size=4)),
    st.tuples(st.just("directions"), st.one_of(st.none(), st.integers(0, 3))),
    st.tuples(st.just("drain"), st.none()),
)


@settings(max_examples=200, deadline=None)
@given(calls=st.lists(CALLS, max_size=15), budget=st.sampled_from([4, 9, 1_000]))
def test_after_any_calls_weights_are_those_of_the_formula_and_drained_changes_sum_to_them(
    calls: Sequence[tuple[str, object]], budget: int
) -> None:
    found: Directions | None = directions()
    anchors = anchors_with(found, budget)
    sums = np.zeros((len(CLASSES), 1 + D))

    def drain() -> None:
        nonlocal sums
        changes = anchors.drain_weight_changes()
        now = summed(anchors.vectors, anchors.classes, anchors.weights)
        sums = now if changes is None else sums + summed(*changes)
        np.testing.assert_allclose(sums, now, atol=1e-4)

    drain()
    for name, argument in calls:
        if name == "take in":
            anchors.take_in(argument)  # type: ignore[arg-type]
        elif name == "put":
            anchors.put(argument)  # type: ignore[arg-type]
        elif name == "remove":
            anchors.remove(argument)  # type: ignore[arg-type]
        elif name == "drain":
            drain()
        else:
            found = None if argument is None else directions(argument, 0.1 + argument)  # type: ignore[arg-type,operator]
            anchors.set_directions(found)
        np.testing.assert_allclose(anchors.weights, from_scratch(anchors, found), rtol=1e-4)
        assert (anchors.weights <= 1.0).all()
    drain()


def copies(count: int) -> list[Anchor]:
    """Pictures of one scene, all but the same: a hundredth of the reach apart."""
    vectors = around(random_unit(1, D, seed=5), count, spread=0.01)
    return [Anchor(f"copy {n}", vector, "cat", n) for n, vector in enumerate(vectors)]


def test_copies_share_one_weight_and_those_that_stay_share_it_anew() -> None:
    anchors = anchors_with(directions())
    far = Anchor("far", -random_unit(1, D, seed=5)[0], "cat", 0)
    other = Anchor("other class", copies(1)[0].vector, "dog", 0)
    anchors.put([*copies(10), far, other])
    weight = dict(zip(anchors.listing().ids, anchors.weights.tolist(), strict=True))
    assert sum(weight[f"copy {n}"] for n in range(10)) == pytest.approx(1.0, rel=0.01)
    assert [weight["far"], weight["other class"]] == pytest.approx([1.0, 1.0])
    anchors.remove([f"copy {n}" for n in range(9)])
    weight = dict(zip(anchors.listing().ids, anchors.weights.tolist(), strict=True))
    assert weight == {"copy 9": pytest.approx(1.0), "far": pytest.approx(1.0), "other class": pytest.approx(1.0)}


def test_without_directions_all_count_alike() -> None:
    anchors = anchors_with(None)
    anchors.put(copies(5))
    assert anchors.weights.tolist() == [1.0] * 5


def test_closeness_falls_from_one_to_zero_at_the_reach() -> None:
    one, others = np.zeros((1, 2), np.float32), np.array([[0, 0], [0.3, 0.4], [1, 0], [3, 0]], np.float32)
    unit = Directions(np.eye(2, dtype=np.float32), 2.0, 1)
    found = closeness(placed(one, unit, 0.5), placed(others, unit, 0.5))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[1.0, 0.75, 0.0, 0.0]], atol=1e-6)


def test_where_too_much_has_changed_whoever_sums_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_module, "_MOST_CHANGES", 5)
    anchors = anchors_with(directions())
    anchors.put([Anchor(f"before {n}", vector, "owl", n) for n, vector in enumerate(POOL[:8])])
    assert anchors.drain_weight_changes() is None, "most are new"
    anchors.put(copies(3))
    changes = anchors.drain_weight_changes()
    assert changes is not None and len(changes.changes) == 3
    anchors.put([Anchor(f"more {n}", vector, "dog", n) for n, vector in enumerate(POOL[:6])])
    assert anchors.drain_weight_changes() is None
    changes = anchors.drain_weight_changes()
    assert changes is not None and len(changes.changes) == 0
