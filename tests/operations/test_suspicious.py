import json

import numpy as np
import pytest

from stream_adapter.config import Config, LabelsConfig
from stream_adapter.events import AnchorRecord, round_through_float16
from stream_adapter.operations.suspicious import contradicted, suspects
from stream_adapter.transport.base import OutRecord
from stream_adapter.transport.memory import MemoryTransport
from tests.fakes import CLASSES, TEXT_VECTORS, unit
from tests.operations.anchor_records import record

RANDOM = np.random.default_rng(5)


def anchor(number: int, truth: int, label: int, annotator: str) -> AnchorRecord:
    vector = round_through_float16(unit(TEXT_VECTORS[truth] + 0.1 * RANDOM.normal(size=TEXT_VECTORS.shape[1])))
    one = record(number, CLASSES[label])
    return AnchorRecord(**{**{name: getattr(one, name) for name in FIELDS}, "vector": vector, "annotator": annotator})


FIELDS = tuple(AnchorRecord.__dataclass_fields__)


def anchors() -> list[AnchorRecord]:
    right = [anchor(number, number % 3, number % 3, "ann") for number in range(30)]
    return [*right, *(anchor(30 + number, 0, 1, "bob") for number in range(3))]


def test_labels_that_their_neighbours_contradict_are_found() -> None:
    found = contradicted(anchors())
    wrong = {one.anchor.annotator for one in found if one.contradicted > 0.5}
    assert wrong == {"bob"}
    assert {one.others_say for one in found[30:]} == {CLASSES[0]}


@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_anchors_say_little(number: int) -> None:
    found = contradicted(anchors()[:number])
    assert len(found) == number


def test_who_did_harm_is_told_by_the_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    known = anchors()
    transport = MemoryTransport()
    monkeypatch.setattr("stream_adapter.operations.suspicious.transport_of", lambda _: transport)
    monkeypatch.setattr("stream_adapter.operations.suspicious.read_anchors", lambda _: {a.anchor_id: a for a in known})

    def predicted(id: str, adapted: int, zero_shot: int, by: AnchorRecord, label: int | None) -> OutRecord:
        said = {
            "event": {"source": "/later", "id": id},
            "top": [{"label": CLASSES[adapted]}],
            "zero_shot_label": CLASSES[zero_shot],
            "label": None if label is None else CLASSES[label],
            "anchors": [{"id": by.anchor_id, "label": by.label, "cosine": 0.9}],
        }
        return OutRecord("predictions", None, json.dumps(said).encode())

    transport.write(
        [
            predicted("1", 1, 0, known[31], 0),  # it pulled a picture of class 0 to its own
            predicted("2", 1, 0, known[31], 0),
            predicted("3", 1, 1, known[30], 0),  # zero-shot was wrong as well
            predicted("4", 0, 1, known[0], 0),
            predicted("5", 1, 0, known[31], None),
            OutRecord("predictions", None, b"a record of somebody else"),
            OutRecord("predictions", None, b'{"event": "1", "top": [], "label": {}}'),
            OutRecord("predictions", None, b"null"),
        ]
    )
    found = suspects(Config.model_construct(labels=LabelsConfig(), transport="kafka", files=None))
    assert found.anchors[0].anchor.anchor_id == known[31].anchor_id
    assert (found.anchors[0].harmed, found.anchors[0].helped) == (2, 0)
    by_name = {one.name: one for one in found.annotators}
    assert (by_name["bob"].harmed, by_name["bob"].contradicted) == (2, 3)
    assert (by_name["ann"].helped, by_name["ann"].contradicted, by_name["ann"].anchors) == (1, 0, 30)
