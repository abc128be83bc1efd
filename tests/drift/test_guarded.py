"""A learner under the guard: only what it publishes is another."""

import numpy as np

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.drift.guard import Guard
from stream_adapter.drift.guarded import Guarded
from tests.fakes import CLASSES, TEXT_VECTORS, adapter_config, unit

HOUSE = CLASSES.index("house")
PICTURES = unit(TEXT_VECTORS[[HOUSE, 0]] + 0.8 * TEXT_VECTORS[1])  # a house and a cat, in part dogs


def adapters() -> tuple[Guard, Adapter, Adapter]:
    """A guarded one and a free one that have learned the same."""
    guard = Guard(len(CLASSES))
    config = adapter_config()
    guarded = Adapter(TEXT_VECTORS, CLASSES, 10.0, config, guard=lambda learner: Guarded(learner, lambda: guard))
    free = Adapter(TEXT_VECTORS, CLASSES, 10.0, config)
    for adapter in (guarded, free):
        adapter.update(["a"], PICTURES[:1], [Anchor("a", unit(TEXT_VECTORS[1] + 0.5 * PICTURES[0]), "dog", 0)])
    return guard, guarded, free


def test_a_guard_that_holds_nothing_back_changes_nothing() -> None:
    _, guarded, free = adapters()
    one, other = guarded.predict(PICTURES), free.predict(PICTURES)
    np.testing.assert_array_equal(one.adapted, other.adapted)
    assert one.version == other.version
    assert np.abs(one.adapted - one.zero_shot).max() > 0.01, "the learner has something to hold back"


def test_what_is_published_is_held_back_and_what_the_learner_says_is_kept_beside_it() -> None:
    guard, guarded, free = adapters()
    before = guarded.version
    guard.lower([HOUSE], labels=40, difference=-0.3, row=0)
    one, other = guarded.predict(PICTURES), free.predict(PICTURES)
    np.testing.assert_array_equal(one.undamped, other.undamped)
    np.testing.assert_array_equal(one.adapted[0], one.zero_shot[0])
    np.testing.assert_allclose(one.adapted[1], other.adapted[1], rtol=1e-5)
    assert guarded.version != before, "another version answers now"


def test_all_else_is_the_learners() -> None:
    _, guarded, free = adapters()
    for adapter in (guarded, free):
        adapter.forget(["a"])
        adapter.follow([Anchor("b", PICTURES[1], "cat", 0)], {"evidence/x": b"1"})
    assert guarded.version == free.version
    assert guarded.kinds == free.kinds and guarded.pending == 0
    np.testing.assert_array_equal(guarded.predict(PICTURES).adapted, free.predict(PICTURES).adapted)
    state = guarded.learner_state()
    assert list(state) == ["learner.keys"]
    guarded.restore({**guarded.copy().finish().arrays(), **state})
    assert guarded.learner_state()["learner.keys"].tolist() == state["learner.keys"].tolist()
