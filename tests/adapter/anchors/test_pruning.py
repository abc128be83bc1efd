"""Which anchors go when there are too many, through `Anchors.take_in`, as everybody prunes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.anchors.ownership import EVERYTHING, NOTHING, Ownership
from stream_adapter.adapter.anchors.pruning import Pruner, doubt
from stream_adapter.adapter.anchors.results import RemovedReason
from stream_adapter.adapter.anchors.weights import AnchorWeights, Directions
from stream_adapter.adapter.classes import Classes
from stream_adapter.config import AnchorsConfig
from tests.adapter.anchor_sets import around, random_unit, store_of, unit

NAMES = ("cat", "dog", "horse", "house")
D = 8
POOL = around(random_unit(6, D, seed=3), per_class=10, spread=0.25)
CLASSES = Classes(NAMES, random_unit(len(NAMES), D, seed=4), 5.0)
MATRIX = np.linalg.qr(np.random.default_rng(1).normal(size=(D, 4)))[0].astype(np.float32)
DIRECTIONS = Directions(MATRIX, 0.3, 1)

LABELS = st.lists(st.integers(0, len(NAMES) - 1), min_size=1, max_size=len(POOL))
BUDGETS = st.integers(1, 40)
WEIGHED = st.sampled_from([None, DIRECTIONS])


def pool_anchors(labels: list[int]) -> list[Anchor]:
    """Anchors with few distinct times, so that ties occur."""
    return [Anchor(f"{i * 37 % 61:02d}", POOL[i], NAMES[label], i // 5) for i, label in enumerate(labels)]


def kept(
    anchors: list[Anchor],
    budget: int,
    per_class: int = 100,
    directions: Directions | None = None,
    classes: Classes = CLASSES,
) -> Anchors:
    """Anchors that are there already, and too many perhaps: nothing is pruned yet."""
    all_of_them = Anchors(classes, (), AnchorsConfig(budget=budget, budget_per_class=per_class))
    all_of_them.set_directions(directions)
    all_of_them.put(anchors)
    return all_of_them


def prune(anchors: Anchors, owned: Ownership = EVERYTHING) -> set[str]:
    return {removed.anchor_id for removed in anchors.take_in([], owned).result.removed}


# Which anchor goes ----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 2), min_size=40, max_size=len(POOL)),
    budget=BUDGETS,
    per_class=BUDGETS,
    directions=WEIGHED,
)
def test_the_anchor_of_least_worth_goes_again_and_again(
    labels: list[int], budget: int, per_class: int, directions: Directions | None
) -> None:
    """As one would say it: one after another, everything computed anew after each."""
    store = store_of(pool_anchors(labels), NAMES, D)
    weights = AnchorWeights(store)
    weights.set_directions(directions)
    config = AnchorsConfig(budget=budget, budget_per_class=per_class)
    spared = max(1, budget // (4 * int((store.counts > 0).sum())))
    for victim in Pruner(store, weights, CLASSES, config).victims():
        slot = int(store.slots_of(np.array([victim.row]))[0])
        weights.level()
        worth = doubt(store.vectors, CLASSES) / store.crowding
        counts = store.counts
        if victim.reason == "class budget":
            assert counts[store.classes[slot]] > per_class
            among = store.classes == store.classes[slot]
        else:
            assert counts.max() <= per_class and len(store) > budget
            among = (counts > spared)[store.classes]
        if among.any():
            assert among[slot]
            assert worth[slot] <= worth[among].min() + 1.1 / 1_024, "but for the steps in which worths are compared"
        else:
            assert counts[store.classes[slot]] > 1 or counts.max() == 1
        store.take_out(store.id_of(victim.row))
        weights.set_directions(directions)
    assert len(store) <= budget


def test_a_copy_goes_before_what_is_there_once_and_its_weight_is_the_survivors() -> None:
    axes = np.eye(D, dtype=np.float32)
    copies = unit(axes[0] + 0.02 * random_unit(4, D))
    anchors = [Anchor(f"once {i}", vector, "cat", i) for i, vector in enumerate(axes[1:5])]
    anchors += [Anchor(f"copy {i}", vector, "cat", 10 + i) for i, vector in enumerate(copies)]
    directions = Directions(np.eye(D, 6, dtype=np.float32), 0.3, 1)
    for budget, gone in ((7, 1), (6, 2), (5, 3)):
        removed = prune(kept(anchors, budget, directions=directions))
        assert len(removed) == gone and all(anchor_id.startswith("copy") for anchor_id in removed)
    last = kept(anchors, 5, directions=directions)
    prune(last)
    np.testing.assert_allclose(last.weights, 1.0, rtol=1e-5)
    # The last of the copies is worth as much as any other, and here all are in equal doubt: the oldest goes.
    unsure = Classes(NAMES, CLASSES.texts, 1e-3)
    assert prune(kept(anchors, 4, directions=directions, classes=unsure)) >= {"once 0"}


def test_a_class_that_the_untouched_model_knows_gives_before_one_that_it_doubts() -> None:
    # The first class's text is the first axis; pictures between the other two are as near to one text as to the other.
    classes = Classes(NAMES[:3], np.eye(D, dtype=np.float32)[:3], 10.0)
    sure = unit(classes.texts[0] + 0.1 * random_unit(4, D, seed=1))
    torn = unit((classes.texts[1] + classes.texts[2]) / np.sqrt(2) + 0.1 * random_unit(4, D, seed=1))
    anchors = [Anchor(f"sure {i}", vector, "cat", i) for i, vector in enumerate(sure)]
    anchors += [Anchor(f"torn {i}", vector, "dog", i) for i, vector in enumerate(torn)]
    removed = prune(kept(anchors, 5, classes=classes))
    assert len(removed) == 3
    assert all(anchor_id.startswith("sure") for anchor_id in removed)


def test_doubt_is_what_the_untouched_model_leaves_open() -> None:
    classes = Classes(NAMES[:2], np.eye(D, dtype=np.float32)[:2], 100.0)
    vectors = unit(np.array([[1, 0] + [0] * (D - 2), [1, 1] + [0] * (D - 2)]))
    np.testing.assert_allclose(doubt(vectors, classes), [0.1, 0.6], atol=1e-6)


def test_of_equals_the_oldest_goes() -> None:
    anchors = [Anchor(f"{n}", POOL[0], "cat", 9 - n) for n in range(4)]  # put, so that nothing is folded
    assert prune(kept(anchors, 3)) == {"3"}


# What is guaranteed ---------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    calls=st.lists(st.lists(st.tuples(st.integers(0, 59), st.integers(0, 3)), max_size=12), max_size=8),
    budget=BUDGETS,
    per_class=BUDGETS,
    directions=WEIGHED,
)
def test_budgets_hold_after_every_call(
    calls: list[list[tuple[int, int]]], budget: int, per_class: int, directions: Directions | None
) -> None:
    anchors = kept([], budget, per_class, directions)
    for time, call in enumerate(calls):
        anchors.take_in([Anchor(f"{time}-{n}", POOL[n], NAMES[label], time) for n, label in call])
        assert len(anchors) <= budget
        assert anchors.counts.max() <= per_class
        assert anchors.index_statistics.live == len(anchors)


@settings(deadline=None)
@given(labels=LABELS, budget=BUDGETS, per_class=BUDGETS, directions=WEIGHED)
def test_every_class_keeps_a_quarter_of_an_even_share_and_none_its_last_while_another_has_two(
    labels: list[int], budget: int, per_class: int, directions: Directions | None
) -> None:
    anchors = kept(pool_anchors(labels), budget, per_class, directions)
    before = anchors.counts
    prune(anchors)
    after = anchors.counts
    assert len(anchors) == min(budget, int(np.minimum(before, per_class).sum())), "no more was removed than had to be"
    assert after.max() <= per_class
    if ((before > 0) & (after == 0)).any():
        assert after.max() <= 1
    quarter = budget // (4 * int((before > 0).sum()))
    assert (after >= np.minimum(np.minimum(before, per_class), quarter)).all()


def test_where_classes_are_more_than_the_budget_the_newest_stay() -> None:
    times = (5, 2, 9, 4)
    anchors = [Anchor(f"{i}", POOL[i], name, time) for i, (name, time) in enumerate(zip(NAMES, times, strict=True))]
    assert prune(kept(anchors, budget=2)) == {"1", "3"}


def test_within_the_budgets_nothing_is_removed() -> None:
    assert prune(kept(pool_anchors([0, 1, 1, 2]), 4, 2)) == set()
    assert prune(kept([], 1, 1)) == set()


def test_the_reason_names_the_budget_that_was_exceeded() -> None:
    removed = kept(pool_anchors([0] * 6 + [1] * 2), 5, 4).take_in([]).result.removed
    reasons: list[RemovedReason] = sorted(one.reason for one in removed)
    assert reasons == ["class budget", "class budget", "total budget"]


# Several workers ------------------------------------------------------------------------------------------------------

HALVES = (Ownership(frozenset({0, 2}), 4), Ownership(frozenset({1, 3}), 4))


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, budget=BUDGETS, per_class=BUDGETS, directions=WEIGHED)
def test_workers_that_took_the_same_anchors_in_together_remove_what_one_alone_does(
    labels: list[int], budget: int, per_class: int, directions: Directions | None
) -> None:
    alone, one, other = (kept(pool_anchors(labels), budget, per_class, directions) for _ in range(3))
    expected, by_one, by_other = prune(alone), prune(one, HALVES[0]), prune(other, HALVES[1])
    assert by_one | by_other == expected
    assert not by_one & by_other
    one.remove(sorted(by_other))
    assert one.digest == alone.digest


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, budget=BUDGETS, directions=WEIGHED, data=st.data())
def test_workers_that_took_them_in_in_another_order_agree_but_for_ties(
    labels: list[int], budget: int, directions: Directions | None, data: st.DataObject
) -> None:
    """Sums of closeness in another order differ in their last bits, and so do worths on the edge of a step.

    What one then removes in place of another is worth as much; the next call sees to the budget.
    """
    anchors = pool_anchors(labels)
    alone, one, other = (kept(data.draw(st.permutations(anchors)), budget, directions=directions) for _ in range(3))
    expected, by_one, by_other = prune(alone), prune(one, HALVES[0]), prune(other, HALVES[1])
    assert not by_one & by_other
    assert len((by_one | by_other) ^ expected) <= 2
    one.remove(sorted(by_other))
    prune(one)
    assert len(one) <= budget


def test_whoever_owns_nothing_removes_nothing() -> None:
    assert prune(kept(pool_anchors([0] * 20), 5), NOTHING) == set()


def test_anchors_that_came_in_bulk_are_pruned_before_all_their_doubts_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream_adapter.adapter.anchors.pruning._DOUBT_COST", 0)
    anchors = kept(pool_anchors([0, 1] * 30), 20)
    assert len(prune(anchors)) == 40
    assert len(anchors) == 20
