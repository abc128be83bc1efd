"""The sums kept by what each change changes, against their definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.mixture import anchor_sums
from stream_adapter.adapter.mixture.anchor_sums import AnchorSums
from stream_adapter.config import AnchorsConfig
from tests.adapter.anchor_sets import around, random_unit

D = 8
NAMES = ("cat", "dog", "owl")
POOL = around(random_unit(3, D, seed=1), per_class=8, spread=0.4)
ANCHORS = st.builds(
    Anchor, st.sampled_from("abcdefgh"), st.sampled_from(list(POOL)), st.sampled_from(NAMES), st.integers(0, 3)
)
CALLS = st.one_of(
    st.tuples(st.just("put"), st.lists(ANCHORS, min_size=1, max_size=8)),
    st.tuples(st.just("remove"), st.lists(st.sampled_from("abcdefgh"), max_size=6)),
    st.tuples(st.just("directions"), st.integers(0, 3)),
    st.tuples(st.just("update"), st.none()),
    st.tuples(st.just("scatter"), st.none()),
)


def updated(sums: AnchorSums) -> None:
    """Let it take in what has changed; it must name every class whose sums are others then."""
    count, of_vectors = sums.count.copy(), sums.sums.copy()
    touched = sums.update().tolist()
    assert set(np.flatnonzero((sums.count != count) | (sums.sums != of_vectors).any(axis=1)).tolist()) <= set(touched)


@settings(max_examples=100, deadline=None)
@given(calls=st.lists(CALLS, max_size=15), waiting=st.sampled_from([1, 4, 512]))
def test_after_any_calls_sums_and_scatter_are_those_of_the_anchors(
    calls: list[tuple[str, object]], waiting: int
) -> None:
    anchors = Anchors(Classes(NAMES, random_unit(3, D, seed=9), 10.0), (), AnchorsConfig(index="exact"))
    sums = AnchorSums(anchors, len(NAMES), D)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(anchor_sums, "_ROWS_AT_ONCE", waiting)
        for name, argument in calls:
            if name == "put":
                anchors.put(argument)  # type: ignore[arg-type]
            elif name == "remove":
                anchors.remove(argument)  # type: ignore[arg-type]
            elif name == "directions":
                matrix, _ = np.linalg.qr(np.random.default_rng(argument).normal(size=(D, 4)))  # type: ignore[call-overload]
                anchors.set_directions(Directions(matrix.astype(np.float32), 0.3, 1))
            else:
                updated(sums)
                if name == "scatter":
                    sums.scatter()
        updated(sums)
    weights, vectors = anchors.weights, anchors.vectors.astype(np.float64)
    scatter = np.zeros((D, D))
    for index in range(len(NAMES)):
        own = anchors.classes == index
        count, total = weights[own].sum(), weights[own] @ vectors[own]
        assert sums.count[index] == pytest.approx(count, abs=1e-5)
        np.testing.assert_allclose(sums.sums[index], total, atol=1e-5)
        if own.any():
            around_mean = vectors[own] - total / count
            scatter += around_mean.T @ (around_mean * weights[own, None])
    np.testing.assert_allclose(sums.scatter(), scatter, atol=1e-4)
