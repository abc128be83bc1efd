import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.events import parse_image_event
from stream_adapter.journey.explaining import Explain, Explaining, best_classes
from tests.events.test_cloudevents import binary
from tests.events.test_prediction import VALIDATOR
from tests.fakes import CLASSES, TEXT_VECTORS, unit

EVENT = parse_image_event(binary())
VOCABULARY = Vocabulary(CLASSES, TEXT_VECTORS, 10.0)
PICTURES = unit(np.concatenate([TEXT_VECTORS[:2], TEXT_VECTORS[2:] + TEXT_VECTORS[:2]]))


def answered(labels: int) -> Any:
    adapter = Adapter(TEXT_VECTORS, CLASSES, 10.0)
    ids = [letter * 32 for letter in "abcd"[:labels]]
    adapter.learn([Anchor(id, PICTURES[row], CLASSES[row], event_time_ms=0) for row, id in enumerate(ids)])
    return adapter.predict(PICTURES)


def explained(answer: Any, explain: Explain = "full", top_k: int = 3) -> list[dict[str, Any]]:
    explaining = Explaining(VOCABULARY, "encoder", top_k, explain)
    rows = explaining.explain([EVENT] * len(PICTURES), answer, {"encode": 1.23456})
    for one in rows:
        assert one.record.value is not None
        assert json.loads(one.record.value) == one.prediction
        VALIDATOR.validate(one.prediction)
    return [one.prediction for one in rows]


@pytest.mark.parametrize("labels", [0, 1, 3])
def test_each_event_is_explained_by_its_own_row(labels: int) -> None:
    answer = answered(labels)
    for row, said in enumerate(explained(answer)):
        order = sorted(range(len(CLASSES)), key=lambda c: (-answer.adapted[row, c], c))[:3]
        assert [one["label"] for one in said["top"]] == [CLASSES[c] for c in order]
        for name in ("adapted", "zero_shot"):
            assert [one[name] for one in said["top"]] == [round(float(getattr(answer, name)[row, c]), 6) for c in order]
        assert [one["kind"] for one in said["top"]] == [answer.standing.kinds[c] for c in order]
        assert [one["presence"] for one in said["top"]] == [round(float(answer.standing.presence[c]), 6) for c in order]
        assert said["zero_shot_label"] == CLASSES[int(answer.zero_shot[row].argmax())]
        assert (said["gate"], said["novelty"]) == (
            round(float(answer.gate[row]), 6),
            round(float(answer.novelty[row]), 6),
        )
        assert said["top_has_anchors"] == bool(answer.has_anchor[order[0]])
        assert said["anchors"] == [
            {
                "id": answer.neighbour_ids[row, near],
                "label": CLASSES[answer.neighbour_classes[row, near]],
                "cosine": round(float(answer.neighbour_cosines[row, near]), 6),
            }
            for near in range(labels)
        ]
        assert said["event"] == {"source": EVENT.source, "id": EVENT.id, "time": "2026-01-02T03:04:05.678Z"}
        assert said["timings_ms"] == {"encode": 1.235}
        assert said["versions"] == {"encoder": "encoder", "vocabulary": VOCABULARY.hash, "adapter": answer.version}
        assert "explain" not in said


def test_less_is_explained_where_less_is_asked_for_and_the_prediction_says_so() -> None:
    answer = answered(3)
    full, top, none = (explained(answer, how) for how in ("full", "top", "none"))
    for more, fewer, best in zip(full, top, none, strict=True):
        assert fewer == {**more, "anchors": [], "explain": "top"}
        assert best == {**more, "top": more["top"][:1], "anchors": [], "explain": "none"}


@pytest.mark.parametrize("column", ["adapted", "zero_shot", "gate", "novelty", "neighbour_cosines"])
def test_a_number_that_is_none_is_refused_and_not_written_as_null(column: str) -> None:
    answer = answered(3)
    numbers = getattr(answer, column).copy()
    numbers[0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        explained(replace(answer, **{column: numbers}), top_k=4)


@settings(deadline=None)
@given(
    probabilities=arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 6), st.integers(1, 8)),
        elements=st.sampled_from([0.0, 0.125, 0.25, 0.5, 1.0]),
    ),
    k=st.integers(1, 8),
)
def test_the_best_classes_are_those_of_a_stable_sort_row_by_row(probabilities: np.ndarray, k: int) -> None:
    k = min(k, probabilities.shape[1])
    found = best_classes(probabilities, k)
    assert found.shape == (len(probabilities), k)
    for row, classes in zip(probabilities, found.tolist(), strict=True):
        assert classes == sorted(range(len(row)), key=lambda index: (-row[index], index))[:k]
