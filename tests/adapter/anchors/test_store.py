import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.anchor import Anchor, Origin, as_stored
from stream_adapter.adapter.anchors.store import AnchorStore
from stream_adapter.errors import AnchorError
from tests.adapter.anchor_sets import anchors_of, offer, put, random_unit, store_of

CLASSES = ("cat", "dog", "horse")
D = 8
VECTORS = random_unit(5, D)


@dataclass
class Model:
    """The store's rules as one would write them down, over a dict of (vector, label, time)."""

    live: dict[str, tuple[int, str, int]] = field(default_factory=dict)

    def offer(self, anchor_id: str, vector: int, label: str, time: int) -> str:
        known = self.live.get(anchor_id)
        if known is not None:
            if known[1] == label:
                return "repeated"
            if time < known[2]:
                return "outdated"
            del self.live[anchor_id]
        twin = next((other for other, (shape, _, _) in self.live.items() if shape == vector), None)
        if twin is not None:
            _, twin_label, twin_time = self.live[twin]
            if twin_label == label:
                return "folded"
            if (time, anchor_id) < (twin_time, twin):
                return "outdated"
            del self.live[twin]
        self.live[anchor_id] = (vector, label, time)
        return "added"


IDS = st.sampled_from("abcdef")
OFFERS = st.tuples(IDS, st.integers(0, len(VECTORS) - 1), st.sampled_from(CLASSES), st.integers(0, 4))


@settings(deadline=None)
@given(st.lists(st.one_of(OFFERS, IDS), max_size=40))
def test_the_store_agrees_with_a_dictionary(operations: list[tuple[str, int, str, int] | str]) -> None:
    store, model = AnchorStore(CLASSES, D), Model()
    rows_seen: set[int] = set()
    for operation in operations:
        before = set(model.live)
        if isinstance(operation, str):
            if operation in before:
                assert store.take_out(operation).anchor.anchor_id == operation
                del model.live[operation]
            else:
                with pytest.raises(AnchorError, match=f"no anchor '{operation}'"):
                    store.take_out(operation)
        else:
            anchor_id, vector, label, time = operation
            expected = model.offer(*operation)
            outcome = offer(store, Anchor(anchor_id, VECTORS[vector], label, time))
            assert (outcome.row is not None) == (expected == "added")
            assert outcome.folded == (expected == "folded")
            assert outcome.refused == (expected if expected in ("repeated", "outdated") else None)
            displaced = {gone.anchor.anchor_id for gone in outcome.displaced}
            still_there = set(model.live) - ({anchor_id} if expected == "added" else set())
            assert displaced == before - still_there
            if outcome.row is not None:
                assert outcome.row not in rows_seen
                rows_seen.add(outcome.row)
        check_consistent(store, model)


def check_consistent(store: AnchorStore, model: Model) -> None:
    assert len(store) == len(model.live)
    found = {anchor.anchor_id: anchor for anchor in store}
    assert list(found) == sorted(model.live)
    for anchor_id, (vector, label, time) in model.live.items():
        anchor = found[anchor_id]
        assert (anchor.label, anchor.event_time_ms) == (label, time)
        assert anchor.vector.tobytes() == as_stored(VECTORS[vector : vector + 1])[0].tobytes()
        assert anchor_id in store
    # By slot: all columns tell of the same anchor, and rows find their way back.
    assert store.slots_of(store.rows).tolist() == list(range(len(store)))
    for slot, row in enumerate(store.rows.tolist()):
        assert store.id_of(row) == store.ids[slot] == store.anchor(slot).anchor_id
        assert CLASSES[store.classes[slot]] == found[store.ids[slot]].label
        assert store.vectors[slot].tobytes() == found[store.ids[slot]].vector.tobytes()
    assert store.counts.tolist() == np.bincount(store.classes, minlength=3).tolist()
    for index in range(3):
        assert sorted(store.members(index).tolist()) == np.flatnonzero(store.classes == index).tolist()
    assert store.digest == store_of(list(found.values())[::-1], CLASSES, D).digest


@settings(deadline=None)
@given(st.permutations(range(12)))
def test_what_is_stored_does_not_depend_on_the_order_of_arrival(order: list[int]) -> None:
    anchors = anchors_of(random_unit(12, D), [CLASSES[index % 3] for index in range(12)])
    one = store_of(anchors, CLASSES, D)
    other = store_of([anchors[index] for index in order], CLASSES, D)
    assert one.digest == other.digest
    assert [vars_of(anchor) for anchor in one] == [vars_of(anchor) for anchor in other]
    assert dict(zip(one.ids, one.keys.tolist(), strict=True)) == dict(zip(other.ids, other.keys.tolist(), strict=True))


def vars_of(anchor: Anchor) -> tuple[str, bytes, str, int]:
    return anchor.anchor_id, anchor.vector.tobytes(), anchor.label, anchor.event_time_ms


@settings(deadline=None)
@given(st.permutations(CLASSES), st.permutations(CLASSES))
def test_of_contradicting_labels_for_one_vector_the_newest_wins_in_any_order(one: list[str], other: list[str]) -> None:
    def last_label(order: list[str]) -> list[tuple[str, str]]:
        anchors = [Anchor(f"id-{label}", VECTORS[0], label, CLASSES.index(label)) for label in order]
        return [(anchor.anchor_id, anchor.label) for anchor in store_of(anchors, CLASSES, D)]

    assert last_label(one) == last_label(other) == [("id-horse", "horse")]


STAMPED = st.builds(
    lambda anchor_id, vector, label, time, partition: Anchor(
        anchor_id, VECTORS[vector], label, time, Origin(partition=partition, offset=vector * 10 + CLASSES.index(label))
    ),
    st.sampled_from("abc"),
    st.integers(0, 4),
    st.sampled_from(CLASSES),
    st.integers(0, 2),
    st.integers(0, 2),
)


@settings(deadline=None)
@given(st.lists(STAMPED, max_size=20), st.randoms(use_true_random=False))
def test_what_is_put_is_the_same_in_any_order_and_the_largest_stamp_stays(
    anchors: list[Anchor], random: random.Random
) -> None:
    one, other = AnchorStore(CLASSES, D), AnchorStore(CLASSES, D)
    expected: dict[str, Anchor] = {}
    for anchor in anchors:
        put(one, anchor)
        if anchor.anchor_id not in expected or anchor.stamp >= expected[anchor.anchor_id].stamp:
            expected[anchor.anchor_id] = anchor
    shuffled = list(anchors)
    random.shuffle(shuffled)
    for anchor in shuffled:
        put(other, anchor)
    assert one.digest == other.digest == store_put(list(expected.values())).digest
    assert {anchor.anchor_id: anchor.stamp for anchor in one} == {
        anchor_id: anchor.stamp for anchor_id, anchor in expected.items()
    }


def store_put(anchors: list[Anchor]) -> AnchorStore:
    store = AnchorStore(CLASSES, D)
    for anchor in anchors:
        put(store, anchor)
    return store


def test_an_anchor_of_a_smaller_stamp_is_outdated_and_the_same_one_again_is_repeated() -> None:
    newer = Anchor("a", VECTORS[0], "cat", 5, Origin(partition=1, offset=3))
    store = store_put([newer])
    assert put(store, Anchor("a", VECTORS[1], "dog", 5, Origin(partition=0, offset=9))).refused == "outdated"
    assert put(store, newer).refused == "repeated"
    replaced = put(store, Anchor("a", VECTORS[0], "cat", 5, Origin(partition=1, offset=4)))
    assert [gone.anchor.stamp.offset for gone in replaced.displaced] == [3]


def test_what_was_put_twice_over_is_found_whichever_of_the_two_goes() -> None:
    store = store_put([Anchor("a", VECTORS[0], "cat", 1), Anchor("b", VECTORS[0], "cat", 2)])
    assert len(store) == 2
    store.take_out("a")
    assert offer(store, Anchor("c", VECTORS[0], "cat", 3)).folded
    store.take_out("b")
    assert offer(store, Anchor("c", VECTORS[0], "cat", 3)).row is not None


@pytest.mark.parametrize("change", ["id", "label", "vector", "time"])
def test_the_digest_depends_on_every_field(change: str) -> None:
    base = Anchor("a", VECTORS[0], "cat", 1)
    changed = {
        "id": Anchor("b", VECTORS[0], "cat", 1),
        "label": Anchor("a", VECTORS[0], "dog", 1),
        "vector": Anchor("a", VECTORS[1], "cat", 1),
        "time": Anchor("a", VECTORS[0], "cat", 2),
    }[change]
    assert store_of([base], CLASSES, D).digest != store_of([changed], CLASSES, D).digest


def test_a_digest_is_taken_back_by_removal() -> None:
    store = store_of([], CLASSES, D)
    empty = store.digest
    offer(store, Anchor("a", VECTORS[0], "cat", 1))
    store.take_out("a")
    assert store.digest == empty


def test_the_origin_is_carried_along_and_vectors_given_out_are_copies() -> None:
    origin = Origin("/camera", "7", "images", 3, 21)
    store = store_of([Anchor("a", VECTORS[0], "cat", 1, origin)], CLASSES, D)
    anchor = store.anchor(0)
    assert anchor.origin == origin
    anchor.vector[:] = 0.0
    assert np.linalg.norm(store.vectors[0]) == pytest.approx(1.0)


def test_row_ids_that_are_gone_or_were_never_there_have_no_slot() -> None:
    store = store_of(anchors_of(VECTORS, ["cat"] * 5), CLASSES, D)
    gone = store.take_out(store.ids[1]).row
    slots = store.slots_of(np.array([[gone, 99], [-1, 0]]))
    assert slots.tolist() == [[-1, -1], [-1, 0]]
    assert store.classes_at(slots).tolist() == [[-1, -1], [-1, 0]]


def test_a_listing_stays_as_it_was() -> None:
    taught = [Anchor(name, VECTORS[at], label, at) for at, (name, label) in enumerate([("a", "cat"), ("b", "dog")])]
    store = store_of(taught, CLASSES, D)
    listing = store.listing()
    expected = {(anchor.anchor_id, anchor.label, anchor.event_time_ms) for anchor in store}
    store.take_out(listing.ids[0])
    found = zip(listing.ids, listing.classes.tolist(), listing.times.tolist(), strict=True)
    assert {(anchor_id, CLASSES[index], time) for anchor_id, index, time in found} == expected
    assert listing.origins == (Origin(), Origin())
