"""What moves between names without labels cost labelled events, read as though nothing was labelled."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.confidence import histogram
from stream_adapter.adapter.mixture.backend import Backend
from stream_adapter.adapter.mixture.label_shift import Shift
from stream_adapter.adapter.mixture.traffic import Traffic
from stream_adapter.config import AnchorsConfig
from tests.adapter.mixture.streams import NAMES, TEXTS, C, adapter, run, stream

N = 5


def traffic(labels: dict[int, int]) -> Traffic:
    """Five events that zero-shot gives to the first five classes; of some the label."""
    of = stream(N, 3)
    anchors = Anchors(Classes(tuple(NAMES), TEXTS, 20.0), (), AnchorsConfig(index="exact"))
    for row, label in labels.items():
        anchors.take_in(of.anchors(np.array([row]), wrong=label))
    keys = np.arange(100, 100 + N, dtype=np.uint64)
    order = np.argsort(anchors.rows)
    for place, row in enumerate(labels):  # an event is labelled where there is an anchor of its key
        keys[row] = anchors.keys[order[place]]
    window = SimpleNamespace(
        weights=np.array([1.0, 0.5, 0.25, 1.0, 1.0]), keys=keys, vectors=of.vectors, zero_shot=np.eye(C, dtype="f4")[:N]
    )
    return Traffic(window, anchors, Shift(np.zeros(C), np.zeros(C)), Backend("numpy"))  # type: ignore[arg-type]


def answering(named: list[int], left: float) -> Any:
    """A model that names these classes and leaves so much to zero-shot's."""

    def product(vectors: np.ndarray, zero_shot: np.ndarray) -> np.ndarray:
        rows = zero_shot.argmax(axis=1)
        answer = left * zero_shot
        answer[np.arange(len(rows)), np.array(named)[rows]] += 1.0 - left
        return answer

    return SimpleNamespace(product=product)


def test_a_right_answer_that_is_left_counts_and_one_that_is_found_counts_against_it() -> None:
    of = traffic({0: 0, 1: 7, 2: 9, 3: 3})
    moved = of.moves(answering([6, 7, 8, 3, 4], 0.2))  # 0: lost, 1: won, 2: wrong both ways, 3: stays, 4: no label
    np.testing.assert_allclose(moved[0], histogram(np.array([0.8]), np.array([1.0 - 0.5])))
    np.testing.assert_allclose(moved[1], histogram(np.array([0.8]), np.array([1.0 + 0.25])))


def test_without_labels_nothing_is_measured_and_what_is_forgotten_leaves_nothing() -> None:
    taught, events = adapter(), stream(200, 1)
    run(taught, events, np.arange(0, 200, 4))
    evidence = taught._learner._labelled.evidence  # type: ignore[attr-defined]
    assert np.abs(evidence.moves).sum() > 0
    np.testing.assert_array_equal(taught._learner.standing().moves, evidence.moves)
    taught.forget([anchor.anchor_id for anchor in list(taught.anchors())])
    taught.learn(())
    assert not taught._learner._labelled.evidence.moves.any()  # type: ignore[attr-defined]


def test_no_label_says_anything_about_what_the_traffic_alone_would_have_answered() -> None:
    one, other = adapter(), adapter()
    events = stream(200, 1)
    rows = np.arange(0, 200, 4)
    run(one, events, rows)
    run(other, events, np.append(rows, 1))
    of = [each._learner._labelled.evidence.moves for each in (one, other)]  # type: ignore[attr-defined]
    assert np.abs(of[1] - of[0])[0].sum() <= 1.0 + 1e-5, "another label adds its own event and changes no other"
