"""LLU as a learner: when fits come into force, and what names and keeps them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.latent_updates import learner as learner_module
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.errors import SnapshotError
from tests.adapter.anchor_sets import HeldExecutor, random_unit
from tests.adapter.small_adapters import CLASSES, TEXTS, D, lesson, make, pictures, same, settle, taught

VECTORS = pictures()[0]
Arrays = dict[str, NDArray[Any]]

# When -----------------------------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(24)), cuts=st.sets(st.integers(1, 23), max_size=3))
def test_the_same_anchors_give_the_same_maps_bit_for_bit_in_whatever_order_they_came(
    order: list[int], cuts: set[int]
) -> None:
    anchors, refit = [lesson()[index] for index in order], {"refit": {"steps": 20, "max_anchors": 16}}
    adapter = make(llu=refit)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 24], strict=True):
        adapter.learn(anchors[start:stop])
    assert same(adapter.predict(VECTORS), taught(llu=refit).predict(VECTORS))


def test_labels_are_fitted_when_there_are_enough_of_them_or_when_they_are_old() -> None:
    now_s = [0.0]
    adapter = make(LearnerContext(clock=lambda: now_s[0]), llu={"refit": {"every_labels": 24, "max_age_s": 5.0}})
    adapter.learn(lesson()[:20])
    assert adapter.pending == 20
    adapter.learn(lesson()[20:])
    assert adapter.pending == 0
    adapter.learn([Anchor("late", VECTORS[0], "a", 99)])
    for now_s[0], pending in ((1.0, 1), (4.9, 1), (5.0, 0)):
        settle(adapter)
        assert adapter.pending == pending


def test_a_fit_in_the_background_is_the_same_and_in_force_between_batches() -> None:
    with ThreadPoolExecutor(1) as executor:
        adapter = make(LearnerContext(background=executor))
        adapter.learn(lesson())
    # Done now; a closed executor takes nothing more, and nothing more is asked of it.
    settle(adapter)
    assert adapter.pending == 0
    assert same(adapter.predict(VECTORS), taught().predict(VECTORS))


def test_answers_do_not_change_while_a_fit_is_under_way() -> None:
    executor = HeldExecutor()
    adapter = make(LearnerContext(background=executor))
    adapter.learn(lesson())
    adapter.forget([lesson()[0].anchor_id])  # the fit has its own copy
    answer = adapter.predict(VECTORS)
    assert answer.adapted.tobytes() == answer.zero_shot.tobytes()
    assert adapter.pending == 25
    executor.run()
    settle(adapter)
    assert adapter.pending == 1
    assert adapter.predict(VECTORS).version.split("-")[2:] == taught().predict(VECTORS).version.split("-")[2:]


def test_in_line_where_the_background_is_not_wanted() -> None:
    executor = HeldExecutor()
    adapter = make(LearnerContext(background=executor), llu={"refit": {"background": False}})
    adapter.learn(lesson())
    assert (adapter.pending, executor.held) == (0, 0)


def test_what_a_background_fit_raises_surfaces_in_the_owner_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(learner_module, "solve", fail)
    executor = HeldExecutor()
    adapter = make(LearnerContext(background=executor))
    adapter.learn(lesson())
    executor.run()
    with pytest.raises(RuntimeError, match="out of memory"):
        settle(adapter)
    assert adapter.pending == 24


def test_a_fit_that_everything_was_forgotten_under_never_answers() -> None:
    executor = HeldExecutor()
    adapter = make(LearnerContext(background=executor))
    adapter.learn(lesson())
    adapter.forget([anchor.anchor_id for anchor in lesson()])
    executor.run()
    for _ in range(2):
        settle(adapter)
        answer = adapter.predict(VECTORS)
        assert answer.adapted.tobytes() == answer.zero_shot.tobytes()
        assert (adapter.pending, adapter.version) == (0, make().version)


def test_what_goes_and_comes_back_needs_no_fit() -> None:
    adapter = taught()
    first = lesson()[0]
    executor = HeldExecutor()
    other = make(LearnerContext(background=executor))
    other.learn(lesson())
    executor.run()
    settle(other)
    other.forget([first.anchor_id])
    assert other.pending == 1
    other.follow([first])
    assert other.pending == 0
    settle(other)
    assert executor.held == 0
    assert same(adapter.predict(VECTORS), other.predict(VECTORS))


# What it is called ----------------------------------------------------------------------------------------------------


def test_the_version_names_the_anchors_at_the_fit_and_the_settings() -> None:
    adapter = taught()
    count, digest, settings_part = fit_of(adapter)
    assert (count, digest) == ("24", adapter.anchors_digest[:12])
    more = Anchor("more", random_unit(1, D)[0], "a", 1)
    adapter.follow([more])
    assert fit_of(adapter)[0] == "24", "the maps do not know it yet"
    settle(adapter)
    assert fit_of(adapter)[0] == "25"
    for other in (taught(llu={"gamma": 11.0}), taught(llu={"refit": {"steps": 99}}), taught(llu={"gate": 0.5})):
        assert fit_of(other)[:2] == [count, digest]
        assert fit_of(other)[2] != settings_part
    assert fit_of(taught(anchors={"neighbours": 3}))[2] == settings_part
    assert fit_of(taught(llu={"refit": {"every_labels": 7}}))[2] == settings_part


def fit_of(adapter: Adapter) -> list[str]:
    return adapter.version.split("-")[2:]


@pytest.mark.parametrize("index", ["exact", "hnsw", "auto"])
def test_every_index_gives_the_same_answers_on_a_small_store(index: str) -> None:
    found = taught(anchors={"index": index}).predict(VECTORS).adapted
    np.testing.assert_allclose(found, taught().predict(VECTORS).adapted, atol=1e-5)


# A fit that comes back answers as the one that was saved, or not at all -----------------------------------------------


def saved(adapter: Adapter) -> Arrays:
    return {**adapter.copy().finish().arrays(), **adapter.learner_state()}


def restored(arrays: Arrays, **config: Any) -> tuple[Adapter, HeldExecutor]:
    executor = HeldExecutor()
    adapter = make(LearnerContext(background=executor), **config)
    adapter.restore(arrays)
    return adapter, executor


def test_it_answers_at_once_and_with_the_same_bits_and_nothing_is_fitted() -> None:
    before = taught()
    after, executor = restored(saved(before))
    assert after.pending == 0
    assert same(before.predict(VECTORS), after.predict(VECTORS))
    settle(after)
    assert executor.held == 0


def test_a_worker_restored_from_float16_fits_the_same_bits() -> None:
    survivor, fresh = taught(), make()
    wire = [
        Anchor(a.anchor_id, a.vector.astype(np.float16).astype(np.float32), a.label, a.event_time_ms)
        for a in survivor.anchors
    ]
    fresh.learn(wire)
    assert same(survivor.predict(VECTORS), fresh.predict(VECTORS))
    assert survivor.predict(VECTORS).gate.tobytes() == fresh.predict(VECTORS).gate.tobytes()


def test_what_came_since_is_fitted_later_and_the_saved_fit_answers_until_then() -> None:
    before, late = taught(), Anchor("late", VECTORS[0], CLASSES[0], 99)
    after, executor = restored(saved(before))
    after.follow([late])
    assert after.pending == 1
    assert fit_of(after) == fit_of(before)
    settle(after)
    executor.run()
    settle(after)
    before.learn([late])
    assert same(before.predict(VECTORS), after.predict(VECTORS)), "fitted anew from the identity, as anywhere"


@pytest.mark.parametrize("other", [{"gate": 0.9}, {"refit": {"steps": 99}}])
def test_under_other_settings_it_is_passed_over(other: dict[str, Any]) -> None:
    after, _ = restored(saved(taught()), llu=other)
    answer = after.predict(VECTORS)
    assert answer.adapted.tobytes() == answer.zero_shot.tobytes()
    assert after.pending == after.n_anchors == 24


def test_of_another_method_or_without_one_it_is_passed_over() -> None:
    anchors = taught().copy().finish().arrays()
    for arrays in (anchors, {**anchors, "learner.something": np.zeros(3)}):
        assert restored(arrays)[0].pending == 24
    assert make().learner_state() == {}


@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("weight", None),
        ("weight", np.full((2, D, D), np.nan, np.float32)),
        ("weight", np.zeros((2, D, D), np.float64)),
        ("bias", np.zeros((1, D), np.float32)),
        ("texts", TEXTS[:3]),
        ("version", np.array([0xFF], np.uint8)),
    ],
)
def test_one_that_does_not_fit_together_is_refused(name: str, to: NDArray[Any] | None) -> None:
    arrays = saved(taught())
    del arrays[f"learner.{name}"]
    with pytest.raises(SnapshotError, match="the saved fit cannot be used"):
        restored(arrays if to is None else {**arrays, f"learner.{name}": to})


def test_a_fit_to_other_anchors_is_not_left_after_a_restore() -> None:
    adapter, other = taught(), make()
    other.follow(lesson()[:3])
    adapter.restore(other.copy().finish().arrays())
    answer = adapter.predict(VECTORS)
    assert answer.adapted.tobytes() == answer.zero_shot.tobytes()


# Other classes --------------------------------------------------------------------------------------------------------


def test_new_texts_are_adapted_at_once_and_fitted_next() -> None:
    executor = HeldExecutor()
    adapter = make(LearnerContext(background=executor))
    adapter.learn(lesson())
    executor.run()
    settle(adapter)
    adapter.set_classes(TEXTS[:4], CLASSES[:4])
    answer = adapter.predict(VECTORS)
    assert answer.adapted.shape == (len(VECTORS), 4)
    assert (answer.adapted.argmax(axis=1) == pictures()[1]).mean() > 0.75
    assert adapter.pending == 1
    settle(adapter)
    executor.run()
    settle(adapter)
    fresh = Adapter(TEXTS[:4], CLASSES[:4], 100.0, adapter._config)
    fresh.learn(lesson())
    assert same(adapter.predict(VECTORS), fresh.predict(VECTORS))


def test_a_fit_under_other_classes_never_answers() -> None:
    executor = HeldExecutor()
    adapter = make(LearnerContext(background=executor))
    adapter.learn(lesson())
    adapter.set_classes(TEXTS[:4], CLASSES[:4])
    executor.run()
    for _ in range(3):
        assert adapter.predict(VECTORS).adapted.shape == (len(VECTORS), 4)
        settle(adapter)
        executor.run()
    assert adapter.pending == 0
