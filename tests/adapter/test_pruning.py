import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter import pruning
from stream_adapter.adapter.anchors import Anchor
from stream_adapter.adapter.pruning import Pruner, allowances
from stream_adapter.adapter.store import AnchorStore
from tests.adapter.anchor_sets import offer, random_unit, store_of, unit

CLASSES = ("cat", "dog", "horse", "house")
D = 6
POOL = random_unit(60, D, seed=3)


def prune(store: AnchorStore, pruner: Pruner) -> set[str]:
    victims = pruner.victims()
    assert len({victim.row for victim in victims}) == len(victims)
    return {store.remove(store.id_of(victim.row)).anchor.anchor_id for victim in victims}


def pool_anchors(labels: list[int]) -> list[Anchor]:
    """Anchors with few distinct times, so that ties occur."""
    return [Anchor(f"{i * 37 % 61:02d}", POOL[i], CLASSES[label], i // 5) for i, label in enumerate(labels)]


LABELS = st.lists(st.integers(0, len(CLASSES) - 1), min_size=1, max_size=len(POOL))
BUDGETS = st.integers(1, 40)


# From which class -----------------------------------------------------------------------------------------------------


def one_at_a_time(counts: list[int], newest: list[int], budget: int, per_class: int) -> list[int]:
    """As one would say it: while there is too much, the largest class gives one, of equals the stalest."""
    allowed = [min(count, per_class) for count in counts]
    while sum(allowed) > budget:
        largest = max(allowed)
        level = [index for index, size in enumerate(allowed) if size == largest]
        allowed[min(level, key=lambda index: (newest[index], -index))] -= 1
    return allowed


@settings(deadline=None)
@given(
    classes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=6),
    budget=BUDGETS,
    per_class=st.integers(1, 10),
)
def test_the_largest_classes_give_first(classes: list[tuple[int, int]], budget: int, per_class: int) -> None:
    counts, newest = [count for count, _ in classes], [time for _, time in classes]
    found = allowances(np.array(counts), np.array(newest), budget, per_class)
    assert found.tolist() == one_at_a_time(counts, newest, budget, per_class)


@settings(deadline=None)
@given(labels=LABELS, budget=BUDGETS, per_class=BUDGETS)
def test_budgets_hold_and_no_class_dies_for_one_that_has_more_than_its_share(
    labels: list[int], budget: int, per_class: int
) -> None:
    store = store_of(pool_anchors(labels), CLASSES, D)
    before = store.counts
    prune(store, Pruner(store, budget, per_class))
    after = store.counts
    assert len(store) == min(budget, int(np.minimum(before, per_class).sum())), "no more was removed than had to be"
    assert after.max() <= per_class
    if ((before > 0) & (after == 0)).any():
        assert after.max() <= 1
    # Whoever gave for the total budget is no smaller, after that, than anybody else by more than one.
    gave = after < np.minimum(before, per_class)
    if gave.any():
        assert after[gave].min() >= after.max() - 1


def test_within_the_budgets_nothing_is_removed() -> None:
    store = store_of(pool_anchors([0, 1, 1, 2]), CLASSES, D)
    assert Pruner(store, budget=4, budget_per_class=2).victims() == []
    empty = AnchorStore(CLASSES, D)
    assert Pruner(empty, budget=1, budget_per_class=1).victims() == []


def test_the_reason_names_the_budget_that_was_exceeded() -> None:
    store = store_of(pool_anchors([0] * 6 + [1] * 2), CLASSES, D)
    reasons = [victim.reason for victim in Pruner(store, budget=5, budget_per_class=4).victims()]
    assert sorted(reasons) == ["class budget", "class budget", "total budget"]


# Which of its anchors -------------------------------------------------------------------------------------------------


def greedy(store: AnchorStore, count: int) -> set[str]:
    """The older one of the closest pair, again and again, in whole numbers."""
    points = np.rint(store.vectors.astype(np.float64) * pruning._FIXED_POINT).astype(np.int64)
    age = {i: (int(store.times[i]), int(store.keys[i])) for i in range(len(store))}
    left = set(range(len(store)))
    for _ in range(count):
        pairs = [(int(points[i] @ points[j]), i, j) for i in left for j in left if i < j]
        closest = max((cosine for cosine, _, _ in pairs), default=0)
        candidates = {i for cosine, *pair in pairs if cosine == closest for i in pair} or left
        left.remove(min(candidates, key=lambda i: age[i]))
    return {store.ids[i] for i in range(len(store))} - {store.ids[i] for i in left}


@settings(max_examples=40, deadline=None)
@given(size=st.integers(2, 25), data=st.data())
def test_the_older_one_of_the_closest_pair_goes(size: int, data: st.DataObject) -> None:
    store = store_of(pool_anchors([0] * size), CLASSES, D)
    excess = data.draw(st.integers(1, size))
    expected = greedy(store, excess)
    if excess == size:  # the budget cannot be 0: another class needs all of it
        offer(store, Anchor("newest", POOL[-1], "dog", 99))
        pruner = Pruner(store, budget=1, budget_per_class=100)
    else:
        pruner = Pruner(store, budget=size - excess, budget_per_class=100)
    assert prune(store, pruner) == expected


def test_a_near_copy_goes_before_a_rare_appearance() -> None:
    axes = np.eye(D, dtype=np.float32)
    copies = unit(axes[0] + 0.05 * random_unit(3, D))
    vectors = np.concatenate([axes[1:4], copies])  # three rare ones, older than three copies
    anchors = [Anchor(f"{i}", vector, "cat", i) for i, vector in enumerate(vectors)]
    store = store_of(anchors, CLASSES, D)
    removed = prune(store, Pruner(store, budget=4, budget_per_class=4))
    assert removed < {"3", "4", "5"}
    assert "5" not in removed, "of the copies the newest stays"


# What is guaranteed ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, budget=BUDGETS, per_class=BUDGETS, data=st.data())
def test_the_same_set_loses_the_same_anchors_in_whatever_order_they_came(
    labels: list[int], budget: int, per_class: int, data: st.DataObject
) -> None:
    anchors = pool_anchors(labels)
    one = store_of(anchors, CLASSES, D)
    other = store_of([], CLASSES, D)
    # The other worker has another past: other slots, other row ids, and nearest pairs remembered from other sets.
    pruner = Pruner(other, budget, per_class)
    extra = [Anchor(f"x{i}", vector, CLASSES[i % 4], i) for i, vector in enumerate(random_unit(20, D, seed=8))]
    order = data.draw(st.permutations(anchors + extra))
    for anchor in order:
        offer(other, anchor)
    pruner.victims()
    for anchor in extra:
        other.remove(anchor.anchor_id)
    pruner.victims()
    assert prune(one, Pruner(one, budget, per_class)) == prune(other, pruner)
    assert one.digest == other.digest


@pytest.mark.parametrize("window", [4, pruning._WINDOW])
@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(st.integers(0, 1), min_size=20, max_size=60),
    forgotten=st.sets(st.integers(0, 59)),
    budget=st.integers(4, 30),
)
def test_a_stream_at_its_budget_is_pruned_as_if_nothing_were_remembered(
    window: int, labels: list[int], forgotten: set[int], budget: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning, "_WINDOW", window)
        store, fresh = AnchorStore(CLASSES, D), AnchorStore(CLASSES, D)
        pruner = Pruner(store, budget, 20)
        for step, anchor in enumerate(pool_anchors(labels)):
            offer(store, anchor)
            offer(fresh, anchor)
            if step in forgotten:  # somebody deletes one that others may have remembered as their nearest
                anchor_id = sorted(store.ids)[step % len(store)]
                store.remove(anchor_id)
                fresh.remove(anchor_id)
            assert prune(store, pruner) == prune(fresh, Pruner(fresh, budget, 20))
            assert len(store) <= budget


def test_a_class_larger_than_the_window_loses_old_anchors_and_keeps_young_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pruning, "_WINDOW", 8)
    anchors = [Anchor(f"{i:02d}", vector, "cat", i) for i, vector in enumerate(POOL)]
    store = store_of(anchors, CLASSES, D)
    removed = prune(store, Pruner(store, budget=50, budget_per_class=50))
    assert len(removed) == 10
    assert max(removed) < "20"


def test_fixed_point_cosines_are_exact_in_any_order() -> None:
    vectors: NDArray[np.float32] = random_unit(50, 1_024, seed=5)
    near = unit(vectors + 1e-4 * random_unit(50, 1_024, seed=6))
    points = np.rint(np.concatenate([vectors, near]) * pruning._FIXED_POINT).astype(np.float32)
    exact = points.astype(np.int64) @ points.astype(np.int64).T
    assert exact.max() < 2**24
    shuffled = np.random.default_rng(0).permutation(1_024)
    assert (pruning._products(points, points) == exact).all()
    assert (pruning._products(points[:3, shuffled], points[:, shuffled]) == exact[:3]).all()
