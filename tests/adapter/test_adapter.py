import numpy as np
import pytest

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.nearest import search as searching
from stream_adapter.config import AdapterConfig
from stream_adapter.errors import AnchorError, VocabularyError
from tests.adapter.anchor_sets import around, random_unit, unit
from tests.adapter.small_adapters import CLASSES, TEXTS, D, lesson, make, pictures, same, settle, taught

# Predictions ----------------------------------------------------------------------------------------------------------


def test_without_anchors_the_adapted_model_is_the_untouched_one() -> None:
    adapter = make()
    answer = adapter.predict(pictures()[0])
    assert answer.adapted.tobytes() == answer.zero_shot.tobytes()
    assert not answer.gate.any()
    assert not answer.has_anchor.any()
    assert (answer.neighbour_rows == -1).all()
    assert (answer.neighbour_classes == -1).all()
    assert (answer.neighbour_ids == None).all()  # noqa: E711 - elementwise
    np.testing.assert_allclose(answer.novelty, 1 - answer.zero_shot.max(axis=1), atol=1e-6)
    expected = np.exp(100.0 * (pictures()[0] @ TEXTS.T).astype(np.float64))
    np.testing.assert_allclose(answer.zero_shot, expected / expected.sum(axis=1, keepdims=True), rtol=1e-3)


def test_after_forgetting_everything_it_is_untouched_again_even_before_the_refit() -> None:
    adapter = taught()
    adapter.forget([anchor.anchor_id for anchor in adapter.anchors])
    answer = adapter.predict(pictures()[0])
    assert answer.adapted.tobytes() == answer.zero_shot.tobytes()
    assert not answer.gate.any()
    settle(adapter)
    assert adapter.version == make().version


def test_labels_teach() -> None:
    vectors, classes = pictures()
    answer = taught().predict(vectors)
    zero_shot = (answer.zero_shot.argmax(axis=1) == classes).mean()
    adapted = (answer.adapted.argmax(axis=1) == classes).mean()
    assert zero_shot < 0.4
    assert adapted > 0.75
    np.testing.assert_allclose(answer.adapted.sum(axis=1), 1.0, rtol=1e-5)


def test_a_rows_prediction_does_not_depend_on_the_others_in_its_batch() -> None:
    """The trap: one gate for the whole batch. A stranger beside an anchor must not be adapted as if it were one."""
    adapter = taught()
    anchor = next(iter(adapter.anchors)).vector
    strangers = random_unit(3, D, seed=7)
    alone = adapter.predict(strangers)
    beside = adapter.predict(np.concatenate([anchor[None], strangers]))
    assert beside.gate[0] == pytest.approx(1.0, abs=1e-5)
    assert beside.gate[1:].max() < 0.05
    np.testing.assert_allclose(beside.gate[1:], alone.gate, rtol=1e-4)
    np.testing.assert_allclose(beside.adapted[1:], alone.adapted, atol=1e-4)


def test_unlabelled_classes_keep_what_zero_shot_gives_them() -> None:
    """The trap: cross-entropy over all classes teaches that classes without anchors do not exist."""
    adapter = taught(count=16)
    unlabelled = np.concatenate([around(TEXTS[label : label + 1], 30, spread=0.6, seed=label) for label in range(3, 8)])
    truth = np.repeat(np.arange(3, 8), 30)
    answer = adapter.predict(unlabelled)
    zero_shot = (answer.zero_shot.argmax(axis=1) == truth).mean()
    adapted = (answer.adapted.argmax(axis=1) == truth).mean()
    assert zero_shot > 0.8
    assert adapted > zero_shot - 0.03
    mass = answer.adapted[:, 3:].sum(axis=1).mean() / answer.zero_shot[:, 3:].sum(axis=1).mean()
    assert mass > 0.95


def test_far_from_every_anchor_the_prediction_goes_back_to_zero_shot() -> None:
    adapter = taught(llu={"gamma": 40.0})
    far = unit(random_unit(20, D, seed=9) - TEXTS.mean(axis=0))
    answer = adapter.predict(far)
    assert answer.gate.max() < 0.01
    # What is left is the texts' own update, near the labelled classes' texts.
    plain = 100.0 * far @ adapter.learner_state()["learner.texts"].T
    expected = np.exp(plain - plain.max(axis=1, keepdims=True))
    np.testing.assert_allclose(answer.adapted, expected / expected.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6)
    near_texts = taught(llu={"gamma": 1e4}).predict(far)  # at this γ no text but the labelled ones is near
    unlabelled = near_texts.adapted[:, 3:] / near_texts.adapted[:, 3:].sum(axis=1, keepdims=True)
    zero_shot = near_texts.zero_shot[:, 3:] / near_texts.zero_shot[:, 3:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(unlabelled, zero_shot, rtol=1e-3, atol=1e-6)


def test_the_gate_falls_with_the_distance_to_the_nearest_anchor() -> None:
    adapter = taught()
    answer = adapter.predict(pictures()[0])
    np.testing.assert_allclose(answer.gate, np.exp(-10.0 * (1 - answer.neighbour_cosines[:, 0])), rtol=1e-4)


def test_neighbours_explain_a_prediction() -> None:
    adapter = taught()
    known = {anchor.anchor_id: anchor for anchor in adapter.anchors}
    vectors = pictures(4)[0]
    answer = adapter.predict(vectors)
    assert answer.neighbour_ids.shape == (12, 16)
    for row in range(12):
        for rank, anchor_id in enumerate(answer.neighbour_ids[row]):
            anchor = known[anchor_id]
            assert CLASSES[answer.neighbour_classes[row, rank]] == anchor.label
            assert answer.neighbour_cosines[row, rank] == pytest.approx(anchor.vector @ vectors[row], abs=1e-5)
    assert (np.diff(answer.neighbour_cosines, axis=1) <= 0).all()
    assert answer.has_anchor.tolist() == [True] * 3 + [False] * 5


def test_novelty_is_small_where_a_class_or_an_anchor_explains_the_picture() -> None:
    adapter = make()
    odd = unit(TEXTS[:1] + TEXTS[1:2])  # two classes explain it equally badly
    both = np.concatenate([odd, TEXTS[:1]])
    before = adapter.predict(both).novelty
    assert before[0] > 0.45
    assert before[1] < 0.1
    adapter.learn([Anchor("odd", odd[0], "a", 0)])
    after = adapter.predict(both).novelty
    assert after[0] < 1e-3
    assert ((before >= 0) & (before <= 1) & (after >= 0) & (after <= 1)).all()


def test_an_empty_batch_and_a_gate_of_zero() -> None:
    assert taught().predict(np.empty((0, D), np.float32)).adapted.shape == (0, 8)
    answer = taught(llu={"gate": 0.0}).predict(pictures()[0])
    np.testing.assert_allclose(answer.adapted, answer.zero_shot, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, 2.0])
def test_vectors_that_cannot_be_compared_are_refused(value: float) -> None:
    vectors = pictures()[0].copy()
    vectors[4] = value
    with pytest.raises(AnchorError, match="row 4 of the batch"):
        make().predict(vectors)
    with pytest.raises(AnchorError, match=rf"expected \(n, {D}\)"):
        make().predict(random_unit(2, D + 1))


def test_an_array_that_is_used_again_is_looked_up_again() -> None:
    adapter = taught()
    vectors = pictures()[0]
    batch = vectors[:5].copy()
    adapter.predict(batch)
    batch[:] = vectors[5:10]
    assert same(adapter.predict(batch), adapter.predict(vectors[5:10]))
    assert (adapter.predict(batch).neighbour_ids == adapter.predict(vectors[5:10]).neighbour_ids).all()


def test_one_search_is_enough_for_the_learner_and_for_what_explains(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = taught()
    adapter.predict(pictures()[0])  # what the labels say about events of no class is looked up once for each
    asked: list[int] = []
    search = searching.exact
    monkeypatch.setattr(searching, "exact", lambda store, v, k: asked.append(k) or search(store, v, k))
    adapter.predict(pictures()[0])
    assert asked == [16]


# What is given --------------------------------------------------------------------------------------------------------


def test_events_that_do_not_fit_are_refused_and_nothing_is_learned() -> None:
    adapter = make()
    good = random_unit(2, D)
    for ids, vectors, reason in (
        (("e",), good, "1 event ids for 2 vectors"),
        (("e", "f"), good * np.float32(2.0), "event e: the vector's length is 2"),
        (("e", "f"), random_unit(2, D + 1), r"shape \(2, 65\), expected \(n, 64\)"),
        (("e", "f"), random_unit(1, 2 * D), r"1 vectors"),
    ):
        with pytest.raises(AnchorError, match=reason):
            adapter.update(ids, vectors, lesson(2))
    assert (adapter.n_anchors, adapter.pending) == (0, 0)


def test_both_a_method_and_its_shadow_learn() -> None:
    adapter = taught(shadow="llu")
    vectors = pictures()[0]
    answer = adapter.shadow_answer(vectors)
    assert answer is not None
    assert answer.adapted.tobytes() == adapter.predict(vectors).adapted.tobytes()
    assert make().shadow_answer(vectors) is None


# The vocabulary -------------------------------------------------------------------------------------------------------


def test_a_vocabulary_that_does_not_fit_together_is_refused() -> None:
    config = AdapterConfig()
    with pytest.raises(VocabularyError, match=r"shape \(8, 64\), expected \(7, d\)"):
        Adapter(TEXTS, CLASSES[:7], 100.0, config)
    with pytest.raises(VocabularyError, match="more than once: a"):
        Adapter(TEXTS, ("a", *CLASSES[:7]), 100.0, config)
    with pytest.raises(VocabularyError, match=r"class 'b': the vector's length is 2"):
        Adapter(TEXTS * np.where(np.arange(8) == 1, 2.0, 1.0)[:, None].astype(np.float32), CLASSES, 100.0, config)
    with pytest.raises(VocabularyError, match="canaries that are not in the vocabulary: okapi"):
        Adapter(TEXTS, CLASSES, 100.0, AdapterConfig(canaries=("a", "okapi")))


def test_the_adapter_keeps_its_own_copy_of_the_text_vectors() -> None:
    texts = TEXTS.copy()
    adapter = Adapter(texts, CLASSES, 100.0, AdapterConfig(method="llu"))
    before = adapter.predict(pictures()[0]).zero_shot
    texts[:] = 0.0
    assert adapter.predict(pictures()[0]).zero_shot.tobytes() == before.tobytes()


def test_text_vectors_of_another_length_are_refused_and_nothing_has_changed() -> None:
    adapter = taught()
    with pytest.raises(VocabularyError, match="text vectors have 65 numbers, expected 64"):
        adapter.set_classes(random_unit(2, D + 1), ("a", "b"))
    assert adapter.classes.names == CLASSES
    assert adapter.n_anchors == 24


def test_another_vocabulary_changes_the_anchors_and_what_explains() -> None:
    adapter = taught()
    names = ("c", "new", "z")
    adapter.set_classes(TEXTS[[2, 4, 0]], names, {"a": "z"})
    assert {anchor.label for anchor in adapter.anchors} == {"c", "z"}
    assert adapter.has_anchor.tolist() == [True, False, True]
    answer = adapter.predict(pictures()[0])
    known = {anchor.anchor_id: anchor.label for anchor in adapter.anchors}
    for ids, classes in zip(answer.neighbour_ids.tolist(), answer.neighbour_classes.tolist(), strict=True):
        assert [known[one] for one in ids if one] == [names[one] for one in classes if one >= 0]
    assert adapter.learn([Anchor("late", pictures()[0][0], "a", 99)]).ignored[0].reason == "unknown label"
