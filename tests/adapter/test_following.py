"""What several adapters with the same anchors do: follow each other, and prune each its own."""

from stream_adapter.adapter.anchors.anchor import Anchor, Origin
from stream_adapter.adapter.anchors.ownership import Ownership
from tests.adapter.anchor_sets import random_unit
from tests.adapter.small_adapters import CLASSES, D, make

VECTORS = random_unit(40, D, seed=7)


def anchors(count: int) -> list[Anchor]:
    return [Anchor(f"id-{n}", VECTORS[n], CLASSES[0], n, Origin(partition=n % 2, offset=n)) for n in range(count)]


def test_a_follower_keeps_what_it_is_told_and_prunes_nothing() -> None:
    adapter = make(anchors={"budget": 5})
    result = adapter.follow(anchors(20))
    assert len(result.added) == adapter.n_anchors == 20
    assert result.removed == ()


def test_workers_that_hold_the_same_anchors_prune_what_one_alone_would_each_its_own() -> None:
    parts = [Ownership(frozenset({0, 2}), 3), Ownership(frozenset({1}), 3)]
    alone, *workers = (make(anchors={"budget": 10}) for _ in range(3))
    for adapter in (alone, *workers):
        adapter.follow(anchors(40))
    expected = {removed.anchor_id for removed in alone.learn([]).removed}
    pruned = [
        {removed.anchor_id for removed in worker.learn([], part).removed}
        for worker, part in zip(workers, parts, strict=True)
    ]
    assert len(expected) == 30
    assert all(pruned), "neither part is empty"
    assert pruned[0] | pruned[1] == expected
    assert not pruned[0] & pruned[1]
    for worker, other in zip(workers, reversed(pruned), strict=True):
        worker.forget(sorted(other))
        assert worker.anchors_digest == alone.anchors_digest


def test_a_result_has_what_was_there_before() -> None:
    adapter = make()
    first, second = anchors(2)
    adapter.learn([first])
    correction = Anchor(first.anchor_id, first.vector, CLASSES[1], 9)
    result = adapter.learn([correction, second])
    assert list(result.before) == [first.anchor_id]
    before = result.before[first.anchor_id]
    assert (before.label, before.stamp) == (CLASSES[0], first.stamp)
    assert adapter.anchors.get(first.anchor_id) is not None
    assert adapter.anchors.get("nobody") is None


def test_an_older_record_of_the_same_anchor_is_outdated() -> None:
    adapter = make()
    newer = Anchor("a", VECTORS[0], CLASSES[1], 5, Origin(partition=1))
    older = Anchor("a", VECTORS[0], CLASSES[0], 5, Origin(partition=0))
    adapter.follow([newer])
    (ignored,) = adapter.follow([older]).ignored
    assert ignored.reason == "outdated"
    found = adapter.anchors.get("a")
    assert found is not None and found.label == CLASSES[1]
