"""What becomes of labels in the adapter, and how it is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.results import Ignored, Removed, Replaced
from stream_adapter.errors import AnchorError
from tests.adapter.anchor_sets import random_unit
from tests.adapter.small_adapters import D, confused, lesson, make, pictures, same, settle, taught


def test_every_outcome_of_learning_is_told() -> None:
    v = random_unit(8, D, seed=4)
    adapter = make(canaries=("h",))
    first = adapter.learn([Anchor("one", v[0], "a", 10), Anchor("two", v[1], "b", 10), Anchor("three", v[2], "c", 10)])
    assert first.added == first.written == ("one", "two", "three")
    second = adapter.learn(
        [
            Anchor("one", v[0], "a", 10),  # read twice
            Anchor("two", v[1], "c", 20),  # corrected
            Anchor("copy", v[0], "a", 30),  # exact duplicate
            Anchor("contradiction", v[2], "d", 40),  # the same picture, labelled anew under another id
            Anchor("late", v[2], "e", 5),  # the same picture, an older label
            Anchor("canary", v[3], "h", 40),
            Anchor("stranger", v[4], "zebra", 40),
            Anchor("new", v[5], "a", 40),
        ]
    )
    assert second.added == ("new",)
    assert second.replaced == (Replaced("two", "two"), Replaced("contradiction", "three"))
    assert second.folded == ("copy",)
    assert second.ignored == (
        Ignored("canary", "canary"),
        Ignored("stranger", "unknown label"),
        Ignored("one", "repeated"),
        Ignored("late", "outdated"),
    )
    assert second.removed == (Removed("three", "corrected"),)
    assert second.written == ("new", "two", "contradiction")
    assert {a.anchor_id: a.label for a in adapter.anchors} == {
        "one": "a",
        "two": "c",
        "contradiction": "d",
        "new": "a",
    }


def test_an_event_that_comes_twice_teaches_once() -> None:
    adapter, other = taught(), make()
    for anchor in lesson():
        other.learn([anchor, anchor])
        other.learn([anchor])
    assert other.n_anchors == adapter.n_anchors
    assert same(adapter.predict(pictures()[0]), other.predict(pictures()[0]))


def test_what_comes_and_goes_within_one_call_is_only_told_as_removed() -> None:
    v = random_unit(3, D, seed=5)
    adapter = make()
    result = adapter.learn(
        [Anchor("x", v[0], "a", 1), Anchor("y", v[0], "b", 2), Anchor("y", v[0], "c", 3), Anchor("z", v[1], "a", 1)]
    )
    assert result.written == ("z", "y")
    assert result.removed == (Removed("x", "corrected"),)
    again = adapter.learn([Anchor("y", v[2], "d", 4), Anchor("y", v[2], "e", 5)])
    assert (again.written, again.removed) == (("y",), ())
    assert adapter.predict(v).neighbour_ids[2, 0] == "y"


IDS = [f"id{i}" for i in range(6)]
ANCHORS = st.builds(
    Anchor,
    st.sampled_from(IDS),
    st.sampled_from(list(random_unit(4, D, seed=6))),
    st.sampled_from("abch"),
    st.integers(0, 3),
)


@settings(max_examples=150, deadline=None)
@given(calls=st.lists(st.one_of(st.lists(ANCHORS, max_size=6), st.sampled_from(IDS)), max_size=8))
def test_a_changelog_that_follows_the_results_holds_what_the_adapter_holds(calls: list[list[Anchor] | str]) -> None:
    adapter = make(
        anchors={"budget": 3, "budget_per_class": 2, "index": "hnsw"}, canaries=("h",), llu={"refit": {"steps": 1}}
    )
    changelog: dict[str, tuple[bytes, str, int]] = {}
    for call in calls:
        before = {anchor.anchor_id: anchor for anchor in adapter.anchors}
        if isinstance(call, str):
            forgotten = adapter.forget([call, call, "never there"])
            assert forgotten.unknown == (("never there",) if call in before else (call, "never there"))
            gone: tuple[Removed, ...] = forgotten.removed
        else:
            result = adapter.learn(call)
            given_ids = {anchor.anchor_id for anchor in call}
            entries: list[Ignored | Removed] = [*result.ignored, *result.removed]
            told = {*result.folded, *(entry.anchor_id for entry in entries)}
            assert given_ids <= told | set(result.written), "an anchor of which nothing is told"
            assert not set(result.written) & {removed.anchor_id for removed in result.removed}
            live = {anchor.anchor_id: anchor for anchor in adapter.anchors}
            for anchor_id in result.written:
                changelog[anchor_id] = fields(live[anchor_id])
            gone = result.removed
        for removed in gone:
            changelog.pop(removed.anchor_id, None)
        assert changelog == {anchor.anchor_id: fields(anchor) for anchor in adapter.anchors}
        assert adapter.n_anchors == len(changelog) <= 3
        assert adapter.index_statistics.live == len(changelog)
        assert all(label != "h" for _, label, _ in changelog.values())


def fields(anchor: Anchor) -> tuple[bytes, str, int]:
    return anchor.vector.tobytes(), anchor.label, anchor.event_time_ms


def test_budgets_are_kept_and_the_reason_is_told() -> None:
    adapter = make(anchors={"budget": 10, "budget_per_class": 4})
    result = adapter.learn(lesson(8))
    assert adapter.n_anchors == 10
    assert len(result.written) == 10
    reasons = [removed.reason for removed in result.removed]
    assert (reasons.count("class budget"), reasons.count("total budget")) == (12, 2)


def test_nothing_is_learned_from_a_call_with_one_bad_vector() -> None:
    adapter = make()
    good, bad = lesson(2), Anchor("bad-one", np.full(D, np.nan, np.float32), "a", 0)
    with pytest.raises(AnchorError, match="anchor bad-one: the vector's length is nan"):
        adapter.learn([*good, bad])
    with pytest.raises(AnchorError, match=r"anchor short: .*\(3,\), expected \(64,\)"):
        adapter.learn([*good, Anchor("short", np.ones(3, np.float32), "a", 0)])
    assert (adapter.n_anchors, adapter.pending) == (0, 0)


def test_forgetting_one_anchor_is_as_if_it_had_never_been() -> None:
    extra = Anchor("extra", confused(1, 0, seed=99, towards=1)[0], "b", 5)
    adapter, never = make(), taught()
    adapter.learn([*lesson(), extra])
    assert not same(adapter.predict(pictures()[0]), never.predict(pictures()[0]))
    assert adapter.forget(["extra"]).removed == (Removed("extra", "forgotten"),)
    settle(adapter)
    assert same(adapter.predict(pictures()[0]), never.predict(pictures()[0]))
