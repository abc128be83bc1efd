"""The verdict `unknown`: its rate of false alarms on exchangeable data, and what it is a function of."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.config import AdapterConfig

D, C = 24, 6
NAMES = [f"class {number}" for number in range(C)]
TEXTS = np.eye(C, D, dtype=np.float32)


def unit(rows: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def events(random: np.random.Generator, number: int, spread: float = 0.3) -> tuple[NDArray[np.float32], list[str]]:
    """Pictures of known classes, all drawn alike."""
    labels = random.integers(C, size=number)
    return unit(TEXTS[labels] + spread * random.normal(size=(number, D))), [NAMES[label] for label in labels]


def adapter(rate: float = 0.1, **changes: Any) -> Adapter:
    return Adapter(TEXTS, NAMES, 20.0, AdapterConfig(unknown_rate=rate, **changes))


def teach(model: Adapter, vectors: NDArray[np.float32], labels: list[str], first: int = 0) -> None:
    model.learn(
        [
            Anchor(f"e{first + at}", v, label, first + at)
            for at, (v, label) in enumerate(zip(vectors, labels, strict=True))
        ]
    )


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rate=st.sampled_from([0.05, 0.1, 0.3]), number=st.integers(40, 200))
def test_events_of_known_classes_are_called_unknown_at_most_as_often_as_is_set(
    seed: int, rate: float, number: int
) -> None:
    random, called = np.random.default_rng(seed), []
    for _ in range(40):
        model = adapter(rate)
        teach(model, *events(random, number))
        said = model.predict(events(random, 100)[0]).unknown
        assert said is not None
        called.append(said.mean())
    # The mean over draws is at most `rate`; how far this one may be off by chance: five standard errors.
    assert np.mean(called) <= rate + 5 * np.std(called) / np.sqrt(len(called))


def test_what_is_of_no_class_is_mostly_found() -> None:
    random, model = np.random.default_rng(0), adapter()
    teach(model, *events(random, 300))
    strange = unit(np.eye(D)[random.integers(C, D, 200)] + 0.3 * random.normal(size=(200, D)))
    said = model.predict(strange)
    assert said.unknown is not None
    assert said.unknown.mean() > 0.6
    assert said.none_of_these.mean() > 2 * model.predict(events(random, 200)[0]).none_of_these.mean()


def test_too_few_labels_say_nothing() -> None:
    random, model = np.random.default_rng(0), adapter(0.1)
    vectors, labels = events(random, 9)
    teach(model, vectors[:8], labels[:8])
    assert model.predict(vectors).unknown is None
    teach(model, vectors[8:], labels[8:], 8)  # 9 = 1 / rate − 1
    assert model.predict(vectors).unknown is not None
    off = adapter(0.0)
    teach(off, vectors, labels)
    assert off.predict(vectors).unknown is None


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.tuples(st.sampled_from(["teach", "forget", "ask", "correct"]), st.integers(1, 300)), max_size=8),
)
def test_it_is_a_function_of_the_anchors_however_they_came(seed: int, steps: list[tuple[str, int]]) -> None:
    random, model, count = np.random.default_rng(seed), adapter(mixture={"window": 1}), 0
    live: dict[str, Anchor] = {}
    for step, number in steps:
        if step in ("teach", "correct"):
            vectors, labels = events(random, number)
            first = count if step == "teach" else random.integers(0, count + 1)
            new = [
                Anchor(f"e{first + at}", v, labels[at], 10_000 * (step == "correct") + count + at)
                for at, v in enumerate(vectors)
            ]
            count = max(count, first + number)
            model.follow(new)
            live |= {one.anchor_id: one for one in model.anchors}
        elif step == "forget" and live:
            ids = random.permutation(sorted(live))[:number].tolist()
            model.forget(ids)
            for id in ids:
                live.pop(id, None)
        model.predict(events(random, 3)[0])
    fresh = adapter(mixture={"window": 1})
    fresh.follow([replace(one) for one in model.anchors])
    questions = events(random, 50)[0]
    one, other = model.predict(questions), fresh.predict(questions)
    np.testing.assert_allclose(one.none_of_these, other.none_of_these, atol=1e-6)
    assert (one.unknown is None) == (other.unknown is None)
    if one.unknown is not None:
        threshold, again = (of._unknown.threshold("x") for of in (model, fresh))
        assert threshold == pytest.approx(again, abs=1e-6)


def test_new_labels_move_it_where_the_traffic_changes() -> None:
    random, model = np.random.default_rng(0), adapter(0.1, anchors={"budget_per_class": 10_000})
    teach(model, *events(random, 600))

    def blurred(number: int) -> tuple[NDArray[np.float32], list[str]]:
        return events(random, number, spread=0.6)

    before = model.predict(blurred(400)[0]).unknown
    teach(model, *blurred(1_100), first=600)
    after = model.predict(blurred(400)[0]).unknown
    assert before is not None and after is not None
    assert before.mean() > 0.3  # nobody told it yet: labelled events and traffic are no longer alike
    assert after.mean() < 0.15
