from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter import Adapter, Anchor
from stream_adapter.adapter import refit as refit_module
from stream_adapter.config import AdapterConfig
from stream_adapter.errors import AnchorError, VocabularyError
from tests.adapter.anchor_sets import HeldExecutor, around, random_unit, unit
from tests.adapter.small_adapters import CLASSES, INLINE, TEXTS, D, lesson, make, pictures, same, taught

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
    adapter.forget([anchor.anchor_id for anchor in adapter.anchors()])
    answer = adapter.predict(pictures()[0])
    assert answer.adapted.tobytes() == answer.zero_shot.tobytes()
    assert not answer.gate.any()
    adapter.maintain(INLINE, 1.0)
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
    anchor = next(adapter.anchors()).vector
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
    adapter = taught(gamma=40.0)
    far = unit(random_unit(20, D, seed=9) - TEXTS.mean(axis=0))
    answer = adapter.predict(far)
    assert answer.gate.max() < 1e-6
    # What is left is the texts' own update, near the labelled classes' texts.
    plain = 100.0 * far @ adapter._fitted.text_vectors.numpy().T
    expected = np.exp(plain - plain.max(axis=1, keepdims=True))
    np.testing.assert_allclose(answer.adapted, expected / expected.sum(axis=1, keepdims=True), rtol=1e-3, atol=1e-6)
    near_texts = taught(gamma=1e4).predict(far)  # at this γ no text but the labelled ones is near
    unlabelled = near_texts.adapted[:, 3:] / near_texts.adapted[:, 3:].sum(axis=1, keepdims=True)
    zero_shot = near_texts.zero_shot[:, 3:] / near_texts.zero_shot[:, 3:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(unlabelled, zero_shot, rtol=1e-3, atol=1e-6)


def test_the_gate_is_damped_and_falls_with_distance() -> None:
    adapter = taught(damping=0.5, gamma=5.0)
    vectors = pictures()[0]
    answer = adapter.predict(vectors)
    np.testing.assert_allclose(answer.gate, 0.5 * np.exp(-5.0 * (1 - answer.neighbour_cosines[:, 0])), rtol=1e-4)


def test_neighbours_explain_a_prediction() -> None:
    adapter = taught()
    known = {anchor.anchor_id: anchor for anchor in adapter.anchors()}
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


def test_an_empty_batch_and_a_damping_of_zero() -> None:
    assert taught().predict(np.empty((0, D), np.float32)).adapted.shape == (0, 8)
    answer = taught(damping=0.0).predict(pictures()[0])
    np.testing.assert_allclose(answer.adapted, answer.zero_shot, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, 2.0])
def test_vectors_that_cannot_be_compared_are_refused(value: float) -> None:
    vectors = pictures()[0].copy()
    vectors[4] = value
    with pytest.raises(AnchorError, match="row 4 of the batch"):
        make().predict(vectors)
    with pytest.raises(AnchorError, match=rf"expected \(n, {D}\)"):
        make().predict(random_unit(2, D + 1))


# Refits and state -----------------------------------------------------------------------------------------------------


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(24)), cuts=st.sets(st.integers(1, 23), max_size=3))
def test_the_same_anchors_give_the_same_maps_bit_for_bit_in_whatever_order_they_came(
    order: list[int], cuts: set[int]
) -> None:
    anchors = [lesson()[index] for index in order]
    adapter = make(refit={"steps": 20, "max_anchors": 16, "every_labels": 1_000})
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 24], strict=True):
        adapter.learn(anchors[start:stop])
        adapter.maintain(INLINE, float(start))
    adapter.maintain(INLINE, 1e9)
    expected = taught(refit={"steps": 20, "max_anchors": 16})
    assert adapter.anchors_digest == expected.anchors_digest
    assert same(adapter.predict(pictures()[0]), expected.predict(pictures()[0]))


def test_a_worker_restored_from_float16_answers_bit_for_bit_as_the_survivor_does() -> None:
    survivor, restored = taught(), make()
    wire = [
        Anchor(a.anchor_id, a.vector.astype(np.float16).astype(np.float32), a.label, a.event_time_ms)
        for a in survivor.anchors()
    ]
    restored.learn(wire)
    restored.maintain(INLINE, 0.0)
    one, other = survivor.predict(pictures()[0]), restored.predict(pictures()[0])
    assert same(one, other)
    assert one.gate.tobytes() == other.gate.tobytes()


def test_a_fit_in_the_background_gives_the_same_maps_and_is_swapped_in_between_batches() -> None:
    adapter = make(refit={"background": True})
    adapter.learn(lesson())
    with ThreadPoolExecutor(1) as executor:
        adapter.maintain(executor, 3.0)
    before = adapter.predict(pictures()[0])
    assert before.adapted.tobytes() == before.zero_shot.tobytes() or adapter.fit_number == 1
    adapter.maintain(INLINE, 4.0)
    assert (adapter.fit_number, adapter.fitted_at_s, adapter.changes_since_fit) == (1, 3.0, 0)
    assert same(adapter.predict(pictures()[0]), taught().predict(pictures()[0]))


def test_predictions_do_not_change_while_a_fit_is_under_way() -> None:
    adapter = make(refit={"background": True})
    executor = HeldExecutor()
    adapter.learn(lesson())
    adapter.maintain(executor, 0.0)
    adapter.forget([next(adapter.anchors()).anchor_id])  # the fit has its own copy
    answer = adapter.predict(pictures()[0])
    assert answer.adapted.tobytes() == answer.zero_shot.tobytes()
    assert (adapter.fit_number, adapter.fitted_at_s, adapter.changes_since_fit) == (0, None, 25)
    executor.run()
    adapter.maintain(executor, 1.0)
    assert (adapter.fit_number, adapter.changes_since_fit) == (1, 1)
    assert adapter.version == taught().version


def test_what_a_background_fit_raises_surfaces_in_the_owner_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(refit_module, "solve", fail)
    adapter = make(refit={"background": True})
    adapter.learn(lesson())
    executor = HeldExecutor()
    adapter.maintain(executor, 0.0)
    executor.run()
    with pytest.raises(RuntimeError, match="out of memory"):
        adapter.maintain(executor, 1.0)


def test_the_version_names_the_anchors_at_the_fit_and_the_settings() -> None:
    adapter = taught()
    count, digest, settings_part = adapter.version.split("-")
    assert (count, digest) == ("24", adapter.anchors_digest[:12])
    adapter.learn([Anchor("more", random_unit(1, D)[0], "a", 1)])
    assert adapter.version.startswith("24-"), "the maps do not know it yet"
    adapter.maintain(INLINE, 1.0)
    assert adapter.version.startswith("25-")
    for other in (taught(gamma=11.0), taught(refit={"steps": 99})):
        assert other.version.split("-")[:2] == [count, digest]
        assert other.version.split("-")[2] != settings_part
    assert taught(anchors={"neighbours": 3}).version.split("-")[2] == settings_part


@pytest.mark.parametrize("index", ["exact", "hnsw", "auto"])
def test_every_index_gives_the_same_predictions_on_a_small_store(index: str) -> None:
    vectors = pictures()[0]
    np.testing.assert_allclose(
        taught(anchors={"index": index}).predict(vectors).adapted, taught().predict(vectors).adapted, atol=1e-5
    )


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
    adapter = Adapter(texts, CLASSES, 100.0, AdapterConfig())
    before = adapter.predict(pictures()[0]).zero_shot
    texts[:] = 0.0
    assert adapter.predict(pictures()[0]).zero_shot.tobytes() == before.tobytes()
