"""Every command that writes a file writes to links and pipes, and touches nothing before it has something to write."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from stream_adapter.config import Config
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.encode.vocabulary_file import VocabularyFile, save_vocabulary
from stream_adapter.errors import TransportError
from stream_adapter.evaluate.features import Features, read_features, save_features
from stream_adapter.evaluate.report import write_json
from stream_adapter.operations import record, showing
from stream_adapter.operations.anchor_files import export_anchors, plan_import
from stream_adapter.operations.drift_report import write_drift_report
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.recorded import from_line
from stream_adapter.transport.single_log import SingleLog
from tests.operations import anchor_records

RECORDS = [Record(Partition("images", 0), offset, 5, b"key", b"value", ()) for offset in range(3)]
VOCABULARY = Vocabulary(("cat", "dog"), np.eye(2, dtype=np.float32))
FEATURES = Features(VOCABULARY.text_vectors, np.array([0, 1]), np.array(["all", "all"]), VOCABULARY, "x")


def topic_of(monkeypatch: pytest.MonkeyPatch, records: Callable[[], Iterator[Record]]) -> None:
    """What `record` reads."""
    transport = SimpleNamespace(open_log=lambda _: SingleLog("images", records))
    monkeypatch.setattr(record, "transport_of", lambda _: transport)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    config = anchor_records.config_on_files(tmp_path / "results")
    transport_of(config).write([anchor_records.record(n).to_record("w") for n in range(3)])
    (tmp_path / "results" / "drift.jsonl").touch()
    topic_of(monkeypatch, lambda: iter(RECORDS))
    return config


@dataclass(frozen=True)
class Command:
    """What writes a file, and what is to be found in it."""

    name: str
    write: Callable[[Config, Path], object]
    found: Callable[[Config, Path], object]
    expected: object


COMMANDS = [
    Command(
        "record",
        lambda config, path: record.record_topic(config, "images", path),
        lambda _, path: [from_line(line) for line in path.read_bytes().splitlines()],
        RECORDS,
    ),
    Command("anchors export", export_anchors, lambda config, path: plan_import(config, path).unchanged, 3),
    Command(
        "classes build",
        lambda _, path: save_vocabulary(path, VOCABULARY, fingerprint="f"),
        lambda _, path: VocabularyFile.read(path).class_names,
        ("cat", "dog"),
    ),
    Command(
        "evaluate --save-features",
        lambda _, path: save_features(path, FEATURES),
        lambda _, path: read_features(path).labels.tolist(),
        [0, 1],
    ),
    Command(
        "evaluate --json",
        lambda _, path: write_json(path, {"a": 1}),
        lambda _, path: json.loads(path.read_text()),
        {"a": 1},
    ),
    Command(
        "drift report",
        lambda config, path: write_drift_report(config, path, hours=1.0),
        lambda _, path: "</html>" in path.read_text(),
        True,
    ),
]
every_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@every_command
def test_a_link_stays_and_its_file_is_written(command: Command, config: Config, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    command.write(config, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert command.found(config, tmp_path / "target") == command.expected


@every_command
def test_a_pipe_stays_and_gets_everything(command: Command, config: Config, tmp_path: Path) -> None:
    pipe, copy = tmp_path / "pipe", tmp_path / "copy"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: copy.write_bytes(pipe.read_bytes()))
    reader.start()
    command.write(config, pipe)
    reader.join(20)
    assert pipe.is_fifo()
    assert command.found(config, copy) == command.expected


def test_a_topic_that_cannot_be_read_empties_no_file(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_broker() -> Iterator[Record]:
        raise TransportError("no broker answered")
        yield

    def torn() -> Iterator[Record]:
        yield RECORDS[0]
        raise TransportError("the broker is gone")

    (tmp_path / "file").write_bytes(b"of yesterday")
    os.mkfifo(tmp_path / "pipe")
    for topic in (no_broker, torn):
        topic_of(monkeypatch, topic)
        with pytest.raises(TransportError):
            record.record_topic(config, "images", tmp_path / "file")
    topic_of(monkeypatch, no_broker)
    with pytest.raises(TransportError):  # and does not wait for somebody to read a pipe
        record.record_topic(config, "images", tmp_path / "pipe")
    assert (tmp_path / "file").read_bytes() == b"of yesterday"


def test_an_empty_topic_is_an_empty_file(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic_of(monkeypatch, lambda: iter(()))
    assert record.record_topic(config, "images", tmp_path / "file") == 0
    assert (tmp_path / "file").read_bytes() == b""


def test_a_message_keeps_out_of_the_output(config: Config, capfd: pytest.CaptureFixture[str]) -> None:
    state = export_anchors(config, Path("/dev/stdout"))
    written = capfd.readouterr().out
    showing.show_export(state, Path("/dev/stdout"))
    shown = capfd.readouterr()
    assert '"kind":' in written
    assert (shown.out, "3 anchors" in shown.err) == ("", True)
