from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.correction import CorrectionSettings
from stream_adapter.adapter.discriminant import DiscriminantSettings
from stream_adapter.adapter.fitting import AllAnchors, FitProblem, settings_hash, solve, take_part, under
from stream_adapter.adapter.latent_update import FitSettings
from stream_adapter.adapter.local_residual import LocalSettings
from stream_adapter.adapter.presence_evidence import PresenceEvidence
from tests.adapter.anchor_sets import anchors_of, around, random_unit, store_of

D = 16
CLASSES = ("cat", "dog", "horse", "house")
TEXTS = random_unit(len(CLASSES), D, seed=1)
CORRECTION = CorrectionSettings(LocalSettings(8, 3.0, 0.1), 0.002, 0.0, DiscriminantSettings(0.05, 0.5))


def fit_problem(labelled: tuple[int, ...] = (0, 1, 2), per_class: int = 3, **changes: Any) -> FitProblem:
    fields: dict[str, Any] = {
        "vectors": around(TEXTS[list(labelled)], per_class, spread=3.0) if labelled else np.empty((0, D), np.float32),
        "classes": np.repeat(np.array(labelled, np.int64), per_class),
        "text_vectors": torch.from_numpy(TEXTS),
        "labelled": np.isin(np.arange(len(CLASSES)), labelled),
        "gamma": 10.0,
        "settings": FitSettings(100.0, 1.0, 30, 1e-3, 1e4),
        "correction": CORRECTION,
        "evidence": PresenceEvidence.none(len(CLASSES)),
        "everything": None,
        "anchors": len(labelled) * per_class,
        "digest": "d" * 32,
        "taken_at_s": 5.0,
    }
    return FitProblem(**(fields | changes))


def with_everything(problem: FitProblem) -> FitProblem:
    """All of them take part."""
    everyone = np.arange(len(problem.vectors))
    everything = AllAnchors(problem.vectors, problem.classes, 100 - everyone, everyone)
    return fit_problem(vectors=problem.vectors, classes=problem.classes, everything=everything)


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


# What the correction takes from it ------------------------------------------------------------------------------------


def test_anchors_are_found_by_row_id_and_strangers_are_not() -> None:
    fitted = solve(with_everything(fit_problem()))
    assert fitted.correction.known(np.array([[100, 92], [50, 7]])).tolist() == [[0, 8], [-1, -1]]
    assert solve(fit_problem()).correction.known(np.array([100])).tolist() == [-1]


def test_new_evidence_changes_the_correction_and_leaves_the_maps() -> None:
    fitted = solve(with_everything(fit_problem()))
    evidence = PresenceEvidence(50_000, 100, np.zeros(4), np.array([0.0, 0.0, 0.0, 7.0]), np.zeros(4), np.zeros(4, int))
    other = under(fitted, evidence, CORRECTION)
    assert other.maps is fitted.maps
    assert (other.correction.kinds[3], fitted.correction.kinds[3]) == ("dormant", "dormant")
    assert other.correction.aliveness[3] < fitted.correction.aliveness[3] == 1.0
    again = solve(fit_problem(vectors=fit_problem().vectors, evidence=evidence))
    assert again.correction.aliveness.tolist() == other.correction.aliveness.tolist()


def test_doubted_anchors_teach_the_maps_less() -> None:
    vectors, classes = around(TEXTS[:3], 12, spread=1.0), np.repeat(np.arange(3), 12)
    wrong = classes.copy()
    wrong[[0, 5, 20]] = 1, 2, 0
    clean, mistaken = (fit_problem(vectors=vectors, classes=labels) for labels in (classes, wrong))
    maps = [solve(problem).maps.weight[0] for problem in (clean, mistaken, with_everything(mistaken))]
    assert torch.dist(maps[0], maps[2]) < 0.5 * torch.dist(maps[0], maps[1])


def test_the_settings_hash_changes_with_every_part() -> None:
    parts = (np.arange(3), "a", 0.5)
    changed = [(np.arange(4), "a", 0.5), (np.arange(3), "b", 0.5), (np.arange(3), "a", 0.25)]
    assert len({settings_hash(*each) for each in (parts, *changed)}) == 4
    assert len(settings_hash(*parts)) == 8
