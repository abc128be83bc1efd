import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.learner import LearnerContext
from stream_adapter.adapter.mixture.class_means import ClassMeans
from stream_adapter.adapter.mixture.mixture import Mixture
from tests.adapter.mixture.streams import (
    NAMES,
    PROBES,
    TEXTS,
    C,
    D,
    Stream,
    adapter,
    answers,
    copies,
    run,
    stream,
    unit,
)


def accuracy(of: Adapter, on: Stream) -> float:
    return float((of.predict(on.vectors).adapted.argmax(axis=1) == on.truth).mean())


def test_without_traffic_and_labels_it_answers_as_the_untouched_model():
    answer = adapter().predict(PROBES)
    np.testing.assert_array_equal(answer.adapted, answer.zero_shot)


def test_rows_are_probabilities():
    taught = adapter()
    run(taught, stream(300, 1), np.arange(0, 300, 3))
    answer = answers(taught)
    assert np.isfinite(answer).all() and (answer >= 0).all()
    np.testing.assert_allclose(answer.sum(axis=1), 1.0, atol=1e-5)


def test_it_gets_better_where_it_is_taught_and_where_it_is_not():
    taught, later = adapter(), stream(400, 2)
    seen = stream(600, 1)
    zero_shot = taught.predict(later.vectors).zero_shot.argmax(axis=1) == later.truth
    run(taught, seen, np.flatnonzero((np.arange(600) % 3 == 0) & (seen.truth < 3)))
    right = taught.predict(later.vectors).adapted.argmax(axis=1) == later.truth
    for group in (later.truth < 3, later.truth >= 3):
        assert right[group].mean() > zero_shot[group].mean() + 0.02


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 0.9), wrong=st.one_of(st.none(), st.integers(0, C - 1)))
def test_what_is_forgotten_was_never_labelled(seed, share, wrong):
    events = stream(260, seed)
    random = np.random.default_rng(seed)
    kept = np.flatnonzero(random.random(260) < 0.2)
    gone = np.setdiff1d(np.flatnonzero(random.random(260) < share), kept)
    forgetful, never = adapter(), adapter()
    for start in range(0, 260, 20):
        rows = np.arange(start, start + 20)
        for one, labels in ((forgetful, gone), (never, gone[:0])):
            right = events.anchors(rows[np.isin(rows, kept)])
            one.update([events.ids[row] for row in rows], events.vectors[rows], right)
            one.learn(events.anchors(rows[np.isin(rows, labels)], wrong))
    forgetful.forget([events.ids[row] for row in gone])
    for one in (forgetful, never):
        one.learn(())
    np.testing.assert_allclose(answers(forgetful), answers(never), atol=1e-6)


@pytest.mark.parametrize("traffic", [True, False])
def test_it_does_not_matter_when_it_is_asked(traffic):
    """The model is kept between changes of what it is made of, and no longer."""
    asked, silent, events = adapter(), adapter(), stream(160, 5)
    for start in range(0, 160, 40):
        rows = np.arange(start, start + 40)
        for one in (asked, silent):
            if traffic:
                one.update([events.ids[row] for row in rows], events.vectors[rows])
            if one is asked:
                answers(one)
            one.follow(events.anchors(rows[:10]))
            if one is asked:
                answers(one)
            one.follow(events.anchors(rows[10:11], wrong=3))
    np.testing.assert_allclose(answers(asked), answers(silent), atol=1e-5)


def test_copies_of_one_picture_count_once():
    once, often, seen, later = adapter(), adapter(), stream(500, 1), stream(500, 2)
    for one, count in ((once, 1), (often, 600)):
        run(one, seen)
        camera = copies(seen.vectors[0], count, int(seen.truth[0]), seed=5)
        run(one, camera, np.arange(count))
    weights = often.anchors.weights
    assert weights.sum() == pytest.approx(1.0, abs=0.05)
    assert accuracy(often, later) >= accuracy(once, later) - 0.02
    zero_shot = often.predict(later.vectors).zero_shot.argmax(axis=1) == later.truth
    assert accuracy(often, later) >= zero_shot.mean()


def test_a_thousand_wrong_labels_of_one_camera_are_undone_by_deleting_them():
    taught, seen, later = adapter(), stream(500, 1), stream(500, 2)
    run(taught, seen)
    camera = copies(seen.vectors[0], 1_000, int(seen.truth[0]), seed=5)
    run(taught, camera, np.arange(1_000), wrong=(int(seen.truth[0]) + 1) % 6)
    never = adapter()
    run(never, seen)
    run(never, camera)
    taught.forget(camera.ids)
    taught.learn(())
    np.testing.assert_allclose(answers(taught), answers(never), atol=1e-5)
    assert accuracy(taught, later) >= (taught.predict(later.vectors).zero_shot.argmax(axis=1) == later.truth).mean()


def exchange(workers: list[Adapter]) -> None:
    """All records of all workers reach all of them, their own included."""
    for one in workers:
        records = one.records()
        for other in workers:
            other.follow((), records)


def test_workers_with_the_same_anchors_and_records_give_the_same_answers():
    workers = [adapter(LearnerContext(slot=name, publishes=True)) for name in ("a", "b")]
    streams = [stream(400, 1, name="a"), stream(400, 2, name="b")]
    for start in range(0, 400, 40):
        for number, (one, of) in enumerate(zip(workers, streams, strict=True)):
            rows = np.arange(start, start + 40)
            anchors = of.anchors(rows[::4])
            one.update([of.ids[row] for row in rows], of.vectors[rows], anchors)
            workers[1 - number].follow(anchors)
        exchange(workers)
    for one in workers:
        one.learn(())
    exchange(workers)
    np.testing.assert_allclose(answers(workers[0]), answers(workers[1]), atol=1e-6)
    assert workers[0].version == workers[1].version
    # Both know what the other's traffic showed.
    assert workers[0]._learner._labelled.evidence.events == 800  # type: ignore[attr-defined]


def test_records_of_either_kind_are_followed_without_the_other():
    other = adapter(LearnerContext(slot="other", publishes=True), reach=0.6)
    run(other, stream(200, 1), np.arange(0, 200, 4))
    records = dict(other.records())
    kinds = [{key: records[key]} for key in ("evidence/other", "traffic/other")]
    whole, *parts = (adapter(reach=0.6) for _ in range(3))
    whole.follow(list(other.anchors), kinds[0] | kinds[1])
    for one, order in zip(parts, (kinds, kinds[::-1]), strict=True):
        one.follow(list(other.anchors), order[0])
        assert abs(answers(one) - answers(whole)).max() > 1e-3, "or it would not matter"
        one.follow((), order[1])
        np.testing.assert_allclose(answers(one), answers(whole), atol=1e-6)


def test_a_slot_that_is_withdrawn_is_forgotten():
    workers = [adapter(LearnerContext(slot=name, publishes=True)) for name in ("a", "b")]
    run(workers[0], stream(200, 1))
    run(workers[1], stream(200, 2))
    exchange(workers)
    alone = answers(workers[0])
    workers[0].follow((), {"evidence/b": None})
    assert abs(answers(workers[0]) - alone).max() > 1e-4


@pytest.mark.parametrize("protection", [0.0, 0.05, 0.4])
def test_far_from_every_anchor_labels_change_nothing(protection):
    local, untaught = (adapter(protection=protection, reach=0.5) for _ in range(2))
    seen = stream(400, 1)
    run(local, seen, np.flatnonzero(seen.truth == 0)[::2])
    run(untaught, seen)
    cosines = PROBES @ seen.vectors[np.flatnonzero(seen.truth == 0)[::2]].T
    far, near = cosines.max(axis=1) < 0.5, cosines.max(axis=1) > 0.75
    assert far.sum() > 50 and near.sum() >= 8
    np.testing.assert_array_equal(answers(local)[far], answers(untaught)[far])
    everywhere = adapter(protection=protection)
    run(everywhere, seen, np.flatnonzero(seen.truth == 0)[::2])
    np.testing.assert_allclose(answers(local)[near], answers(everywhere)[near], atol=1e-6)


@pytest.mark.parametrize("reach", [None, 0.6])
def test_a_restored_adapter_answers_the_same_and_goes_on_the_same(reach):
    first, second = adapter(reach=reach), adapter(reach=reach)
    run(first, stream(300, 1), np.arange(0, 300, 3))
    second.restore({**first.copy().finish().arrays(), **first.learner_state()})
    np.testing.assert_allclose(answers(second), answers(first), atol=2e-6)  # float32 products of other shapes
    for one in (first, second):
        run(one, stream(300, 2), np.arange(0, 300, 5))
    np.testing.assert_allclose(answers(second), answers(first), atol=1e-5)


def test_what_others_said_of_their_traffic_is_in_a_replicas_snapshot():
    worker = adapter(LearnerContext(slot="worker", publishes=True))
    run(worker, stream(300, 1), np.arange(0, 300, 3))
    said = {**worker.records()}
    first, second, silent = adapter(), adapter(), adapter()
    first.follow(list(worker.anchors), said)
    silent.follow(list(worker.anchors))
    run(first, stream(40, 5))  # so that there is a window
    second.restore({**first.copy().finish().arrays(), **first.learner_state()})
    np.testing.assert_allclose(answers(second), answers(first), atol=1e-6)
    assert np.abs(answers(first) - answers(silent)).max() > 0.01, "or it would not matter"


def test_what_a_restored_window_says_is_told_before_the_next_event_comes():
    first, second = (adapter(LearnerContext(slot="worker", publishes=True)) for _ in range(2))
    run(first, stream(100, 1))
    second.restore({**first.copy().finish().arrays(), **first.learner_state()})
    second.learn(())
    assert "evidence/worker" in second.records()


def test_from_the_anchors_alone_it_answers_too():
    first, second = adapter(), adapter()
    run(first, stream(300, 1), np.arange(0, 300, 2))
    second.follow(list(first.anchors))
    later = stream(300, 2)
    assert accuracy(second, later) > (second.predict(later.vectors).zero_shot.argmax(axis=1) == later.truth).mean()


def test_numpy_and_torch_agree():
    one, other = adapter(), adapter(LearnerContext(device="cpu"))
    for learner in (one, other):
        run(learner, stream(300, 1), np.arange(0, 300, 3))
    np.testing.assert_allclose(answers(one), answers(other), atol=1e-4)


def test_classes_come_go_and_change_their_names():
    before = adapter()
    run(before, stream(300, 1), np.arange(0, 300, 2))
    again = adapter()
    run(again, stream(300, 1), np.arange(0, 300, 2))
    more = [*NAMES, "new"]
    again.set_classes(np.concatenate([TEXTS, unit(np.ones(D))[None]]), more)
    assert again.predict(PROBES).adapted.shape == (len(PROBES), C + 1)
    again.set_classes(TEXTS, NAMES)
    np.testing.assert_allclose(answers(again), answers(before), atol=1e-4)
    order = np.roll(np.arange(C), 5)
    again.set_classes(TEXTS[order], [f"renamed {NAMES[i]}" for i in order], {name: f"renamed {name}" for name in NAMES})
    assert again.n_anchors == before.n_anchors
    np.testing.assert_allclose(answers(again), answers(before)[:, order], atol=1e-4)


def test_what_is_known_of_the_other_classes_stays_when_one_is_added():
    taught = adapter(LearnerContext(clock=lambda: 0.0))
    run(taught, stream(300, 1), np.arange(0, 300, 2))
    taught.set_classes(np.concatenate([unit(np.ones(D))[None], TEXTS]), ["new", *NAMES])
    mixture = taught._learner
    assert isinstance(mixture, Mixture)
    estimate = mixture._labelled
    anew = ClassMeans(estimate._sums, estimate.evidence, estimate.model.prior, estimate.model.root, mixture._backend)
    zero_shot = taught.predict(PROBES).zero_shot
    np.testing.assert_allclose(answers(taught), anew.answer(PROBES, zero_shot.copy()), atol=1e-6)


def test_an_event_that_comes_again_is_no_new_traffic_and_its_label_counts():
    once, again, events = adapter(), adapter(), stream(200, 1)
    labels = events.anchors(np.arange(0, 200, 4))
    run(once, events, np.arange(0, 200, 4))
    run(again, events)
    run(again, events)
    again.learn(labels)
    np.testing.assert_allclose(answers(once), answers(again), atol=1e-5)
