from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import EvaluationError
from stream_adapter.evaluate.embedding import embed_input
from stream_adapter.evaluate.features import Features
from stream_adapter.events import image_event_headers
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files.recording import RecordedInput
from stream_adapter.transport.recorded import to_line
from tests.fakes import CLASSES, TEXT_VECTORS, FakeEncoder, headers, unit, vectors_of
from tests.references.servers import references


def embed(tmp_path: Path, pictures: list[tuple[str, str | None]], said: list[str]) -> Features:
    """A recorded topic of fake pictures ("CLASS SEED", label), embedded."""
    path = tmp_path / "recorded.jsonl"
    lines = [
        to_line(Record(Partition("images", 0), number, number, None, text.encode(), headers(str(number), label)))
        for number, (text, label) in enumerate(pictures)
    ]
    path.write_bytes(b"".join(lines))
    with ThreadPoolExecutor(2) as decoders:
        vocabulary = Vocabulary(CLASSES, TEXT_VECTORS, 10.0)
        return embed_input(RecordedInput(path), FakeEncoder(), vocabulary, decoders, said.append)


def test_vectors_labels_and_domains_are_the_events(tmp_path: Path) -> None:
    said: list[str] = []
    features = embed(tmp_path, [("cat 1", "cat"), ("dog 2", None), ("horse 3", "fox"), ("house 4", "house")], said)
    assert features.labels.tolist() == [0, -1, -1, 3]
    assert features.domain_names == ("/test",)
    expected = unit(TEXT_VECTORS[1] + 0.1 * np.random.default_rng(2).normal(size=16))
    np.testing.assert_allclose(features.vectors[1], expected, atol=1e-6)
    assert said == ["4 of 4 pictures embedded"]


def test_pictures_that_cannot_be_used_are_left_out_and_counted(tmp_path: Path) -> None:
    said: list[str] = []
    pictures: list[tuple[str, str | None]] = [(f"cat {number}", "cat") for number in range(70)]
    pictures[65] = ("broken", "cat")
    features = embed(tmp_path, pictures, said)
    assert len(features) == 69
    assert said[0] == "64 of 70 pictures embedded"
    assert "1 of 70 pictures cannot be used and are left out" in said[-1]


def test_nothing_that_can_be_used_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"recorded\.jsonl: no picture can be used"):
        embed(tmp_path, [("broken", "cat")], [])


def test_pictures_that_are_stored_elsewhere_are_fetched(tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    stored.mkdir()
    (stored / "cat").write_bytes(b"cat 1")
    headers = image_event_headers(
        source="/a", id="1", content_type="image/jpeg", label="cat", reference=f"file://{stored}/cat"
    )
    path = tmp_path / "topic.jsonl"
    path.write_bytes(to_line(Record(Partition("images", 0), 0, 0, None, b"", headers)))
    vocabulary = Vocabulary(CLASSES, TEXT_VECTORS, 10.0)
    with references(f"file://{stored}/") as fetching, ThreadPoolExecutor(1) as decoders:
        features = embed_input(
            RecordedInput(path), FakeEncoder(), vocabulary, decoders, lambda _: None, references=fetching
        )
    assert np.abs(features.vectors - vectors_of(("cat", 1))).max() < 1e-6
