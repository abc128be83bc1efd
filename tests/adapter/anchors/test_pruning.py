import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_adapter.adapter.pruning import Doubt, Pruner

from stream_adapter.adapter import pruning_worth
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.config import AnchorsConfig
from tests.adapter.anchor_sets import offer, random_unit, store_of, unit

CLASSES = ("cat", "dog", "horse", "house")
D = 6
POOL = random_unit(60, D, seed=3)
DOUBT = Doubt(random_unit(len(CLASSES), D, seed=4), logit_scale=5.0)


def pruner_of(store: AnchorStore, budget: int, per_class: int = 100) -> Pruner:
    return Pruner(store, DOUBT, AnchorsConfig(budget=budget, budget_per_class=per_class))


def prune(store: AnchorStore, pruner: Pruner) -> set[str]:
    victims = pruner.victims()
    assert len({victim.row for victim in victims}) == len(victims)
    return {store.remove(store.id_of(victim.row)).anchor.anchor_id for victim in victims}


def pool_anchors(labels: list[int]) -> list[Anchor]:
    """Anchors with few distinct times, so that ties occur."""
    return [Anchor(f"{i * 37 % 61:02d}", POOL[i], CLASSES[label], i // 5) for i, label in enumerate(labels)]


LABELS = st.lists(st.integers(0, len(CLASSES) - 1), min_size=1, max_size=len(POOL))
BUDGETS = st.integers(1, 40)


# Which anchor goes ----------------------------------------------------------------------------------------------------


def greedy(store: AnchorStore, budget: int, per_class: int) -> set[str]:
    """The rules as one would say them: one after another, everything computed anew, in whole numbers."""
    points = pruning_worth.fixed_point(store.vectors)
    doubts, cosines = DOUBT.of(points), points.astype(np.int64) @ points.astype(np.int64).T
    classes = store.classes.tolist()
    left = set(range(len(store)))

    def members(label: int) -> list[int]:
        return [i for i in left if classes[i] == label]

    def rank(i: int) -> tuple[int, int, int, int]:
        others = [int(cosines[i, j]) for j in members(classes[i]) if j != i]
        distance = max(4_000**2 - max(others, default=-(4_000**2)), 1)
        return int(doubts[i]) * distance, classes[i], int(store.times[i]), int(store.keys[i])

    for label in range(len(CLASSES)):
        while len(members(label)) > per_class:
            left.remove(min(members(label), key=rank))
    spared = max(1, budget // (4 * len({classes[i] for i in left}))) if left else 1
    while len(left) > budget:
        may_go = [i for i in left if len(members(classes[i])) > spared]
        oldest_first = sorted(left, key=lambda i: (store.times[i], store.keys[i]))
        left.remove(min(may_go, key=rank) if may_go else oldest_first[0])
    return {store.ids[i] for i in range(len(store)) if i not in left}


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, budget=BUDGETS, per_class=BUDGETS)
def test_the_anchor_of_least_worth_goes_again_and_again(labels: list[int], budget: int, per_class: int) -> None:
    store = store_of(pool_anchors(labels), CLASSES, D)
    expected = greedy(store, budget, per_class)
    assert prune(store, pruner_of(store, budget, per_class)) == expected


@settings(deadline=None)
@given(labels=LABELS, budget=BUDGETS, per_class=BUDGETS)
def test_budgets_hold_and_every_class_keeps_a_quarter_of_an_even_share(
    labels: list[int], budget: int, per_class: int
) -> None:
    store = store_of(pool_anchors(labels), CLASSES, D)
    before = store.counts
    prune(store, pruner_of(store, budget, per_class))
    after = store.counts
    assert len(store) == min(budget, int(np.minimum(before, per_class).sum())), "no more was removed than had to be"
    assert after.max() <= per_class
    if ((before > 0) & (after == 0)).any():
        assert after.max() <= 1
    quarter = budget // (4 * int((before > 0).sum()))
    assert (after >= np.minimum(np.minimum(before, per_class), quarter)).all()


def test_where_classes_are_more_than_the_budget_the_newest_stay() -> None:
    anchors = [
        Anchor(f"{i}", POOL[i], label, time) for i, (label, time) in enumerate(zip(CLASSES, (5, 2, 9, 4), strict=True))
    ]
    store = store_of(anchors, CLASSES, D)
    assert prune(store, pruner_of(store, budget=2)) == {"1", "3"}


def test_within_the_budgets_nothing_is_removed() -> None:
    store = store_of(pool_anchors([0, 1, 1, 2]), CLASSES, D)
    assert pruner_of(store, 4, 2).victims() == []
    empty = AnchorStore(CLASSES, D)
    assert pruner_of(empty, 1, 1).victims() == []


def test_the_reason_names_the_budget_that_was_exceeded() -> None:
    store = store_of(pool_anchors([0] * 6 + [1] * 2), CLASSES, D)
    reasons = [victim.reason for victim in pruner_of(store, 5, 4).victims()]
    assert sorted(reasons) == ["class budget", "class budget", "total budget"]


def test_a_near_copy_goes_before_a_rare_appearance() -> None:
    axes = np.eye(D, dtype=np.float32)
    copies = unit(axes[0] + 0.05 * random_unit(3, D))
    vectors = np.concatenate([axes[1:4], copies])
    store = store_of([Anchor(f"{i}", vector, "cat", i) for i, vector in enumerate(vectors)], CLASSES, D)
    assert prune(store, pruner_of(store, budget=4)) < {"3", "4", "5"}


def test_a_class_that_the_untouched_model_knows_gives_before_one_that_it_doubts() -> None:
    # The first class's text is the first axis; pictures between the other two are as near to one text as to the other.
    texts = np.eye(D, dtype=np.float32)[:3]
    sure = unit(texts[0] + 0.1 * random_unit(4, D, seed=1))
    torn = unit((texts[1] + texts[2]) / np.sqrt(2) + 0.1 * random_unit(4, D, seed=1))
    anchors = [Anchor(f"sure {i}", vector, "cat", i) for i, vector in enumerate(sure)]
    anchors += [Anchor(f"torn {i}", vector, "dog", i) for i, vector in enumerate(torn)]
    store = store_of(anchors, CLASSES[:3], D)
    removed = prune(store, Pruner(store, Doubt(texts, 10.0), AnchorsConfig(budget=5)))
    assert len(removed) == 3
    assert all(anchor_id.startswith("sure") for anchor_id in removed)


# What is guaranteed ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(labels=LABELS, budget=BUDGETS, per_class=BUDGETS, data=st.data())
def test_the_same_set_loses_the_same_anchors_in_whatever_order_they_came(
    labels: list[int], budget: int, per_class: int, data: st.DataObject
) -> None:
    anchors = pool_anchors(labels)
    one = store_of(anchors, CLASSES, D)
    other = store_of([], CLASSES, D)
    # The other worker has another past: other slots, other row ids, and worths remembered from other sets.
    pruner = pruner_of(other, budget, per_class)
    extra = [Anchor(f"x{i}", vector, CLASSES[i % 4], i) for i, vector in enumerate(random_unit(20, D, seed=8))]
    order = data.draw(st.permutations(anchors + extra))
    for anchor in order:
        offer(other, anchor)
    pruner.victims()
    for anchor in extra:
        other.remove(anchor.anchor_id)
    pruner.victims()
    assert prune(one, pruner_of(one, budget, per_class)) == prune(other, pruner)
    assert one.digest == other.digest


@pytest.mark.parametrize("window", [4, pruning_worth._WINDOW])
@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(st.integers(0, 1), min_size=20, max_size=60),
    forgotten=st.sets(st.integers(0, 59)),
    kept=st.sets(st.integers(0, 59)),
    budget=st.integers(4, 30),
)
def test_a_stream_at_its_budget_is_pruned_as_if_nothing_were_remembered(
    window: int, labels: list[int], forgotten: set[int], kept: set[int], budget: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning_worth, "_WINDOW", window)
        store, fresh = AnchorStore(CLASSES, D), AnchorStore(CLASSES, D)
        pruner = pruner_of(store, budget, 20)
        for step, anchor in enumerate(pool_anchors(labels)):
            offer(store, anchor)
            offer(fresh, anchor)
            if step in forgotten:  # somebody deletes one that others may have remembered as their nearest
                anchor_id = sorted(store.ids)[step % len(store)]
                store.remove(anchor_id)
                fresh.remove(anchor_id)
            if step in kept:  # what should go is another worker's to remove, who is slow
                found, expected = pruner.victims(), pruner_of(fresh, budget, 20).victims()
                assert {store.id_of(v.row) for v in found} == {fresh.id_of(v.row) for v in expected}
            else:
                assert prune(store, pruner) == prune(fresh, pruner_of(fresh, budget, 20))
                assert len(store) <= budget


def test_a_pruner_of_a_restored_store_finds_the_same() -> None:
    store, again = (store_of(pool_anchors([0, 1] * 20), CLASSES, D) for _ in range(2))
    pruner = pruner_of(store, 12)
    restored = pruner.of(again)
    assert prune(store, pruner) == prune(again, restored)


def test_a_class_larger_than_the_window_loses_old_anchors_and_keeps_young_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pruning_worth, "_WINDOW", 8)
    anchors = [Anchor(f"{i:02d}", vector, "cat", i) for i, vector in enumerate(POOL)]
    store = store_of(anchors, CLASSES, D)
    removed = prune(store, pruner_of(store, 50, 50))
    assert len(removed) == 10
    assert max(removed) < "20"
