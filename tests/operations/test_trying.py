"""`events try`: what records would be to a worker, before one runs."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from stream_adapter.cli import app
from stream_adapter.errors import TransportError
from stream_adapter.events import image_event_headers
from stream_adapter.transport.base import Headers, Partition, Record
from stream_adapter.transport.recorded import to_line
from tests.picture_files import picture

PICTURE = picture("JPEG")
TIME_MS = 1_767_323_045_678


def record(offset: int, value: bytes | None, headers: Headers = ()) -> Record:
    return Record(Partition("images", 2), offset, TIME_MS, b"k", value, headers)


def cloud_event(offset: int, value: bytes = PICTURE, label: str | None = None) -> Record:
    headers = image_event_headers(source="/gate", id=f"nr {offset}", content_type="image/jpeg", label=label)
    return record(offset, value, headers)


class Files:
    def __init__(self, folder: Path) -> None:
        self.config, self.topic = folder / "worker.yaml", folder / "topic.jsonl"
        self.configure("")

    def configure(self, more: str) -> None:
        self.config.write_text(f"encoder: {{model: m, pretrained: p}}\nvocabulary: {{classes: [cat, dog]}}\n{more}\n")

    def record(self, *records: Record) -> None:
        self.topic.write_bytes(b"".join(map(to_line, records)))

    def run(self, *options: str) -> Result:
        return CliRunner().invoke(app, ["events", "try", str(self.config), str(self.topic), *options])

    def read(self, *options: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run("--json", *options).stdout.splitlines()]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_it_says_what_each_record_would_be(files: Files) -> None:
    files.record(
        cloud_event(0, label="cat"),
        cloud_event(1, label="Cat"),
        record(2, None),
        cloud_event(3, b"GIF"),
        record(4, b'{"id": 7}'),
    )
    event, label, tombstone, picture, plain = files.read()
    assert (event["outcome"], event["id"], event["source"], event["label"]) == ("event", "nr 0", "/gate", "cat")
    assert (event["time"], event["bytes"]) == ("2026-01-02T03:04:05.678Z", len(PICTURE))
    assert (label["outcome"], label["stage"]) == ("refused", "label") and "did you mean 'cat'" in label["reason"]
    assert tombstone == {**dict.fromkeys(tombstone), "record": "images-2@2", "outcome": "tombstone"}
    assert (picture["stage"], plain["stage"]) == ("decode", "parse")
    assert "`events.format: json`" in plain["reason"]
    done = files.run()
    assert done.exit_code == 0
    assert "images-2@0: id 'nr 0' of '/gate', 2026-01-02T03:04:05.678Z, label 'cat', image/jpeg" in done.stdout
    assert "1 events, 3 refused, 1 tombstones" in done.stdout


def test_it_reads_as_configured(files: Files) -> None:
    plain = json.dumps({"nr": 7, "image": base64.b64encode(PICTURE).decode(), "class": "dog"}).encode()
    files.record(record(0, plain))
    assert files.run().exit_code == 1  # nothing can be used
    files.configure("events: {format: json, fields: {id: nr, picture: image, label: class}}")
    (event,) = files.read()
    assert (event["outcome"], event["id"], event["label"]) == ("event", "7", "dog")
    files.record(record(0, PICTURE))
    files.configure("events: {format: raw}")
    assert files.read()[0]["id"] == "images-2@0"


def test_it_reads_no_more_than_it_is_asked_for(files: Files) -> None:
    files.record(*[cloud_event(number) for number in range(5)])
    assert len(files.read("--limit", "3")) == 3


def test_what_is_no_recording_is_refused(files: Files) -> None:
    files.topic.write_bytes(PICTURE + b"\n")
    found = files.run().exception
    assert isinstance(found, TransportError)
    assert "`stream-adapter record` writes them" in str(found)


def test_a_file_and_a_topic_are_one_too_many(files: Files) -> None:
    files.record(cloud_event(0))
    assert files.run("--topic", "other").exit_code == 2
