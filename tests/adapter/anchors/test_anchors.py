"""All anchors together: what a change comes to, the search beside them, and other vocabularies."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.anchors import Anchors, Labels
from stream_adapter.adapter.anchors.nearest import search as searching
from stream_adapter.adapter.anchors.weights import Directions
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.inline_executor import InlineExecutor
from stream_adapter.config import AnchorsConfig
from stream_adapter.errors import AnchorError
from tests.adapter.anchor_sets import around, random_unit

D = 8
NAMES = ("cat", "dog", "owl", "elk")
TEXTS = dict(zip((*NAMES, "new", "other"), random_unit(6, D, seed=9), strict=True))
POOL = around(random_unit(4, D, seed=1), per_class=6, spread=0.5)
DIRECTIONS = Directions(np.eye(D, 4, dtype=np.float32), 0.3, 1)


def classes(*names: str) -> Classes:
    return Classes(names, np.stack([TEXTS[name] for name in names]), 10.0)


def empty(names: tuple[str, ...] = NAMES, canaries: tuple[str, ...] = (), **config: int) -> Anchors:
    anchors = Anchors(classes(*names), canaries, AnchorsConfig(**config))
    anchors.set_directions(DIRECTIONS)
    return anchors


def columns(found: Labels) -> dict[int, tuple[bytes, int]]:
    """By row: what is told of each anchor."""
    vectors = [vector.tobytes() for vector in found.vectors]
    return dict(zip(found.rows.tolist(), zip(vectors, found.classes.tolist(), strict=True), strict=True))


def by_row(anchors: Anchors) -> dict[int, tuple[bytes, int]]:
    return columns(Labels(anchors.rows, anchors.vectors, anchors.classes))


# What a change comes to -----------------------------------------------------------------------------------------------

GIVEN = st.builds(
    Anchor,
    st.sampled_from([f"id{n}" for n in range(8)]),
    st.sampled_from(list(POOL[:6])),
    st.sampled_from(NAMES),
    st.integers(0, 3),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["take in", "put", "remove"]), st.lists(GIVEN, max_size=6)), max_size=8))
def test_whoever_applies_the_changes_knows_all_anchors(calls: list[tuple[str, list[Anchor]]]) -> None:
    anchors = empty(canaries=("elk",), budget=5, budget_per_class=3)
    known: dict[int, tuple[bytes, int]] = {}
    for name, given_anchors in calls:
        if name == "remove":
            _, gone = anchors.remove([anchor.anchor_id for anchor in given_anchors])
            new = Labels(*(column[:0] for column in gone))
        else:
            _, new, gone = anchors.take_in(given_anchors) if name == "take in" else anchors.put(given_anchors)
        for row, what in columns(gone).items():
            assert known.pop(row) == what, "gone as it was told when it came"
        assert not set(known) & set(new.rows.tolist())
        known |= columns(new)
        assert known == by_row(anchors)
        assert anchors.index_statistics.live == len(anchors) == anchors.counts.sum()
        found = anchors.nearest(POOL[:3], 4).rows
        assert set(found[found >= 0].tolist()) <= set(known)


def test_one_bad_vector_and_nothing_has_changed() -> None:
    anchors = empty()
    anchors.put([Anchor("a", POOL[0], "cat", 0)])
    digest = anchors.digest
    for call in (anchors.take_in, anchors.put):
        with pytest.raises(AnchorError, match="anchor bad: the vector's length is nan"):
            call([Anchor("good", POOL[1], "cat", 1), Anchor("bad", POOL[1] * np.float32("nan"), "cat", 1)])
    assert anchors.digest == digest


# The search -----------------------------------------------------------------------------------------------------------


def test_the_same_array_is_looked_up_once_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    anchors = empty(neighbours=5)
    anchors.put([Anchor(f"{n}", vector, "cat", n) for n, vector in enumerate(POOL[:10])])
    asked: list[int] = []
    search = searching.exact
    monkeypatch.setattr(searching, "exact", lambda store, v, k: asked.append(k) or search(store, v, k))
    queries = POOL[:3].copy()
    for k in (1, 5, 3):
        assert anchors.nearest(queries, k).rows.tolist() == search(anchors, queries, k).rows.tolist()
    assert asked == [5], "as many as are told, whatever the first one asks for"
    assert anchors.nearest(queries, 7).rows.shape == (3, 7)
    assert asked == [5, 7]
    for changed in (
        lambda: anchors.put([Anchor("late", queries[0], "cat", 99)]),
        lambda: anchors.remove(["late"]),
        lambda: anchors.maintain(InlineExecutor()),
    ):
        changed()
        asked.clear()
        anchors.nearest(queries, 1)
        assert asked == [5]


def test_without_anchors_nothing_is_found() -> None:
    found = empty().nearest(POOL[:3], 2)
    assert found.rows.tolist() == [[-1, -1]] * 3
    assert np.isneginf(found.cosines).all()


# Other vocabularies ---------------------------------------------------------------------------------------------------


def check_like_new(
    anchors: Anchors, expected: Mapping[str, Anchor], names: tuple[str, ...], canaries: tuple[str, ...] = ()
) -> None:
    """As if the vocabulary had always been this one."""
    fresh = empty(names, canaries)
    fresh.put(list(expected.values()))
    assert {anchor.anchor_id: anchor.label for anchor in anchors} == {
        anchor_id: anchor.label for anchor_id, anchor in expected.items()
    }
    assert anchors.digest == fresh.digest
    assert anchors.counts.tolist() == fresh.counts.tolist()
    assert dict(zip(anchors.listing().ids, anchors.classes.tolist(), strict=True)) == dict(
        zip(fresh.listing().ids, fresh.classes.tolist(), strict=True)
    )
    weights = dict(zip(fresh.listing().ids, fresh.weights.tolist(), strict=True))
    assert dict(zip(anchors.listing().ids, anchors.weights.tolist(), strict=True)) == pytest.approx(weights, rel=1e-4)
    found, wanted = anchors.nearest(POOL[:4], 3), fresh.nearest(POOL[:4], 3)
    np.testing.assert_allclose(found.cosines, wanted.cosines, atol=1e-6)


@settings(max_examples=150, deadline=None)
@given(
    labels=st.lists(st.sampled_from(NAMES), max_size=len(POOL)),
    steps=st.lists(
        st.tuples(
            st.lists(st.sampled_from(list(TEXTS)), min_size=1, max_size=6, unique=True),
            st.dictionaries(st.sampled_from(list(TEXTS)), st.sampled_from(list(TEXTS)), max_size=3),
        ),
        min_size=1,
        max_size=3,
    ),
    removed=st.sets(st.integers(0, len(POOL) - 1), max_size=4),
)
def test_classes_are_renamed_merged_removed_and_added(
    labels: list[str], steps: list[tuple[list[str], dict[str, str]]], removed: set[int]
) -> None:
    anchors = empty(canaries=("other",))
    known = {f"{n}": Anchor(f"{n}", POOL[n], label, n) for n, label in enumerate(labels)}
    anchors.put(list(known.values()))
    for names, renamed in steps:
        before = by_row(anchors)
        _, gone = anchors.remove(anchors.homeless(classes(*names), renamed, ("other",)))
        anchors.set_classes(classes(*names), renamed, ("other",))
        relabelled = {
            anchor_id: Anchor(anchor_id, one.vector, renamed.get(one.label, one.label), one.event_time_ms)
            for anchor_id, one in known.items()
        }
        known = {anchor_id: one for anchor_id, one in relabelled.items() if one.label in names and one.label != "other"}
        assert {row: before[row] for row in set(before) - set(by_row(anchors))} == columns(gone), "as they were"
        assert {row: vector for row, (vector, _) in by_row(anchors).items()}.items() <= {
            row: vector for row, (vector, _) in before.items()
        }.items(), "those that stay keep their row ids"
        check_like_new(anchors, known, tuple(names), ("other",))
    # And they go on living.
    anchors.remove([f"{n}" for n in removed])
    known = {anchor_id: one for anchor_id, one in known.items() if int(anchor_id) not in removed}
    names = steps[-1][0]
    late = Anchor("99", POOL[7], names[0], 99)
    assert anchors.put([late]).result.added == (() if names[0] == "other" else ("99",))
    if names[0] != "other":
        known["99"] = late
    check_like_new(anchors, known, tuple(names), ("other",))


def test_doubts_are_found_out_anew_under_other_texts() -> None:
    """What the untouched model is sure of goes first, by the texts of now."""
    axes = np.eye(D, dtype=np.float32)
    anchors = Anchors(Classes(("cat", "dog"), axes[:2], 10.0), (), AnchorsConfig(budget=2))
    anchors.take_in([Anchor("like cat", axes[0], "cat", 5), Anchor("neither", axes[2], "cat", 5)])
    anchors.take_in([])  # at its budget: doubts are known
    anchors.set_classes(Classes(("cat", "dog"), axes[[1, 2]], 10.0), {}, ())
    removed = anchors.take_in([Anchor("late", axes[3], "cat", 9)]).result.removed
    assert [one.anchor_id for one in removed] == ["neither"]
