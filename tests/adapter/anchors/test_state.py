from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor, Origin
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.adapter.state import AdapterState, StateCopy, restored_store
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.config import AdapterConfig, AnchorsConfig, RefitConfig
from stream_adapter.errors import SnapshotError
from tests.adapter.anchor_sets import HeldExecutor, anchors_of, around, put, random_unit

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
        for anchor in store.anchors()
    ]


def saved(store: AnchorStore) -> Arrays:
    return StateCopy(store, None, ()).finish().arrays()


def test_a_store_comes_back_with_rows_and_digest() -> None:
    store = store_of(some_anchors(100))
    for number in range(0, 90, 7):
        store.remove(f"0-{number}")
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
                one.remove(anchor.anchor_id)
    assert everything(found) == everything(store)
    assert found.digest == store.digest
    assert found.rows.tolist() == store.rows.tolist()


def test_a_copy_shares_nothing_with_the_store() -> None:
    store = store_of(some_anchors(50))
    before = everything(store)
    copied = StateCopy(store, None, ()).finish()
    for number in range(50):
        store.remove(f"0-{number}")
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
                store.remove(anchors[number].anchor_id)

    copying = StateCopy(store, None, ())
    go_on(before)
    copying.run()
    go_on(after)
    found = restored_store(copying.finish().arrays(), CLASSES, D, ())
    assert everything(found) == everything(store)
    assert found.digest == store.digest


def test_an_empty_store_comes_back() -> None:
    assert len(restored_store(saved(AnchorStore(CLASSES, D)), CLASSES, D, ())) == 0


def test_row_ids_are_never_used_again() -> None:
    store = store_of(some_anchors(5))
    last = int(store.rows.max())
    store.remove("0-4")
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
        (change("store.next_row", lambda row: row - 1), "not all below 9"),
        (change("store.times", lambda times: times[:-1]), "different lengths"),
        (change("store.times", lambda times: times[::-1].copy()), "digest is not the one"),
        (change("store.labels.codes", lambda codes: codes[::-1].copy()), "digest is not the one"),
        (change("store.ids.ends", lambda ends: ends * 0), "do not rise"),
        (change("store.shapes", lambda shapes: shapes[1:]), "has shape"),
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


# The adapter as a whole.


def adapter_of(index: Any = "exact", count: int = 0, **changes: Any) -> Adapter:
    config = AdapterConfig(
        anchors=AnchorsConfig(index=index, recall_sample=0.0, **changes),
        refit=RefitConfig(background=False, every_labels=1, steps=5),
    )
    adapter = Adapter(TEXTS, CLASSES, 100.0, config)
    vectors = around(TEXTS, per_class=-(-count // 3) if count else 1, spread=1.5)[:count]
    adapter.follow(anchors_of(vectors, [CLASSES[n % 3] for n in range(count)]))
    return adapter


def reloaded(state: AdapterState, index: Any = "exact", **changes: Any) -> Adapter:
    adapter = adapter_of(index, 10, **changes)  # what was there before is gone afterwards
    adapter.load_state(state.arrays())
    return adapter


def test_a_restored_adapter_answers_bit_for_bit_as_the_other() -> None:
    one = adapter_of(count=60)
    other = reloaded(one.copy_state().finish())
    for adapter in (one, other):
        adapter.maintain(InlineExecutor(), 0.0)
    assert other.anchors_digest == one.anchors_digest
    assert other.changes_since_fit == 0 and other.version == one.version
    answers = [adapter.predict(QUERIES) for adapter in (one, other)]
    np.testing.assert_array_equal(answers[0].adapted, answers[1].adapted)
    np.testing.assert_array_equal(answers[0].neighbour_ids, answers[1].neighbour_ids)


def test_what_was_not_confirmed_is_as_the_changelog_has_it() -> None:
    one = adapter_of(count=30)
    first, second, third, *_ = one.anchors()
    corrected = Anchor(second.anchor_id, second.vector, "owl" if second.label != "owl" else "cat", second.event_time_ms)
    other = reloaded(
        one.copy_state().finish(unconfirmed={first.anchor_id: None, second.anchor_id: corrected, "never there": None})
    )
    assert other.anchor(first.anchor_id) is None
    assert (found := other.anchor(second.anchor_id)) is not None and found.label == corrected.label
    assert other.anchor(third.anchor_id) is not None
    one.forget([first.anchor_id, second.anchor_id])
    one.follow([corrected])
    assert other.anchors_digest == one.anchors_digest


def test_a_state_that_is_refused_changes_nothing() -> None:
    adapter = adapter_of(count=12)
    digest = adapter.anchors_digest
    arrays = adapter_of(count=20).copy_state().finish().arrays()
    del arrays["store.rows"]
    with pytest.raises(SnapshotError):
        adapter.load_state(arrays)
    assert adapter.anchors_digest == digest


def test_the_budget_holds_after_a_restore() -> None:
    other = reloaded(adapter_of(count=60).copy_state().finish(), budget=30)
    assert len(other.learn([]).removed) == 30


def test_a_saved_graph_answers_at_once_and_as_before() -> None:
    one = adapter_of("hnsw", 600)
    one.forget([anchor.anchor_id for anchor in list(one.anchors())[:150]])
    other = reloaded(one.copy_state().finish(graph=True), "hnsw")
    assert (other.index_statistics.kind, other.index_statistics.live, other.index_statistics.tombstones) == (
        "hnsw", 450, 150,
    )  # fmt: skip
    for adapter in (one, other):  # and it goes on living
        adapter.follow(anchors_of(random_unit(300, D, seed=8), ["cat"] * 300, prefix="late"))
        adapter.forget([anchor.anchor_id for anchor in list(adapter.anchors())[:50]])
    answers = [adapter.predict(QUERIES).neighbour_ids for adapter in (one, other)]
    np.testing.assert_array_equal(*answers)
    assert other.index_statistics.live == 700


@pytest.mark.parametrize("kept", [True, False])
def test_without_a_graph_that_fits_exact_search_answers_until_one_is_built(kept: bool) -> None:
    one = adapter_of("hnsw", 600)
    other = reloaded(one.copy_state().finish(graph=kept), "hnsw", hnsw_m=24)  # another M than the saved graph's
    assert other.index_statistics.kind == "exact"
    expected = reloaded(one.copy_state().finish()).predict(QUERIES).neighbour_ids
    np.testing.assert_array_equal(other.predict(QUERIES).neighbour_ids, expected)
    executor = HeldExecutor()
    other.maintain(executor, 0.0)
    assert executor.held == 1
    executor.run()
    other.maintain(executor, 0.0)
    assert other.index_statistics.kind == "hnsw"


@pytest.mark.parametrize(
    "damage",
    [
        change("graph.labels", lambda labels: labels + 1_000),
        change("graph.labels", lambda labels: labels * 0),
        change("graph.links", lambda links: links | 0xF0),
        change("graph.links", lambda links: links[:, :-4]),
        change("graph.upper_links", lambda links: links | 0xF0),
        change("graph.upper_links", lambda links: links[:-1]),
        change("graph.levels", lambda levels: -levels),
        change("graph.entry", lambda entry: entry + 10_000),
        change("graph.gone", lambda gone: gone[1:]),
        change("graph.settings", lambda settings: settings[1:]),
        drop("graph.levels"),
    ],
)
def test_a_graph_that_does_not_fit_is_left_and_the_anchors_are_not(damage: Callable[[Arrays], None]) -> None:
    one = adapter_of("hnsw", 300)
    one.forget([anchor.anchor_id for anchor in list(one.anchors())[:20]])
    arrays = one.copy_state().finish(graph=True).arrays()
    damage(arrays)
    other = adapter_of("hnsw")
    other.load_state(arrays)
    assert other.index_statistics.kind == "exact"
    assert other.anchors_digest == one.anchors_digest
