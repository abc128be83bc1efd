"""What every search for nearest anchors must do, whichever it is."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.nearest.neighbours import _largest, exact
from stream_adapter.adapter.anchors.nearest.search import NearestAnchors
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import AnchorsConfig
from tests.adapter.anchor_sets import offer, random_unit

D = 8
CONFIG = AnchorsConfig(recall_sample=0.5)
SEARCHES: dict[str, Callable[[AnchorStore], NearestAnchors]] = {
    "exact": lambda store: NearestAnchors(store, CONFIG, 0, (float("inf"), 0)),
    "hnsw": lambda store: NearestAnchors(store, CONFIG, 0, (0, 0)),
    "auto": lambda store: NearestAnchors(store, CONFIG, 0, (12, 6)),
}
VECTORS = random_unit(400, D, seed=1)
QUERIES = random_unit(5, D, seed=2)

search = pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES)


def check_answer(store: AnchorStore, index: NearestAnchors, k: int) -> None:
    answer = index.query(QUERIES, k)
    assert answer.rows.shape == answer.cosines.shape == (len(QUERIES), k)
    assert (str(answer.rows.dtype), str(answer.cosines.dtype)) == ("int64", "float32")
    found = min(k, len(store))
    truth = -np.sort(-(QUERIES.astype(np.float64) @ store.vectors.T.astype(np.float64)), axis=1)[:, :found]
    assert (answer.rows[:, found:] == -1).all()
    assert np.isneginf(answer.cosines[:, found:]).all()
    slots = store.slots_of(answer.rows[:, :found])
    assert (slots >= 0).all(), "an anchor was found that is not live"
    assert all(len(set(row)) == found for row in slots.tolist()), "an anchor was found twice"
    exact = np.einsum("bd,bkd->bk", QUERIES, store.vectors[slots]) if found else np.zeros((len(QUERIES), 0))
    np.testing.assert_allclose(answer.cosines[:, :found], exact, atol=1e-6)
    # The stores here are so small that a graph misses nothing either.
    np.testing.assert_allclose(answer.cosines[:, :found], truth, atol=1e-6)


@search
@settings(max_examples=40, deadline=None)
@given(operations=st.lists(st.integers(-6, 12), max_size=25), k=st.integers(1, 9))
def test_the_k_nearest_live_anchors_are_found(
    make: Callable[[AnchorStore], NearestAnchors], operations: list[int], k: int
) -> None:
    store = AnchorStore(["cat"], D)
    index = make(store)
    executor = InlineExecutor()
    used = 0
    for operation in operations:  # so many anchors come, or as many of the oldest go
        if operation >= 0:
            rows = []
            for vector in VECTORS[used : used + operation]:
                row = offer(store, Anchor(f"{used:04d}", vector, "cat", used)).row
                assert row is not None
                rows.append(row)
                used += 1
            index.add(np.array(rows, np.int64))
        else:
            oldest = sorted(store.ids)[:-operation]
            index.remove(np.array([store.take_out(anchor_id).row for anchor_id in oldest], np.int64))
        index.maintain(executor)
        assert index.statistics.live == len(store)
        check_answer(store, index, k)


@search
def test_an_empty_batch_of_queries_has_an_empty_answer(make: Callable[[AnchorStore], NearestAnchors]) -> None:
    store = AnchorStore(["cat"], D)
    index = make(store)
    row = offer(store, Anchor("a", VECTORS[0], "cat", 0)).row
    index.add(np.array([row]))
    assert index.query(np.empty((0, D), np.float32), 3).rows.shape == (0, 3)


@search
def test_what_has_left_the_store_is_not_found_even_before_the_index_is_told(
    make: Callable[[AnchorStore], NearestAnchors],
) -> None:
    store = AnchorStore(["cat"], D)
    index = make(store)
    rows = [offer(store, Anchor(f"{i}", vector, "cat", i)).row for i, vector in enumerate(VECTORS[:20])]
    index.add(np.array(rows))
    index.maintain(InlineExecutor())
    gone = [store.take_out(f"{i}").row for i in range(10)]
    found, cosines = index.query(QUERIES, 20)
    assert not np.isin(found, gone).any()
    assert ((found == -1) == np.isneginf(cosines)).all()
    assert (np.diff(np.maximum(cosines, -2.0), axis=1) <= 0).all()
    for anchor_id in list(store.ids):
        store.take_out(anchor_id)
    assert (index.query(QUERIES, 20).rows == -1).all()


def test_exact_search_in_blocks_gives_the_same_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    store = AnchorStore(["cat"], D)
    for i, vector in enumerate(VECTORS):
        offer(store, Anchor(f"{i}", vector, "cat", i))
    whole = exact(store, QUERIES, 7)
    monkeypatch.setattr("stream_adapter.adapter.anchors.nearest.neighbours._BLOCK_CELLS", 2 * len(VECTORS))
    blocks = exact(store, QUERIES, 7)
    assert (whole.rows == blocks.rows).all()


@given(st.integers(0, 5), st.integers(2, 700), st.integers(1, 20), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_the_largest_of_each_row_are_found_whatever_is_equal(rows: int, n: int, k: int, values: int, seed: int) -> None:
    k = min(k, n - 1)
    scores = np.random.default_rng(seed).integers(0, values**4, (rows, n)).astype(np.float32)
    found = _largest(scores, k)
    assert found.shape == (rows, k)
    assert all(len(set(row)) == k for row in found.tolist())
    np.testing.assert_array_equal(np.sort(np.take_along_axis(scores, found, 1), 1), np.sort(scores, 1)[:, n - k :])


@search
def test_equally_near_anchors_come_in_one_order_whichever_came_first(
    make: Callable[[AnchorStore], NearestAnchors],
) -> None:
    """Each coordinate of the query is as large: anchors along different ones are as near."""
    anchors = [Anchor(f"id{axis}", vector, "cat", 0) for axis, vector in enumerate(np.eye(D, dtype=np.float32))]
    query = np.full((1, D), D**-0.5, np.float32)

    def found(order: list[Anchor]) -> list[str]:
        store = AnchorStore(["cat"], D)
        index = make(store)
        for anchor in order:
            offer(store, anchor)
        index.add(store.rows)
        index.maintain(InlineExecutor())
        return list(store.ids_at(store.slots_of(index.query(query, D).rows[0])))

    assert found(anchors) == found(anchors[::-1]) == found(anchors[3:] + anchors[:3])
