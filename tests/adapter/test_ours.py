"""The full method through the adapter: what workers have in common, and what traffic and labels do to predictions."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter import Adapter, AdapterPrediction, Anchor
from stream_adapter.adapter.presence_evidence import PresenceEvidence
from stream_adapter.adapter.traffic_window import TrafficWindow
from tests.adapter.anchor_sets import HeldExecutor, around, random_unit, unit
from tests.adapter.small_adapters import CLASSES, INLINE, TEXTS, D, confused, lesson, make, pictures


def ours(**config: Any) -> Adapter:
    config["refit"] = {"steps": 20, **config.get("refit", {})}
    return make(method="ours", damping=0.5, **config)


def evidence(seed: int = 0, events: int = 5_000, present: tuple[int, ...] = ()) -> PresenceEvidence:
    random = np.random.default_rng(seed)
    excess = np.where(np.isin(np.arange(8), present), 100.0, random.uniform(0.0, 3.0, 8))
    fields = (random.dirichlet(np.ones(8)), excess, random.uniform(0, 0.1, 8), np.zeros(8, np.int64))
    return PresenceEvidence(events, 300, *fields).rounded()


def window(answer: AdapterPrediction, labelled: NDArray[np.bool_]) -> TrafficWindow:
    return TrafficWindow.of(answer.zero_shot, labelled, answer.adapted, pictures()[0])


def settle(adapter: Adapter) -> Adapter:
    now_s = 0.0
    while adapter.changes_since_fit:
        adapter.maintain(INLINE, now_s)
        now_s += 10.0
    return adapter


def same(one: AdapterPrediction, other: AdapterPrediction) -> bool:
    return one.version == other.version and bool(np.abs(one.adapted - other.adapted).max() <= 1e-6)


# What workers have in common ------------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(
    order=st.permutations(range(24)),
    cuts=st.sets(st.integers(1, 23), max_size=3),
    slots=st.permutations(["a", "b", "c"]),
    heard_first=st.booleans(),
)
def test_workers_with_the_same_anchors_and_evidence_answer_alike_however_they_came_by_them(
    order: list[int], cuts: set[int], slots: list[str], heard_first: bool
) -> None:
    spoken = {slot: evidence(seed, events=3_000) for seed, slot in enumerate("abc")}
    survivor = ours(refit={"max_anchors": 16})
    survivor.learn(lesson())
    for slot, each in spoken.items():
        survivor.hear(slot, each)
    settle(survivor)
    restored = ours(refit={"max_anchors": 16})

    def hear() -> None:
        for slot in slots:
            restored.hear(slot, evidence(9))  # an older one
            wire = json.loads(json.dumps(spoken[slot].to_json(CLASSES)))
            restored.hear(slot, PresenceEvidence.from_json(wire, CLASSES, D))

    if heard_first:
        hear()
    anchors = [lesson()[index] for index in order]
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 24], strict=True):
        restored.learn(anchors[start:stop])
        restored.maintain(INLINE, float(start))
    restored.learn([Anchor("gone", confused(1, 0, seed=77, towards=1)[0], "a", 3)])
    restored.maintain(INLINE, 50.0)
    restored.forget(["gone"])
    hear()
    settle(restored)
    assert same(restored.predict(pictures()[0]), survivor.predict(pictures()[0]))
    assert restored.kinds == survivor.kinds
    assert restored.aliveness.tolist() == survivor.aliveness.tolist()


def test_the_own_window_changes_nothing_before_it_is_heard() -> None:
    adapter = ours()
    adapter.learn(lesson())
    settle(adapter)
    before = adapter.predict(pictures()[0])
    adapter.observe(window(before, np.zeros(60, bool)))
    adapter.maintain(INLINE, 1e6)
    assert same(before, adapter.predict(pictures()[0]))
    adapter.hear("own", adapter.evidence())
    assert adapter.changes_since_fit == 1
    settle(adapter)
    assert adapter.presence.events == 60
    assert adapter.predict(pictures()[0]).version != before.version


def test_a_window_travels_and_late_labels_find_their_events() -> None:
    adapter, restored = ours(), ours()
    adapter.observe(window(adapter.predict(pictures()[0]), np.zeros(60, bool)))
    assert adapter.observed == 60
    restored.restore_traffic(adapter.traffic())
    assert restored.evidence().digest == adapter.evidence().digest
    adapter.mark_labelled(np.arange(10))
    assert adapter.evidence().labelled_events == 10
    traffic = adapter.traffic()
    for wrong, says in (
        (traffic._replace(zero_shot=traffic.zero_shot[:, :7]), r"`zero_shot` is float32 \(60, 7\)"),
        (traffic._replace(vectors=traffic.vectors[:59]), r"`vectors` is float32 \(59, \d+\)"),
        (traffic._replace(labelled=traffic.labelled.astype(np.int32)), "`labelled` is int32"),
        (traffic._replace(believed=traffic.believed + 1), "`believed` names classes that are not below 8"),
    ):
        with pytest.raises(ValueError, match=says):
            restored.restore_traffic(wrong)


# What evidence does ---------------------------------------------------------------------------------------------------


def test_new_evidence_is_swapped_in_without_a_fit() -> None:
    adapter = ours(refit={"background": True})
    adapter.learn(lesson())
    executor = HeldExecutor()
    adapter.maintain(executor, 0.0)
    executor.run()
    adapter.maintain(executor, 1.0)
    before = adapter.predict(pictures()[0])
    adapter.hear("a", evidence())
    adapter.hear("a", evidence())  # the same again is nothing new
    assert adapter.changes_since_fit == 1
    adapter.maintain(executor, 10.0)
    assert adapter.changes_since_fit == 1
    assert same(before, adapter.predict(pictures()[0]))
    executor.run()
    adapter.maintain(executor, 11.0)
    assert (adapter.changes_since_fit, adapter.fit_number) == (0, 1)
    assert adapter.presence.digest == evidence().digest
    after = adapter.predict(pictures()[0])
    assert after.version != before.version
    assert after.version.split("-")[:3] == before.version.split("-")[:3]
    adapter.hear("a", None)
    adapter.maintain(executor, 20.0)
    executor.run()
    adapter.maintain(executor, 21.0)
    assert same(before, adapter.predict(pictures()[0]))


def test_a_class_that_the_traffic_shows_keeps_more_than_a_dormant_one() -> None:
    unlabelled = around(unit(TEXTS[4:5] + TEXTS[5:6] + 0.9 * TEXTS[:1]), 40, spread=0.3, seed=4)
    masses = {}
    for present in ((), (4,)):
        adapter = ours()
        adapter.learn(lesson())
        adapter.hear("a", evidence(present=present))
        answer = settle(adapter).predict(unlabelled)
        assert answer.kinds[4] == ("present" if present else "dormant")
        assert answer.aliveness[4] == (1.0 if present else adapter.aliveness[4])
        masses[present] = float(answer.adapted[:, 4].mean())
    assert masses[4,] > masses[()] + 0.1


def test_kinds_are_known_to_the_published_method_too() -> None:
    adapter = make(refit={"steps": 1})
    adapter.learn(lesson())
    adapter.hear("a", evidence(present=(5,)))
    answer = settle(adapter).predict(pictures()[0])
    assert list(answer.kinds) == ["labelled"] * 3 + ["dormant"] * 2 + ["present"] + ["dormant"] * 2
    assert len(answer.version.split("-")) == 3


# What labels do -------------------------------------------------------------------------------------------------------


def test_labels_teach_and_unlabelled_classes_keep_what_they_had() -> None:
    adapter = ours()
    adapter.learn(lesson(16))
    adapter.hear("a", evidence(present=(3, 4, 5, 6, 7)))
    settle(adapter)
    vectors, classes = pictures()
    answer = adapter.predict(vectors)
    assert (answer.zero_shot.argmax(axis=1) == classes).mean() < 0.4
    assert (answer.adapted.argmax(axis=1) == classes).mean() > 0.75
    np.testing.assert_allclose(answer.adapted.sum(axis=1), 1.0, atol=1e-4)
    unlabelled = np.concatenate([around(TEXTS[label : label + 1], 30, spread=0.6, seed=label) for label in range(3, 8)])
    truth = np.repeat(np.arange(3, 8), 30)
    answer = adapter.predict(unlabelled)
    accuracy, zero_shot = ((p.argmax(axis=1) == truth).mean() for p in (answer.adapted, answer.zero_shot))
    assert accuracy > zero_shot - 0.03


def test_before_labels_and_traffic_the_adapted_model_is_the_untouched_one() -> None:
    answer = ours().predict(pictures()[0])
    assert answer.adapted.tobytes() == answer.zero_shot.tobytes()


def test_without_a_label_the_traffic_alone_makes_answers_better() -> None:
    centres = unit(TEXTS[:3] + 2.0 * random_unit(3, D, seed=7))
    vectors, labels = around(centres, 40, spread=1.0, seed=4), np.repeat(np.arange(3), 40)
    adapter = ours()
    answer = adapter.predict(vectors)
    adapter.observe(TrafficWindow.of(answer.zero_shot, np.zeros(120, np.bool_), answer.adapted, vectors))
    adapter.hear("own", adapter.evidence())
    settle(adapter)
    after = adapter.predict(vectors)
    right = [(each.argmax(axis=1) == labels).mean() for each in (answer.zero_shot, after.adapted)]
    assert right[1] > right[0] + 0.02
    assert after.adapted.sum(axis=1) == pytest.approx(np.ones(120), abs=1e-5)
    assert after.zero_shot.tobytes() == answer.zero_shot.tobytes()
    assert after.version != answer.version


def test_what_was_learned_is_forgotten_at_once_and_then_the_traffic_alone_is_heard() -> None:
    adapter = ours()
    adapter.hear("a", evidence())
    settle(adapter)
    adapter.learn(lesson())
    adapter.maintain(INLINE, 0.0)
    adapter.forget([anchor.anchor_id for anchor in adapter.anchors()])
    answer = adapter.predict(pictures()[0])
    assert answer.adapted.tobytes() == answer.zero_shot.tobytes()
    settle(adapter)
    fresh = ours()
    fresh.hear("a", evidence())
    assert same(settle(fresh).predict(pictures()[0]), adapter.predict(pictures()[0]))


def test_an_anchor_that_came_after_the_fit_only_waits() -> None:
    adapter = ours(refit={"background": True}, residual={"neighbours": 30})
    executor = HeldExecutor()
    adapter.learn(lesson())
    adapter.maintain(executor, 0.0)
    executor.run()
    adapter.maintain(executor, 1.0)
    before = adapter.predict(pictures()[0])
    other = unit(TEXTS[6] + 0.1 * TEXTS[7])
    adapter.learn([Anchor("new", other, "g", 1)])
    after = adapter.predict(pictures()[0])
    np.testing.assert_allclose(after.adapted, before.adapted, atol=1e-6)
    assert adapter.predict(other[None]).neighbour_ids[0, 0] == "new"


def test_a_doubtful_label_does_little_harm() -> None:
    clean, mistaken = lesson(16), lesson(16)
    for index in (0, 20, 40):
        wrong = "bca"[index // 16 % 3] if index else "h"
        mistaken[index] = Anchor(mistaken[index].anchor_id, mistaken[index].vector, wrong, 0)
    vectors, classes = pictures()
    hits = []
    for anchors in (clean, mistaken):
        adapter = ours()
        adapter.learn(anchors)
        hits.append((settle(adapter).predict(vectors).adapted.argmax(axis=1) == classes).mean())
    assert hits[1] > hits[0] - 0.05


def test_every_size_of_batch_and_store_is_answered() -> None:
    adapter = ours()
    for count in (1, 2, 24):
        adapter.learn(lesson()[:count])
        settle(adapter)
        for size in (0, 1, 5):
            answer = adapter.predict(pictures()[0][:size])
            assert answer.adapted.shape == (size, 8)
            assert np.isfinite(answer.adapted).all()
    assert adapter.predict(np.empty((0, D), np.float32)).neighbour_ids.shape == (0, 16)
