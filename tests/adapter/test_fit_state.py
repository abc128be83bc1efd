"""A fit that comes back from a snapshot answers as the one that was saved, or not at all."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_adapter.adapter import Adapter, Anchor
from stream_adapter.adapter.presence_evidence import PresenceEvidence
from tests.adapter.small_adapters import CLASSES, INLINE, lesson, make, pictures, same

Arrays = dict[str, NDArray[Any]]


def evidence() -> PresenceEvidence:
    n = len(CLASSES)
    shares = np.full(n, 1.0 / n)
    return PresenceEvidence(100, 20, shares, np.linspace(0, 5, n), np.zeros(n), np.arange(n))


def learned(method: str = "ours", **config: Any) -> Adapter:
    adapter = make(method=method, **config)
    adapter.hear("one", evidence())
    adapter.learn(lesson())
    adapter.maintain(INLINE, 0.0)
    adapter.maintain(INLINE, 10.0)
    assert adapter.changes_since_fit == 0
    return adapter


def saved(adapter: Adapter) -> Arrays:
    return adapter.copy_state().finish().arrays()


def restored(arrays: Arrays, method: str = "ours", **config: Any) -> Adapter:
    adapter = make(method=method, **config)
    adapter.load_state(arrays)
    adapter.hear("one", evidence())
    adapter.take_evidence_in()
    return adapter


@pytest.mark.parametrize("method", ["ours", "llu"])
def test_it_answers_at_once_and_with_the_same_bits(method: str) -> None:
    before = learned(method)
    after = restored(saved(before), method)
    assert after.changes_since_fit == 0 and after.has_fit
    vectors, _ = pictures()
    assert same(before.predict(vectors), after.predict(vectors))
    assert not same(make(method=method).predict(vectors), after.predict(vectors))


def test_what_came_since_is_fitted_later_and_the_saved_fit_answers_until_then() -> None:
    before = learned()
    late = Anchor("late", pictures(1)[0][0], CLASSES[0], 99)
    arrays = saved(before)
    after = restored(arrays)
    after.follow([late])
    assert after.has_fit and after.changes_since_fit == 1
    after.maintain(INLINE, 100.0)
    before.follow([late])
    before.maintain(INLINE, 100.0)
    vectors, _ = pictures()
    assert same(before.predict(vectors), after.predict(vectors)), "fitted anew from the identity, as anywhere"


def test_under_other_settings_it_is_not_used() -> None:
    after = restored(saved(learned()), damping=0.9)
    assert not after.has_fit and after.changes_since_fit == after.n_anchors


def without(arrays: Arrays, name: str) -> Arrays:
    return {key: array for key, array in arrays.items() if key != name}


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: without(arrays, "fit.weight"),
        lambda arrays: without(arrays, "fit.top_logits"),
        lambda arrays: {**arrays, "fit.bias": arrays["fit.bias"][:1]},
        lambda arrays: {**arrays, "fit.classes": arrays["fit.classes"] + 100},
        lambda arrays: {**arrays, "fit.neighbours": -1 - arrays["fit.neighbours"]},
        lambda arrays: {**arrays, "fit.labelled": arrays["fit.labelled"].astype(np.int64)},
    ],
)
def test_one_that_does_not_fit_together_is_not_used(damage: Any) -> None:
    after = restored(damage(saved(learned())))
    assert not after.has_fit and after.changes_since_fit == after.n_anchors


def test_before_the_first_fit_there_is_nothing_to_save() -> None:
    assert not any(name.startswith("fit.") for name in saved(make()))
