"""`anchors reembed`: a new encoder's anchors from the pictures that taught the old one."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from stream_adapter.cli import app
from stream_adapter.config import load
from stream_adapter.encode.loading import load_encoder
from stream_adapter.events import EMBEDDING, AnchorRecord, image_event_headers
from stream_adapter.events.image import anchor_id_of
from stream_adapter.operations.anchors import read_anchors
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.recorded import to_line
from tests.picture_files import picture
from tests.tiny_clip import write_tiny_clip

PICTURES = [picture("PNG", height, 40) for height in (30, 40, 50, 60)]


class Change:
    """An old worker's anchors and images, and a new encoder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.old = self._configuration("old", seed=0)
        self.new = self._configuration("new", seed=1)
        self.images()

    def _configuration(self, name: str, seed: int) -> Path:
        encoder = write_tiny_clip(self.folder, seed=seed, name=f"clip-{name}")
        document = {
            "transport": "files",
            "encoder": encoder.model_dump(mode="json", exclude_defaults=True),
            "vocabulary": {"classes": ["cat", "dog"]},
            "references": {"allow": [f"file://{self.folder}/stored/"]},
            "files": {"input": str(self.folder / "images.jsonl"), "format": "recorded", "output": f"results-{name}"},
        }
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(document))
        return path

    def images(self, *records: Record) -> None:
        (self.folder / "images.jsonl").write_bytes(b"".join(map(to_line, records)))

    def taught(self, *ids: str, **more: str | int) -> None:
        vector = np.full(16, 0.25, np.float32)
        records = [
            AnchorRecord(anchor_id_of("/gate", id), vector, "cat", 7, "/gate", id, "images", 0, 3, "old encoder")
            for id in ids
        ]
        outputs = [dataclasses.replace(record, **more).to_record("w") for record in records]
        transport_of(load(self.old)).write(outputs)

    def run(self, *options: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["anchors", "reembed", str(self.old), str(self.new), *options])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout

    def lost(self) -> dict[str, str]:
        _, output = self.run("--json")
        return {line["event_id"]: line["reason"] for line in map(json.loads, output.splitlines())}

    def made(self) -> dict[str, AnchorRecord]:
        return {anchor.event_id: anchor for anchor in read_anchors(load(self.new)).values()}


@pytest.fixture
def change(tmp_path: Path) -> Change:
    return Change(tmp_path)


def event(id: str, value: bytes, reference: str | None = None, content_type: str = "image/png") -> Record:
    headers = image_event_headers(source="/gate", id=id, content_type=content_type, reference=reference)
    more = (("ce_fingerprint", b"old encoder"),) if content_type == EMBEDDING else ()
    return Record(Partition("images", 0), 0, 0, None, value, headers + more)


def test_pictures_are_embedded_anew_and_nothing_else_of_an_anchor_changes(change: Change) -> None:
    change.taught("1", "2")
    change.images(*(event(str(number), data) for number, data in enumerate(PICTURES)))
    status, output = change.run()
    assert status == 0 and "2 written, 0 there already, 0 could not be embedded" in output
    encoder = load_encoder(load(change.new).encoder)
    for id, anchor in change.made().items():
        (old,) = [one for one in read_anchors(load(change.old)).values() if one.event_id == id]
        expected = encoder.encode([encoder.prepare(PICTURES[int(id)], "")])[0]
        assert anchor.fingerprint == encoder.fingerprint != old.fingerprint
        assert np.abs(anchor.vector - expected).max() < 1e-3
        kept = {"vector": old.vector, "fingerprint": old.fingerprint}
        assert dataclasses.replace(anchor, **kept).to_record("w") == old.to_record("w")


def test_what_is_stored_by_reference_is_fetched_by_the_event_s_or_the_anchor_s_own(change: Change) -> None:
    stored = change.folder / "stored"
    stored.mkdir()
    for name in "12":
        (stored / name).write_bytes(PICTURES[int(name)])
    change.taught("1")
    change.taught("2", reference=f"file://{stored}/2")
    change.images(event("1", b"", f"file://{stored}/1"))
    change.run()
    assert set(change.made()) == {"1", "2"}
    assert change.made()["2"].reference == f"file://{stored}/2"


def test_what_cannot_be_embedded_is_told_with_the_reason(change: Change) -> None:
    change.taught("gone", "vector", "broken", "forbidden", "there")
    change.images(
        event("vector", np.full(16, 0.25, "<f4").tobytes(), content_type=EMBEDDING),
        event("broken", b"no picture"),
        event("forbidden", b"", "https://example.com/a.jpg"),
        event("there", PICTURES[0]),
        Record(Partition("images", 0), 9, 0, None, b"rubbish"),
        Record(Partition("images", 0), 9, 0, None, None),
    )
    lost = change.lost()
    assert lost.keys() == {"gone", "vector", "broken", "forbidden"}
    assert "neither in the images nor stored" in lost["gone"]
    assert "brought a vector" in lost["vector"]
    assert "not on the list" in lost["forbidden"]
    assert set(change.made()) == {"there"}


def test_a_second_run_only_does_what_is_new(change: Change) -> None:
    change.taught("1")
    change.images(*(event(str(number), data) for number, data in enumerate(PICTURES)))
    change.run()
    change.taught("2")
    change.taught("1", label="dog", event_time_ms=8)
    assert "2 written, 0 there already" in change.run()[1]
    assert change.made()["1"].label == "dog"
    assert "0 written, 2 there already" in change.run()[1]


def test_an_older_label_does_not_replace_what_the_new_worker_learned(change: Change) -> None:
    change.taught("1")
    change.images(event("1", PICTURES[1]))
    change.run()
    newer = dataclasses.replace(change.made()["1"], label="dog", event_time_ms=9)
    transport_of(load(change.new)).write([newer.to_record("w")])
    change.run()
    assert change.made()["1"].label == "dog"


def test_anchors_of_two_encoders_must_not_meet(change: Change) -> None:
    done = CliRunner().invoke(app, ["anchors", "reembed", str(change.old), str(change.old)])
    assert "a topic of its own" in str(done.exception)


def test_where_nothing_can_be_embedded_the_status_says_so(change: Change) -> None:
    change.taught("1")
    change.images()
    assert change.run()[0] == 1


def test_another_recording_of_the_images_is_read_in_their_place(change: Change) -> None:
    change.taught("1")
    change.images(event("1", PICTURES[1]))
    kept = change.folder / "kept.jsonl"
    (change.folder / "images.jsonl").rename(kept)
    change.images()
    change.run("--images", str(kept))
    assert set(change.made()) == {"1"}
