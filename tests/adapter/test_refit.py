from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter import refit
from stream_adapter.adapter.latent_update import FitSettings
from stream_adapter.adapter.refit import FitProblem, Fitted, InlineExecutor, Refitting, solve, take_part
from stream_adapter.config import RefitConfig
from tests.adapter.anchor_sets import HeldExecutor, anchors_of, around, random_unit, store_of

D = 16
CLASSES = ("cat", "dog", "horse", "house")
TEXTS = random_unit(len(CLASSES), D, seed=1)


def fit_problem(labelled: tuple[int, ...] = (0, 1, 2), per_class: int = 3, **changes: Any) -> FitProblem:
    fields: dict[str, Any] = {
        "vectors": around(TEXTS[list(labelled)], per_class, spread=3.0) if labelled else np.empty((0, D), np.float32),
        "classes": np.repeat(np.array(labelled, np.int64), per_class),
        "text_vectors": torch.from_numpy(TEXTS),
        "labelled": np.isin(np.arange(len(CLASSES)), labelled),
        "gamma": 10.0,
        "settings": FitSettings(100.0, 1.0, 30, 1e-3, 1e4),
        "anchors": len(labelled) * per_class,
        "digest": "d" * 32,
        "taken_at_s": 5.0,
    }
    return FitProblem(**(fields | changes))


# The fit itself -------------------------------------------------------------------------------------------------------


def test_texts_are_adapted_by_their_own_nearness_to_labelled_ones() -> None:
    fitted = solve(fit_problem())
    moved = torch.linalg.vector_norm(fitted.text_vectors - torch.from_numpy(TEXTS), dim=1)
    assert (moved[:3] > 1e-3).all()
    # 'house' has no anchors; its text moves as little as it is near to others.
    assert moved[3] < 0.1 * moved[:3].min()
    torch.testing.assert_close(fitted.text_vectors.norm(dim=1), torch.ones(4))
    assert (fitted.anchors, fitted.digest, fitted.taken_at_s) == (9, "d" * 32, 5.0)


def test_classes_without_anchors_have_no_part_in_the_fit() -> None:
    others = torch.from_numpy(np.concatenate([TEXTS[:3], random_unit(1, D, seed=77)]))
    one, other = solve(fit_problem()), solve(fit_problem(text_vectors=others))
    assert torch.equal(one.maps.weight, other.maps.weight)


def test_labels_are_matched_to_texts_when_labelled_classes_are_scattered() -> None:
    fitted = solve(fit_problem(labelled=(1, 3), per_class=6))
    given_problem = fit_problem(labelled=(1, 3), per_class=6)
    images = fitted.maps.image(torch.from_numpy(given_problem.vectors), torch.ones(12))
    hits = (images @ fitted.text_vectors[[1, 3]].T).argmax(1).numpy() * 2 + 1
    assert (hits == given_problem.classes).mean() > 0.9


def test_without_anchors_nothing_is_adapted() -> None:
    fitted = solve(fit_problem(labelled=()))
    assert torch.equal(fitted.text_vectors, torch.from_numpy(TEXTS))


# Which anchors take part ----------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(labels=st.lists(st.integers(0, 3), max_size=40), most=st.integers(1, 30), data=st.data())
def test_an_even_share_of_each_class_takes_part_whatever_order_they_came_in(
    labels: list[int], most: int, data: st.DataObject
) -> None:
    anchors = anchors_of(random_unit(40, D)[: len(labels)], [CLASSES[i] for i in labels])
    store = store_of(anchors, CLASSES, D)
    slots = take_part(store, most)
    ids = [store.ids[slot] for slot in slots]
    assert ids == sorted(ids)
    assert len(ids) == min(most, len(anchors))
    counts, all_counts = np.bincount(store.classes[slots], minlength=4), store.counts
    for smaller in np.flatnonzero(counts < all_counts):
        assert counts[smaller] >= counts.max() - 1, "a class that gave has less than the others"
    other = store_of(data.draw(st.permutations(anchors)), CLASSES, D)
    assert [other.ids[slot] for slot in take_part(other, most)] == ids


def test_who_takes_part_hardly_changes_when_one_anchor_comes() -> None:
    anchors = anchors_of(random_unit(101, D), [CLASSES[i % 4] for i in range(101)])
    before, after = store_of(anchors[:100], CLASSES, D), store_of(anchors, CLASSES, D)
    one = {before.ids[slot] for slot in take_part(before, 40)}
    other = {after.ids[slot] for slot in take_part(after, 40)}
    assert len(one & other) >= 38


# When -----------------------------------------------------------------------------------------------------------------


class Counted:
    """Stands for the adapter: hands out problems and counts them."""

    def __init__(self, **config: Any) -> None:
        self.refitting = Refitting(RefitConfig(**{"every_labels": 10, "max_age_s": 2.0, **config}))
        self.executor = HeldExecutor()
        self.taken: list[float] = []

    def maintain(self, now_s: float) -> Fitted | None:
        def take() -> FitProblem:
            self.taken.append(now_s)
            return fit_problem(taken_at_s=now_s)

        return self.refitting.maintain(self.executor, now_s, take)


def test_enough_changes_are_fitted_at_once_and_few_ones_when_they_are_old() -> None:
    counted = Counted()
    assert counted.maintain(0.0) is None
    counted.refitting.changed(9)
    for now_s in (1.0, 2.9):
        counted.maintain(now_s)
    assert counted.taken == []
    counted.maintain(3.0)
    assert counted.taken == [3.0]
    counted.executor.run()
    fitted = counted.maintain(3.1)
    assert fitted is not None
    assert fitted.taken_at_s == 3.0
    counted.refitting.changed(10)
    counted.maintain(3.3)
    assert counted.taken == [3.0, 3.3]


def test_without_changes_nothing_is_ever_fitted() -> None:
    counted = Counted()
    for now_s in (0.0, 100.0, 1e6):
        assert counted.maintain(now_s) is None
    assert counted.taken == []


def test_changes_during_a_fit_wait_for_it_and_count_from_when_they_came() -> None:
    counted = Counted()
    counted.refitting.changed(10)
    counted.maintain(0.0)
    counted.refitting.changed(3)
    counted.maintain(1.0)
    assert (counted.taken, counted.refitting.changes) == ([0.0], 13)
    counted.executor.run()
    assert counted.maintain(1.25) is not None
    counted.maintain(2.75)
    assert (counted.taken, counted.refitting.changes) == ([0.0], 3)
    counted.maintain(3.0)  # the oldest of them came two seconds ago
    assert (counted.taken, counted.refitting.changes) == ([0.0, 3.0], 3)
    counted.executor.run()
    counted.maintain(4.0)
    assert counted.refitting.changes == 0


def test_after_a_fit_it_rests_for_as_long_as_the_fit_took() -> None:
    counted = Counted()
    counted.refitting.changed(10)
    counted.maintain(0.0)
    counted.refitting.changed(10)
    counted.executor.run()
    assert counted.maintain(4.0) is not None
    counted.maintain(7.5)
    assert counted.taken == [0.0]
    counted.maintain(8.0)
    assert counted.taken == [0.0, 8.0]


def test_without_a_background_the_result_is_there_at_once() -> None:
    counted = Counted(background=False)
    counted.refitting.changed(10)
    assert counted.maintain(0.0) is not None
    assert (counted.executor.held, counted.refitting.changes) == (0, 0)


@pytest.mark.parametrize("background", [True, False])
def test_what_a_fit_raises_surfaces_and_is_not_the_end(monkeypatch: pytest.MonkeyPatch, background: bool) -> None:
    def fail(_: FitProblem) -> Fitted:
        raise RuntimeError("out of memory")

    counted = Counted(background=background)
    with monkeypatch.context() as patch:
        patch.setattr(refit, "solve", fail)
        counted.refitting.changed(10)
        with pytest.raises(RuntimeError, match="out of memory"):
            counted.maintain(0.0)
            counted.executor.run()
            counted.maintain(0.1)
    assert counted.refitting.changes == 10, "what was not fitted is still to be fitted"
    counted.maintain(10.0)
    counted.maintain(20.0)
    counted.executor.run()
    counted.maintain(20.1)
    assert counted.refitting.changes == 0


def test_the_inline_executor_hands_results_and_errors_on() -> None:
    assert InlineExecutor().submit(divmod, 7, 2).result() == (3, 1)
    with pytest.raises(ZeroDivisionError):
        InlineExecutor().submit(divmod, 7, 0).result()
