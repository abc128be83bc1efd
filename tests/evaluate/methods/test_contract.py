"""What every method promises, whatever it does."""

import numpy as np
import pytest

from stream_adapter.config import AdapterConfig, AnchorsConfig, LatentUpdatesConfig, RefitConfig
from stream_adapter.evaluate.methods import METHODS, Batch, CanForget, Lessons, Method, Task, check_methods
from tests.evaluate.data import make_features

FEATURES = make_features(96)
LLU = LatentUpdatesConfig(refit=RefitConfig(steps=10))
ADAPTER = AdapterConfig(anchors=AnchorsConfig(neighbours=4), llu=LLU)
NOTHING = Lessons(FEATURES.vectors[:0], np.zeros(0, np.int64), np.zeros(0, np.int64))


def make(name: str) -> Method:
    return METHODS[name](Task(FEATURES.vocabulary, ("house",), 0, ADAPTER))


def taught(name: str) -> Method:
    """After two batches, of which all but class 3 were labelled."""
    method = make(name)
    for start in (0, 24):
        rows = np.arange(start, start + 24)
        rows_taught = rows[FEATURES.labels[rows] != 3]
        method.predict(FEATURES.vectors[rows])
        lessons = Lessons(FEATURES.vectors[rows_taught], FEATURES.labels[rows_taught], rows_taught)
        method.update(Batch(FEATURES.vectors[rows], rows), lessons)
    return method


@pytest.mark.parametrize("name", METHODS)
def test_answers_are_probabilities(name: str) -> None:
    for method in (make(name), taught(name)):
        answer = method.predict(FEATURES.vectors[48:])
        assert answer.shape == (48, 6)
        assert answer.dtype == np.float32
        assert (answer >= 0).all()
        np.testing.assert_allclose(answer.sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_prediction_changes_nothing(name: str) -> None:
    method = taught(name)
    first = method.predict(FEATURES.vectors[48:72])
    method.predict(FEATURES.vectors[72:])
    np.testing.assert_array_equal(method.predict(FEATURES.vectors[48:72]), first)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_stream_gives_the_same_answers(name: str) -> None:
    first, second = (taught(name).predict(FEATURES.vectors[48:]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"lsa", "stata", "last-label", "default", "online-mixture"}))
def test_before_any_label_the_answer_is_zero_shot(name: str) -> None:
    method = make(name)
    method.update(Batch(FEATURES.vectors[:24], np.arange(24)), NOTHING)
    zero_shot = make("zero-shot").predict(FEATURES.vectors[48:])
    np.testing.assert_allclose(method.predict(FEATURES.vectors[48:]), zero_shot, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["tip-adapter", "knn", "slda", "ranpac", "rail", "anytime", "kernel-ridge", "online-mixture"]
)
def test_labels_help_the_classes_that_have_them(name: str) -> None:
    features = make_features(480, shift=1.5)
    lessons, tests = np.split(np.flatnonzero(features.labels != 3), 2)
    method = METHODS[name](Task(features.vocabulary, ("house",)))
    truth = features.labels[tests]
    before = method.predict(features.vectors[tests]).argmax(axis=1) == truth
    method.update(
        Batch(features.vectors[:0], lessons[:0]), Lessons(features.vectors[lessons], features.labels[lessons], lessons)
    )
    after = method.predict(features.vectors[tests]).argmax(axis=1) == truth
    assert after.mean() > before.mean() + 0.05


FORGETTING = [name for name in METHODS if isinstance(make(name), CanForget)]


def test_these_methods_can_forget() -> None:
    assert {"zero-shot", "tip-adapter", "knn", "nearest-or-zero-shot", "kernel-ridge", "lsa", "stata"} <= set(
        FORGETTING
    )


@pytest.mark.parametrize("name", FORGETTING)
def test_what_is_forgotten_was_never_learned(name: str) -> None:
    """The events stay traffic: the answers are those of the same events with the other labels alone."""
    method, never = make(name), make(name)
    dropped = np.arange(10, 30)
    for start in (0, 24):
        rows = np.arange(start, start + 24)
        kept = np.setdiff1d(rows, dropped)
        for learner, labelled in ((method, rows), (never, kept)):
            learner.predict(FEATURES.vectors[rows])
            lessons = Lessons(FEATURES.vectors[labelled], FEATURES.labels[labelled], labelled)
            learner.update(Batch(FEATURES.vectors[rows], rows), lessons)
    assert isinstance(method, CanForget)
    before = method.predict(FEATURES.vectors)
    method.forget(np.concatenate([dropped, [999]]))
    after = method.predict(FEATURES.vectors)
    np.testing.assert_allclose(after, never.predict(FEATURES.vectors), atol=1e-5)
    if name not in {"zero-shot", "lsa", "stata"}:
        assert np.abs(after - before).max() > 0.01


@pytest.mark.parametrize("name", ["lsa", "stata"])
def test_methods_without_labels_do_not_look_at_them(name: str) -> None:
    method = make(name)
    for start in (0, 24):
        method.update(Batch(FEATURES.vectors[start : start + 24], np.arange(start, start + 24)), NOTHING)
    np.testing.assert_array_equal(method.predict(FEATURES.vectors[48:]), taught(name).predict(FEATURES.vectors[48:]))


def test_every_method_names_its_reference() -> None:
    import importlib
    import pkgutil

    from stream_adapter.evaluate import methods

    for module in pkgutil.iter_modules(methods.__path__):
        if module.name not in {"base", "live", "ridge"}:
            text = importlib.import_module(f"{methods.__name__}.{module.name}").__doc__ or ""
            assert "Reference" in text, module.name


def test_names_are_checked_and_each_counts_once() -> None:
    assert check_methods(["knn", "default", "knn"]) == ("knn", "default")
