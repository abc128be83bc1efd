from pathlib import Path

import numpy as np
import pytest

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.config import AdapterConfig, load
from stream_adapter.demo.groceries import AFTER, OPENING, WRONG, GroceriesEncoder, groceries, opening_part
from stream_adapter.demo.run import config_path
from stream_adapter.encode.loading import load_models
from stream_adapter.errors import UndecodableImage


def test_pictures_and_vectors_belong_together() -> None:
    shop, encoder = groceries(), GroceriesEncoder()
    rows = [3, 500, 41]
    prepared = [encoder.prepare(shop.jpegs[row], "image/jpeg") for row in rows]
    assert all(one.dtype == np.uint8 and one.shape[0] == 3 for one in prepared)
    assert np.array_equal(encoder.encode([*prepared, shop.vectors[7]]), shop.vectors[[*rows, 7]])
    np.testing.assert_allclose(np.linalg.norm(shop.vectors, axis=1), 1.0, atol=1e-6)
    with pytest.raises(UndecodableImage, match="knows the demo's own pictures"):
        encoder.prepare(b"another", "image/jpeg")


def test_the_demos_configuration_is_valid_and_names_the_recorded_classes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(groceries().class_names))
    monkeypatch.setenv("DEMO_FOLDER", str(tmp_path))
    config = load(config_path())
    encoder, vocabulary = load_models(config.encoder, config.vocabulary)
    assert encoder.d == 512
    assert np.allclose(vocabulary.text_vectors, groceries().text_vectors, atol=1e-6)
    canaries = sum(label in config.adapter.canaries for label in groceries().labels)
    assert canaries >= 50


def test_one_label_shows() -> None:
    shop = groceries()
    adapter = Adapter(shop.text_vectors, shop.class_names, 100.0, AdapterConfig(canaries=("apple", "orange")))
    parts = {part: [row for row in range(60) if opening_part(row) == part] for part in ("wrong", "after")}
    assert (len(parts["wrong"]), len(parts["after"])) == (WRONG, AFTER)

    def right(part: str) -> list[int]:
        said, truth = adapter.predict(shop.vectors[parts[part]]), [shop.labels[row] for row in parts[part]]
        best = [[shop.class_names[row] for row in p.argmax(axis=1)] for p in (said.zero_shot, said.adapted)]
        return [sum(map(str.__eq__, names, truth)) for names in best]

    ids = [str(row) for row in range(OPENING + WRONG)]
    adapter.update(ids[:OPENING], shop.vectors[:OPENING])
    assert right("wrong") == [0, 0]
    label = Anchor(ids[-1], shop.vectors[OPENING + WRONG - 1], "vegetable", event_time_ms=0)
    adapter.update(ids[OPENING:], shop.vectors[OPENING : OPENING + WRONG], [label])
    zero_shot, adapted = right("after")
    assert zero_shot == 0
    assert adapted >= 5
