"""What every method must keep, whichever it is; a method that is added to `METHODS` is tried by itself.

Those that other packages bring are tried by their names: LEARNERS="nearest" pytest tests/adapter/test_learners.py
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.prediction import Prediction
from stream_adapter.errors import AnchorError
from tests.adapter.anchor_sets import random_unit
from tests.adapter.small_adapters import CLASSES, TEXTS, D, confused, make

METHODS = os.environ.get("LEARNERS", "llu mixture knn tip-adapter").split()

each_method = pytest.mark.parametrize("method", METHODS)


class Batch(NamedTuple):
    ids: Sequence[str]
    vectors: NDArray[np.float32]
    labels: Sequence[str | None]

    def anchors(self) -> list[Anchor]:
        return [
            Anchor(anchor_id, vector, label, int(anchor_id))
            for anchor_id, vector, label in zip(self.ids, self.vectors, self.labels, strict=True)
            if label is not None
        ]


def stream(batches: int = 6, size: int = 12) -> list[Batch]:
    """Pictures of a, b and c that zero-shot confuses, of which every other one is labelled, and some of d."""
    truth = np.arange(batches * size) % 4
    vectors = np.stack(
        [confused(1, label, seed=number, towards=(label + 1) % 3)[0] for number, label in enumerate(truth.tolist())]
    )
    labels = [CLASSES[label] if number % 8 < 4 and label < 3 else None for number, label in enumerate(truth.tolist())]
    return [
        Batch([f"{number}" for number in range(start, start + size)], vectors[part], labels[part])
        for start in range(0, len(truth), size)
        for part in [slice(start, start + size)]
    ]


def questions(count: int = 30) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """New pictures of a, b and c, and their classes."""
    vectors = [confused(count, label, seed=900 + label, towards=(label + 1) % 3) for label in range(3)]
    return np.concatenate(vectors), np.repeat(np.arange(3), count)


QUESTIONS, TRUTH = questions()


def new(method: str) -> Adapter:
    """One that knows nothing; settings that make it quick enough to be asked often."""
    return make(method=method, llu={"refit": {"steps": 40}})


def after(method: str, batches: Sequence[Batch], labelled: bool = True) -> Adapter:
    adapter = new(method)
    for batch in batches:
        adapter.predict(batch.vectors)
        adapter.update(batch.ids, batch.vectors, batch.anchors() if labelled else ())
    return adapter


def arrays_of(answer: Prediction) -> Iterator[NDArray[np.float32]]:
    yield from (answer.zero_shot, answer.undamped, answer.adapted, answer.standing.presence, answer.none_of_these)


def assert_alike(one: Adapter, other: Adapter, within: float = 1e-5) -> None:
    for found, expected in zip(arrays_of(one.predict(QUESTIONS)), arrays_of(other.predict(QUESTIONS)), strict=True):
        np.testing.assert_allclose(found, expected, atol=within)


# Answers --------------------------------------------------------------------------------------------------------------


@each_method
def test_answers_are_probabilities_and_the_callers(method: str) -> None:
    for batches in (0, 6):
        adapter = after(method, stream()[:batches])
        answer = adapter.predict(QUESTIONS)
        before = [array.copy() for array in arrays_of(answer)]
        for array in (answer.zero_shot, answer.undamped, answer.adapted):
            assert (array.shape, array.dtype) == ((len(QUESTIONS), len(CLASSES)), np.float32)
            assert (array >= 0.0).all()
            np.testing.assert_allclose(array.sum(axis=1), 1.0, atol=1e-5)
            array[:] = 7.0
        assert answer.none_of_these.shape == (len(QUESTIONS),)
        assert ((answer.none_of_these >= 0.0) & (answer.none_of_these <= 1.0)).all()
        answer.none_of_these[:] = 7.0
        for found, expected in zip(arrays_of(adapter.predict(QUESTIONS)), before, strict=True):
            np.testing.assert_array_equal(found, expected)


@each_method
def test_zero_shot_is_the_untouched_models(method: str) -> None:
    logits = 100.0 * (QUESTIONS @ TEXTS.T).astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    for batches in (0, 6):
        found = after(method, stream()[:batches]).predict(QUESTIONS).zero_shot
        np.testing.assert_allclose(found, expected, atol=1e-4)


@each_method
def test_labels_teach_and_what_was_never_seen_is_untouched(method: str) -> None:
    knows_nothing = new(method).predict(QUESTIONS)
    np.testing.assert_allclose(knows_nothing.undamped, knows_nothing.zero_shot, atol=1e-4)
    answer = after(method, stream()).predict(QUESTIONS)
    assert (answer.zero_shot.argmax(axis=1) == TRUTH).mean() < 0.4
    assert (answer.adapted.argmax(axis=1) == TRUTH).mean() > 0.6


@each_method
def test_predicting_changes_no_later_answer(method: str) -> None:
    quiet, asked = new(method), new(method)
    for number, batch in enumerate(stream()):
        for adapter in (quiet, asked):
            adapter.predict(batch.vectors)
            if adapter is asked:
                adapter.predict(random_unit(5, D, seed=number))
                adapter.predict(batch.vectors)
            adapter.update(batch.ids, batch.vectors, batch.anchors())
    assert quiet.version == asked.version
    assert_alike(quiet, asked, within=0.0)


@each_method
def test_empty_batches(method: str) -> None:
    one, other = after(method, stream()[:3]), after(method, stream()[:3])
    nothing = np.zeros((0, D), np.float32)
    for _ in range(3):
        assert other.predict(nothing).adapted.shape == (0, len(CLASSES))
        other.update((), nothing)
        other.follow([], {})
    assert one.version == other.version
    assert_alike(one, other)


@each_method
def test_what_each_class_is_taken_for(method: str) -> None:
    for batches in (0, 6):
        adapter = after(method, stream()[:batches])
        standing = adapter.predict(QUESTIONS).standing
        assert len(standing.kinds) == len(standing.presence) == len(CLASSES)
        assert [kind == "labelled" for kind in standing.kinds] == adapter.has_anchor.tolist()
        assert ((standing.presence > 0.0) & (standing.presence <= 1.0)).all()
        assert (standing.presence[adapter.has_anchor] == 1.0).all()


# Learning and forgetting ----------------------------------------------------------------------------------------------


@each_method
def test_everything_forgotten_is_as_if_no_label_had_come(method: str) -> None:
    adapter, never = after(method, stream()), after(method, stream(), labelled=False)
    adapter.forget([anchor.anchor_id for anchor in adapter.anchors])
    assert_alike(adapter, never)
    for one in (adapter, never):
        one.learn([])
    assert_alike(adapter, never)
    assert adapter.pending == never.pending == 0


@each_method
def test_one_label_forgotten_is_as_if_it_had_not_come(method: str) -> None:
    batches = stream()
    extra = Anchor("1000", confused(1, 0, seed=99, towards=1)[0], "b", 5)
    adapter, never = after(method, batches), after(method, batches)
    adapter.learn([extra])
    assert adapter.version != never.version
    adapter.forget(["1000"])
    for one in (adapter, never):
        one.learn([])
    assert_alike(adapter, never)


@each_method
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_the_order_of_labels_within_an_update_does_not_matter(method: str, data: st.DataObject) -> None:
    one, other = new(method), new(method)
    for batch in stream(3):
        one.update(batch.ids, batch.vectors, batch.anchors())
        other.update(batch.ids, batch.vectors, data.draw(st.permutations(batch.anchors())))
    assert_alike(one, other)


@each_method
def test_labels_are_in_force_at_the_next_answer(method: str) -> None:
    adapter = new(method)
    seen = {adapter.version}
    for batch in stream():
        adapter.update(batch.ids, batch.vectors, batch.anchors())
        assert adapter.pending == 0
        assert adapter.version not in seen
        seen.add(adapter.version)


@each_method
def test_one_bad_vector_and_nothing_has_changed(method: str) -> None:
    adapter, untouched = after(method, stream()[:3]), after(method, stream()[:3])
    batch = stream()[3]
    broken = batch.vectors.copy()
    broken[2] = np.nan
    for vectors, anchors in (
        (broken, batch.anchors()),
        (batch.vectors, [*batch.anchors(), Anchor("x", broken[2], "a", 0)]),
    ):
        with pytest.raises(AnchorError, match="length is nan"):
            adapter.update(batch.ids, vectors, anchors)
    assert (adapter.version, adapter.pending) == (untouched.version, untouched.pending)
    assert_alike(adapter, untouched, within=0.0)
    for one in (adapter, untouched):
        one.update(batch.ids, batch.vectors, batch.anchors())
    assert_alike(adapter, untouched, within=0.0)


@each_method
def test_what_is_followed_is_known_as_what_was_learned(method: str) -> None:
    """The same traffic, and the labels from another worker."""
    learned, follows = after(method, stream()), after(method, stream(), labelled=False)
    follows.follow([anchor for batch in stream() for anchor in batch.anchors()], follows.records())
    for one in (learned, follows):
        one.learn([])
    assert learned.anchors_digest == follows.anchors_digest
    assert_alike(learned, follows)


# State ----------------------------------------------------------------------------------------------------------------


def restored(adapter: Adapter, method: str) -> Adapter:
    other = after(method, stream()[:1])  # what it knew before is gone afterwards
    other.restore({**adapter.copy().finish().arrays(), **adapter.learner_state()})
    return other


@each_method
def test_what_is_restored_answers_and_goes_on_as_the_other(method: str) -> None:
    batches = stream()
    one = after(method, batches[:4])
    other = restored(one, method)
    assert_alike(one, other)
    for batch in batches[4:]:
        for adapter in (one, other):
            adapter.update(batch.ids, batch.vectors, batch.anchors())
    assert_alike(one, other)


@each_method
def test_what_was_saved_stays_as_it_was(method: str) -> None:
    batches = stream()
    adapter, until_then = after(method, batches[:3]), after(method, batches[:3])
    arrays = {**adapter.copy().finish().arrays(), **adapter.learner_state()}
    for batch in batches[3:]:
        adapter.update(batch.ids, batch.vectors, batch.anchors())
    other = new(method)
    other.restore(arrays)
    assert_alike(other, until_then)


@each_method
def test_a_state_of_another_method_is_passed_over(method: str) -> None:
    adapter, fresh = new(method), new(method)
    foreign = {"learner.matrix": np.eye(3), "learner.names": np.zeros(5, np.uint8)}
    adapter.restore({**after(method, stream()).copy().finish().arrays(), **foreign})
    fresh.follow([anchor for batch in stream() for anchor in batch.anchors()])
    for one in (adapter, fresh):
        one.learn([])
    assert_alike(adapter, fresh)


# Other classes --------------------------------------------------------------------------------------------------------


@each_method
@pytest.mark.parametrize("settled", [False, True])
def test_what_was_learned_of_classes_that_stay_is_kept(method: str, settled: bool) -> None:
    adapter = after(method, stream())
    added = random_unit(1, D, seed=77)
    names = ("new", "z", "b", "c", "d")
    adapter.set_classes(np.concatenate([added, TEXTS[:4]]), names, {"a": "z"})
    if settled:
        adapter.learn([])
    answer = adapter.predict(QUESTIONS)
    assert answer.adapted.shape == (len(QUESTIONS), 5)
    np.testing.assert_allclose(answer.adapted.sum(axis=1), 1.0, atol=1e-5)
    assert (answer.zero_shot.argmax(axis=1) == TRUTH + 1).mean() < 0.4
    assert (answer.adapted.argmax(axis=1) == TRUTH + 1).mean() > 0.6
    assert answer.standing.kinds[0] != "labelled"
    assert answer.standing.kinds[1:4] == ["labelled", "labelled", "labelled"]
    for batch in stream(2):
        adapter.update([f"{900 + int(one)}" for one in batch.ids], batch.vectors)
    assert adapter.predict(QUESTIONS).adapted.shape == (len(QUESTIONS), 5)


@each_method
def test_a_class_that_is_gone_has_taught_nothing(method: str) -> None:
    adapter = after(method, stream())
    adapter.set_classes(TEXTS[3:], CLASSES[3:])
    adapter.learn([])
    assert adapter.n_anchors == 0
    assert not adapter.has_anchor.any()
    never = after(method, stream(), labelled=False)
    never.set_classes(TEXTS[3:], CLASSES[3:])
    never.learn([])
    assert_alike(adapter, never)
