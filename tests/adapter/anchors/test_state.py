from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import Anchor, Origin
from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.anchors.state import AnchorsCopy, restored_store
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.classes import Classes
from stream_adapter.config import AnchorsConfig
from stream_adapter.errors import SnapshotError
from tests.adapter.anchor_sets import HeldExecutor, put, random_unit

D = 32
CLASSES = ("cat", "dog", "owl")
TEXTS = random_unit(len(CLASSES), D, seed=1)
QUERIES = random_unit(20, D, seed=2)

Arrays = dict[str, NDArray[Any]]


def store_of(anchors: list[Anchor], dimension: int = D) -> AnchorStore:
    store = AnchorStore(CLASSES, dimension)
    for anchor in anchors:
        put(store, anchor)
    return store


def some_anchors(count: int, dimension: int = D, seed: int = 0) -> list[Anchor]:
    vectors = random_unit(count, dimension, seed)
    return [
        Anchor(f"{seed}-{n}", vector, CLASSES[n % 3], 10 * n, Origin(f"/källa/{n % 2}", f"e{n}", "images", n % 4, n))
        for n, vector in enumerate(vectors)
    ]


def everything(store: AnchorStore) -> list[tuple[object, ...]]:
    return [
        (anchor.anchor_id, anchor.vector.tobytes(), anchor.label, anchor.event_time_ms, anchor.origin)
        for anchor in store
    ]


def saved(store: AnchorStore) -> Arrays:
    return AnchorsCopy(store, ()).finish().arrays()


def test_a_store_comes_back_with_rows_and_digest() -> None:
    store = store_of(some_anchors(100))
    for number in range(0, 90, 7):
        store.take_out(f"0-{number}")
    arrays = saved(store)
    found = restored_store(arrays, CLASSES, D, ())
    assert arrays["store.vectors"].dtype == np.float16
    assert everything(found) == everything(store)
    assert found.digest == store.digest
    for name in ("rows", "classes", "times", "keys", "counts", "vectors"):
        np.testing.assert_array_equal(getattr(found, name), getattr(store, name))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=60), st.sampled_from([2, 8, 64]))
def test_a_restored_store_goes_on_as_the_other_does(changes: list[tuple[bool, int]], dimension: int) -> None:
    """Short vectors too, of which some are not what rounding and normalising leads back to."""
    store = store_of(some_anchors(15, dimension), dimension)
    found = restored_store(saved(store), CLASSES, dimension, ())
    for is_put, number in changes:
        for one in (store, found):
            anchor = some_anchors(31, dimension, seed=number % 2)[number]
            if is_put:
                put(one, anchor)
            elif anchor.anchor_id in one:
                one.take_out(anchor.anchor_id)
    assert everything(found) == everything(store)
    assert found.digest == store.digest
    assert found.rows.tolist() == store.rows.tolist()


def test_a_copy_shares_nothing_with_the_store() -> None:
    store = store_of(some_anchors(50))
    before = everything(store)
    copied = AnchorsCopy(store, ()).finish()
    for number in range(50):
        store.take_out(f"0-{number}")
    for anchor in some_anchors(70, seed=1):
        put(store, anchor)
    assert everything(restored_store(copied.arrays(), CLASSES, D, ())) == before


@settings(max_examples=60, deadline=None)
@given(*[st.lists(st.tuples(st.booleans(), st.integers(0, 200)), max_size=80)] * 2)
def test_a_copy_that_is_made_while_the_store_goes_on_is_the_state_at_its_end(
    before: list[tuple[bool, int]], after: list[tuple[bool, int]]
) -> None:
    """Anchors come, go and move to other slots before and after the background has copied the vectors."""
    store, anchors = store_of(some_anchors(40)), some_anchors(201)

    def go_on(changes: list[tuple[bool, int]]) -> None:
        for is_put, number in changes:
            if is_put:
                put(store, anchors[number])
            elif anchors[number].anchor_id in store:
                store.take_out(anchors[number].anchor_id)

    copying = AnchorsCopy(store, ())
    go_on(before)
    copying.run()
    go_on(after)
    found = restored_store(copying.finish().arrays(), CLASSES, D, ())
    assert everything(found) == everything(store)
    assert found.digest == store.digest


def test_an_empty_store_comes_back() -> None:
    assert len(restored_store(saved(AnchorStore(CLASSES, D)), CLASSES, D, ())) == 0


def test_row_ids_go_on_after_the_largest() -> None:
    store = store_of(some_anchors(5))
    last = int(store.rows.max())
    found = restored_store(saved(store), CLASSES, D, ())
    assert put(found, some_anchors(1, seed=3)[0]).row == last + 1


def test_classes_in_another_order_mean_the_same() -> None:
    store = store_of(some_anchors(20))
    found = restored_store(saved(store), CLASSES[::-1], D, ())
    assert everything(found) == everything(store) and found.digest == store.digest


@pytest.mark.parametrize(
    ("names", "canaries", "changed"),
    [((*CLASSES, "elk"), (), "elk"), (CLASSES[:2], (), "owl"), (CLASSES, ("dog",), "dog")],
)
def test_anchors_that_were_left_out_for_their_class_are_not_lost_silently(
    names: tuple[str, ...], canaries: tuple[str, ...], changed: str
) -> None:
    with pytest.raises(SnapshotError, match=f"since: {changed}; anchors of such classes are only in the changelog"):
        restored_store(saved(store_of(some_anchors(5))), names, D, canaries)


def drop(name: str) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__delitem__(name)


def change(name: str, to: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__setitem__(name, to(arrays[name]))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (drop("store.times"), r"no array `store\.times`"),
        (change("store.rows", lambda rows: rows[:-1]), "row ids are not one for each anchor"),
        (change("store.rows", lambda rows: rows * 0), "row ids are not one for each anchor"),
        (change("store.times", lambda times: times[:-1]), "different lengths"),
        (change("store.times", lambda times: times[::-1].copy()), "digest is not the one"),
        (change("store.labels.codes", lambda codes: codes[::-1].copy()), "digest is not the one"),
        (change("store.ids.ends", lambda ends: ends * 0), "do not rise"),
        (change("store.rows", lambda rows: rows - 1), "row ids are not one for each anchor"),
        (change("store.vectors", lambda vectors: vectors * 2), "saved anchor 0: the vector's length"),
        (change("store.vectors", lambda vectors: vectors[:, :8]), "another encoder's"),
        (change("store.vectors", lambda vectors: vectors.astype(np.float64)), "float64"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(damage: Callable[[Arrays], None], reason: str) -> None:
    arrays = saved(store_of(some_anchors(10)))
    damage(arrays)
    with pytest.raises(SnapshotError, match=reason):
        restored_store(arrays, CLASSES, D, ())


# All anchors together -------------------------------------------------------------------------------------------------


def all_anchors(count: int = 0, index: Any = "exact", **config: Any) -> Anchors:
    anchors = Anchors(
        Classes(CLASSES, TEXTS, 100.0), (), AnchorsConfig(index=index, recall_sample=0.0, **config), seed=0
    )
    anchors.put(some_anchors(count))
    return anchors


def test_restored_anchors_are_found_and_weighed_as_before() -> None:
    one, other = all_anchors(60), all_anchors(10)  # what was there before is gone afterwards
    directions = Directions(np.eye(D, 4, dtype=np.float32), 1.0, 1)
    for anchors in (one, other):
        anchors.set_directions(directions)
    other.restore(one.copy().finish().arrays())
    assert other.digest == one.digest
    assert one.nearest(QUERIES, 5).rows.tolist() == other.nearest(QUERIES, 5).rows.tolist()
    assert one.weights.min() < 0.9
    np.testing.assert_allclose(other.weights, one.weights, rtol=1e-5)


def test_what_was_not_confirmed_is_as_the_changelog_has_it() -> None:
    one, other = all_anchors(30), all_anchors()
    first, second, third, *_ = one
    corrected = Anchor(second.anchor_id, second.vector, "owl" if second.label != "owl" else "cat", second.event_time_ms)
    unconfirmed = {first.anchor_id: None, second.anchor_id: corrected, "never there": None}
    other.restore(one.copy().finish(unconfirmed).arrays())
    assert other.get(first.anchor_id) is None
    assert (found := other.get(second.anchor_id)) is not None and found.label == corrected.label
    assert other.get(third.anchor_id) is not None
    one.remove([first.anchor_id, second.anchor_id])
    one.put([corrected])
    assert other.digest == one.digest


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (drop("store.rows"), "no array"),
        (drop("unconfirmed.ends"), "no array"),
        (drop("settled.times"), "no array"),
        (change("settled.vectors", lambda vectors: vectors * np.nan), "settled anchor 0: the vector's length is nan"),
        (change("settled.vectors", lambda vectors: vectors[:, :8]), "another encoder's"),
    ],
)
def test_a_state_that_is_refused_changes_nothing(damage: Callable[[Arrays], None], reason: str) -> None:
    anchors = all_anchors(12)
    digest, rows = anchors.digest, anchors.rows.tolist()
    arrays = all_anchors(20).copy().finish({"0-3": some_anchors(4)[3]}).arrays()
    damage(arrays)
    with pytest.raises(SnapshotError, match=reason):
        anchors.restore(arrays)
    assert (anchors.digest, anchors.rows.tolist()) == (digest, rows)


def test_the_budget_holds_after_a_restore() -> None:
    anchors = all_anchors(budget=30)
    anchors.restore(all_anchors(60).copy().finish().arrays())
    assert len(anchors.take_in([]).result.removed) == 30
    assert len(anchors) == 30


def test_exact_search_answers_until_a_graph_is_built_anew() -> None:
    anchors, executor = all_anchors(index="hnsw"), HeldExecutor()
    one = all_anchors(600)
    anchors.restore(one.copy().finish().arrays())
    assert anchors.index_statistics.kind == "exact"
    assert anchors.nearest(QUERIES, 5).rows.tolist() == one.nearest(QUERIES, 5).rows.tolist()
    anchors.maintain(executor)
    executor.run()
    anchors.maintain(executor)
    assert (anchors.index_statistics.kind, anchors.index_statistics.live) == ("hnsw", 600)
