"""`Adapter.update` does all of it or nothing, whatever the learner does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.config import AnchorsConfig
from tests.fakes import CLASSES, TEXT_VECTORS, D, adapter_config, unit
from tests.learners import ClassMeans

VECTORS = unit(np.random.default_rng(3).normal(size=(6, D)))


def anchor(id: str, vector: int, label: str, time: int = 0) -> Anchor:
    return Anchor(id, VECTORS[vector], label, time)


def adapter_of(**more: Any) -> Adapter:
    config = adapter_config(anchors=AnchorsConfig(budget=3, index="exact", neighbours=2), **more)
    adapter = Adapter(TEXT_VECTORS, CLASSES, 10.0, config)
    adapter.learn([anchor("a", 0, "cat"), anchor("b", 1, "dog"), anchor("c", 2, "dog")])
    return adapter


def test_what_the_learner_refuses_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter, same = adapter_of(), adapter_of()
    learner = adapter._learner
    assert isinstance(learner, ClassMeans)
    lesson = [anchor("a", 0, "dog", 9), anchor("d", 3, "cat"), anchor("e", 4, "horse")]  # corrects, adds, prunes
    monkeypatch.setitem(ClassMeans.fails_at, "update", lambda vectors: True)
    with pytest.raises(ZeroDivisionError):
        adapter.update(["d"], VECTORS[3:4], lesson)
    monkeypatch.undo()
    assert adapter.anchors_digest == same.anchors_digest
    assert learner.labelled == adapter.n_anchors == 3 and learner.keys == []
    np.testing.assert_array_equal(adapter.predict(VECTORS).neighbour_ids, same.predict(VECTORS).neighbour_ids)
    for one in (adapter, same):
        result = one.update(["d"], VECTORS[3:4], lesson)
        assert {"d", "e"} <= set(result.written), "the labels are news again"
    assert adapter.anchors_digest == same.anchors_digest
    assert learner.labelled == 3


SHADOW_STEPS: dict[str, Callable[[Adapter], object]] = {
    "predict": lambda adapter: adapter.shadow_answer(VECTORS),
    "update": lambda adapter: adapter.update(["x"], VECTORS[:1]),
    "follow": lambda adapter: adapter.follow([anchor("d", 3, "cat")]),
    "forget": lambda adapter: adapter.forget(["a"]),
    "set_classes": lambda adapter: adapter.set_classes(TEXT_VECTORS[:2], CLASSES[:2]),
}


@pytest.mark.parametrize("step", SHADOW_STEPS)
def test_a_method_in_the_shadow_that_fails_is_left_out(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter, alone = adapter_of(shadow="class-means"), adapter_of()
    assert adapter.shadow_answer(VECTORS) is not None
    works = getattr(ClassMeans, step)

    def fail(self: ClassMeans, *more: Any) -> Any:
        if self is adapter._learner or self is alone._learner:
            return works(self, *more)
        raise ZeroDivisionError

    monkeypatch.setattr(ClassMeans, step, fail)
    for one in (adapter, alone):
        SHADOW_STEPS[step](one)
    monkeypatch.undo()
    assert adapter.shadow_answer(VECTORS) is None
    assert adapter.predict(VECTORS).adapted.tobytes() == alone.predict(VECTORS).adapted.tobytes()
