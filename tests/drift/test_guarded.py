"""A learner under the guard: only what it publishes is another."""

import numpy as np

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.protection import LEVEL_KEY
from stream_adapter.drift.guard import Guard
from stream_adapter.drift.guarded import Guarded
from stream_adapter.drift.protecting import ProtectionLevel
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


def test_what_one_worker_measures_holds_for_all_once_it_is_told() -> None:
    workers = []
    for _ in range(2):
        level = ProtectionLevel(2, tolerance=0.01, alpha=0.01, min_labels=50)
        config = adapter_config().model_copy(update={"protection": 0.3})
        guard = Guard(len(CLASSES))
        made = Adapter(
            TEXT_VECTORS, CLASSES, 10.0, config, guard=lambda one, g=guard, p=level: Guarded(one, lambda: g, lambda: p)
        )
        workers.append((level, made))
    (level, one), (other_level, other) = workers
    versions = one.version, other.version
    assert LEVEL_KEY not in one.records()
    level.observe(np.full(60, -1))
    assert level.factor == 2.0 and one.version == versions[0], "nothing before it is told"
    told = one.records()
    assert told[LEVEL_KEY] == b"1"
    for adapter in (one, other):
        adapter.follow((), told)
    assert LEVEL_KEY not in one.records() and LEVEL_KEY not in other.records()
    assert other_level.factor == 2.0 and one.version != versions[0] and other.version != versions[1]
    one.follow((), {LEVEL_KEY: None})
    assert level.factor == 1.0 and one.version == versions[0]
