import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.learner import ClassKind
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.features import UNKNOWN, Features
from stream_adapter.evaluate.methods import METHODS, Batch, Lessons, Method, Task
from stream_adapter.evaluate.stream import StreamPlan, StreamSettings, batches, plan_stream, run_stream
from tests.evaluate.data import make_features

FEATURES = make_features(240, unknown=12)


class Watcher:
    """Answers nothing of interest and writes down what it is told, in order."""

    def __init__(self, n_classes: int) -> None:
        self._n_classes = n_classes
        self.told: list[tuple[str, list[int]]] = []

    def predict(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        self.told.append(("predict", [len(vectors)]))
        return np.full((len(vectors), self._n_classes), 1.0 / self._n_classes, np.float32)

    def update(self, batch: Batch, lessons: Lessons) -> None:
        self.told.append(("traffic", batch.ids.tolist()))
        self.told.append(("lessons", lessons.ids.tolist()))

    def class_kinds(self) -> Sequence[ClassKind] | None:
        return None


def is_canary(plan: StreamPlan) -> NDArray[np.bool_]:
    return (plan.truth != UNKNOWN) & plan.canary[plan.truth]


plans = st.builds(
    StreamSettings,
    label_rate=st.floats(0, 1),
    canaries=st.sampled_from([0.0, 0.3, 0.5, ("house", "cat")]),
    canary_rate=st.sampled_from([0.1, 0.5, 1.0]),
    canaries_after=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    events=st.integers(1, 300),
    delay=st.integers(0, 100),
    label_noise=st.sampled_from([0.0, 0.2, 1.0]),
    select=st.sampled_from(["random", "least-confident", "most-confident"]),
    order=st.sampled_from(["shuffled", "by-domain"]),
    batch=st.integers(1, 70),
)


@settings(deadline=None)
@given(plans, st.integers(0, 5))
def test_a_plan_keeps_its_promises(chosen: StreamSettings, seed: int) -> None:
    plan = plan_stream(FEATURES, chosen, seed)
    assert len(np.unique(plan.rows)) == len(plan), "no event comes twice"
    np.testing.assert_array_equal(plan.truth, FEATURES.labels[plan.rows])
    assert len(plan) <= max(chosen.events, 2)
    taught = plan.taught != UNKNOWN
    assert not (taught & is_canary(plan)).any(), "no canary is taught"
    assert not (taught & (plan.truth == UNKNOWN)).any(), "what the vocabulary lacks is not taught"
    assert not plan.canary[plan.taught[taught]].any(), "not even by a wrong label"
    others = int((~is_canary(plan)).sum())
    head = int(min(chosen.canaries_after * len(plan), others))
    assert not is_canary(plan)[:head].any(), "no canary comes too early"


@settings(deadline=None)
@given(plans, st.integers(0, 5))
def test_every_label_is_learned_once_after_its_event_and_its_delay(chosen: StreamSettings, seed: int) -> None:
    plan = plan_stream(FEATURES, chosen, seed)
    watcher = Watcher(6)
    answers = run_stream(watcher, FEATURES, plan, chosen, lambda events: None)
    assert len(answers) == len(plan)
    predicted = 0
    learned: list[int] = []
    for what, values in watcher.told:
        if what == "predict":
            predicted += values[0]
        elif what == "lessons":
            assert all(position + chosen.delay < predicted for position in values)
            learned += values
    assert learned == [p for p in np.flatnonzero(plan.taught != UNKNOWN).tolist() if p + chosen.delay < len(plan)]


def test_the_draws_of_one_purpose_do_not_depend_on_the_options_of_another() -> None:
    plain = plan_stream(FEATURES, StreamSettings(events=200), 1)
    noisy = plan_stream(FEATURES, StreamSettings(events=200, label_noise=0.5), 1)
    np.testing.assert_array_equal(plain.rows, noisy.rows)
    np.testing.assert_array_equal(plain.taught != UNKNOWN, noisy.taught != UNKNOWN)
    wrong = (noisy.taught != plain.taught)[plain.taught != UNKNOWN]
    assert 0.3 < wrong.mean() < 0.7


def test_all_labels_wrong_are_spread_over_the_other_taught_classes() -> None:
    plan = plan_stream(make_features(2400), StreamSettings(label_rate=1.0, label_noise=1.0, canaries=("cat",)), 0)
    of_dogs = plan.taught[(plan.truth == 1)]
    assert set(of_dogs.tolist()) == {2, 3, 4, 5}
    assert np.bincount(of_dogs)[2:].min() > 70  # of 400, 100 each are expected


def test_rare_canaries_keep_a_share_of_each_class() -> None:
    plan = plan_stream(FEATURES, StreamSettings(canaries=("dog", "house"), canary_rate=0.25), 0)
    counts = np.bincount(plan.truth[plan.truth >= 0], minlength=6)
    assert counts[[1, 3]].tolist() == [round(0.25 * 38), round(0.25 * 38)]
    assert counts[[0, 2, 4, 5]].tolist() == [38, 38, 38, 38]


def test_by_domain_takes_as_many_of_each_in_the_files_order() -> None:
    plan = plan_stream(FEATURES, StreamSettings(order="by-domain", events=100), 0)
    assert FEATURES.domains[plan.rows].tolist() == ["photo"] * 50 + ["cartoon"] * 50


def test_recorded_is_the_files_order_without_the_canaries_that_the_rate_leaves_out() -> None:
    chosen = StreamSettings(order="recorded", canaries=("cat",), canary_rate=0.5, events=150)
    plan = plan_stream(FEATURES, chosen, 0)
    assert len(plan) == 150
    assert (np.diff(plan.rows) > 0).all(), "ascending rows"
    left_out = np.setdiff1d(np.arange(plan.rows.max()), plan.rows)
    assert set(FEATURES.labels[left_out].tolist()) == {0}
    everything = plan_stream(FEATURES, StreamSettings(order="recorded"), 0)
    np.testing.assert_array_equal(everything.rows, np.arange(240))


@pytest.mark.parametrize("delay", [0, 30])
def test_the_first_labels_of_canaries_are_learned_and_not_scored(delay: int) -> None:
    chosen = StreamSettings(canaries=("cat", "house"), canary_labels=3, label_rate=0.3, label_noise=0.5, delay=delay)
    plain = plan_stream(FEATURES, dataclasses.replace(chosen, canary_labels=0), 1)
    plan = plan_stream(FEATURES, chosen, 1)
    np.testing.assert_array_equal(plan.rows, plain.rows)
    truth = FEATURES.labels[plan.rows]
    changed = np.flatnonzero(plan.taught != plain.taught)
    for label in (0, 3):
        first = np.flatnonzero(truth == label)[:3]
        assert plan.taught[first].tolist() == [label] * 3, "rightly, whatever the noise"
        assert (plan.truth[first] == UNKNOWN).all()
        assert set(first) <= set(changed)
    assert len(changed) == 6
    made: list[tuple[str, ...]] = []

    def make(never: tuple[str, ...]) -> Method:
        made.append(never)
        return METHODS["zero-shot"](Task(FEATURES.vocabulary, never))

    outcome = chosen.run(FEATURES, make, 1, lambda n: None)
    assert made == [()], "no class is kept from the method"
    assert outcome.held_out == ("cat", "house")
    (canary,) = [sample.figures for sample in outcome.samples if (sample.group, sample.domain) == ("canary", "all")]
    assert canary.events == int(np.isin(truth, [0, 3]).sum()) - 6


def test_held_back_canaries_all_come_and_spread_over_the_rest() -> None:
    plan = plan_stream(make_features(600), StreamSettings(canaries=("cat", "dog"), canaries_after=0.5, events=600), 0)
    places = np.flatnonzero(is_canary(plan))
    assert len(places) == 200
    assert places.min() >= 300
    assert 430 < places.mean() < 470


def confidence(features: Features, plan: StreamPlan) -> NDArray[np.float32]:
    return METHODS["zero-shot"](Task(features.vocabulary)).predict(features.vectors[plan.rows]).max(axis=1)


def test_labels_for_the_least_and_the_most_confident() -> None:
    features = make_features(1200)
    for select, sign in (("least-confident", 1), ("most-confident", -1)):
        plan = plan_stream(features, StreamSettings(select=select, canaries=0.0, label_rate=0.3), 0)  # type: ignore[arg-type]
        chosen = plan.taught != UNKNOWN
        sure = confidence(features, plan)
        assert 0.25 < chosen.mean() < 0.35
        # Once the running quantile has settled, the two groups hardly overlap.
        assert sign * (sure[200:][~chosen[200:]].mean() - sure[200:][chosen[200:]].mean()) > 0.15
        edge = np.quantile(sure, 0.3 if sign == 1 else 0.7)
        wrong_side = (sure[200:] > edge) if sign == 1 else (sure[200:] < edge)
        assert (wrong_side & chosen[200:]).mean() < 0.03


def test_a_batch_of_the_plan_has_its_own_vectors_and_labels() -> None:
    chosen = StreamSettings(batch=32, delay=40, label_rate=1.0, canaries=0.0)
    plan = plan_stream(FEATURES, chosen, 0)
    for batch, lessons, truth in batches(FEATURES, plan, chosen):
        np.testing.assert_array_equal(batch.vectors, FEATURES.vectors[plan.rows[batch.ids]])
        np.testing.assert_array_equal(truth, plan.truth[batch.ids])
        np.testing.assert_array_equal(lessons.vectors, FEATURES.vectors[plan.rows[lessons.ids]])
        np.testing.assert_array_equal(lessons.classes, plan.taught[lessons.ids])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"label_rate": 1.1}, "label-rate must be between 0 and 1, found 1.1"),
        ({"label_noise": -0.1}, "label-noise must be between"),
        ({"events": 0}, "events must be at least 1, found 0"),
        ({"delay": -1}, "delay must be at least 0"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"canary_labels": -1}, "canary-labels must be at least 0, found -1"),
        ({"canary_labels": 1, "canaries": 0.0}, "canary-labels is 1, but there are no canaries"),
        ({"order": "recorded", "canaries_after": 0.5}, "out of the file's order"),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float | str], said: str) -> None:
    with pytest.raises(EvaluationError, match=said):
        StreamSettings(**wrong)  # type: ignore[arg-type]


def test_somebody_must_be_left_to_teach() -> None:
    everything = StreamSettings(canaries=FEATURES.vocabulary.class_names)
    with pytest.raises(EvaluationError, match="none is left to teach"):
        plan_stream(FEATURES, everything, 0)


def test_groups_and_domains_of_an_outcome_add_up() -> None:
    chosen = StreamSettings(events=240)
    outcome = chosen.run(
        FEATURES, lambda never: METHODS["zero-shot"](Task(FEATURES.vocabulary, never)), 0, lambda n: None
    )
    events = {(sample.group, sample.domain): sample.figures.events for sample in outcome.samples}
    assert events["labelled", "all"] + events["canary", "all"] == 228
    for group in ("labelled", "canary"):
        assert events[group, "photo"] + events[group, "cartoon"] == events[group, "all"]
    assert outcome.trace is not None
    assert len(outcome.trace.answers) == 240
    assert len(outcome.held_out) == 2


def test_what_tells_most_is_asked_once_it_was_predicted_and_learned_at_once() -> None:
    chosen = StreamSettings(label_rate=0.1, canaries=0.3, events=240, select="next", batch=20)
    plan = plan_stream(FEATURES, chosen, 0)
    assert (plan.taught == UNKNOWN).all()
    watcher = Watcher(len(FEATURES.vocabulary.class_names))
    run_stream(watcher, FEATURES, plan, chosen, lambda _: None)
    learned: list[int] = []
    newest = -1
    for what, ids in watcher.told:
        if what == "traffic":
            newest = max(ids)
        elif what == "lessons":
            assert all(id <= newest for id in ids)
            learned += ids
    taught = np.flatnonzero(plan.taught != UNKNOWN)
    assert sorted(learned) == taught.tolist()
    assert (plan.taught[taught] == plan.truth[taught]).all() and not plan.canary[plan.taught[taught]].any()
    # As least-confident: a tenth, and about ln 240 more; those of canaries and of no class are asked about in vain.
    assert 10 <= len(learned) <= 29


def test_first_labels_of_canaries_are_learned_beside_what_is_asked_for() -> None:
    chosen = StreamSettings(label_rate=0.1, canaries=0.3, canary_labels=2, events=240, select="next", batch=20)
    plan = plan_stream(FEATURES, chosen, 0)
    first = np.flatnonzero(plan.taught != UNKNOWN).tolist()
    assert len(first) == 4
    watcher = Watcher(len(FEATURES.vocabulary.class_names))
    run_stream(watcher, FEATURES, plan, chosen, lambda _: None)
    learned = [id for what, ids in watcher.told if what == "lessons" for id in ids]
    assert set(first) < set(learned) and len(learned) == len(set(learned))


@pytest.mark.parametrize("unfit", [{"delay": 5}, {"label_noise": 0.1}])
def test_who_is_asked_answers_rightly_and_at_once(unfit: dict[str, float]) -> None:
    with pytest.raises(EvaluationError, match="leave out delay and label-noise"):
        StreamSettings(select="next", **unfit)  # type: ignore[arg-type]
