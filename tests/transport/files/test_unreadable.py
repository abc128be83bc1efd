"""Files that are something else, or cannot be read: told with their key, never a traceback, and never waited for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Commit, OutRecord
from stream_adapter.transport.files import FileChangelog, FileSink, FileSource
from stream_adapter.transport.files.labels import LabelLines
from stream_adapter.transport.files.source import check_input, open_input
from stream_adapter.transport.files.transport import FileTransport
from stream_adapter.transport.transport import read_all

pytestmark = pytest.mark.timeout(20)
LONG = 300 * "x"


@pytest.fixture
def config(tmp_path: Path) -> FilesConfig:
    (tmp_path / "list.csv").write_text("path\na.jpg\n")
    return FilesConfig(input=tmp_path / "list.csv", output=tmp_path / "out", labels_file=tmp_path / "labels.jsonl")


@pytest.mark.parametrize(("make", "kind"), [(os.mkdir, "folder"), (os.mkfifo, "pipe")])
def test_labels_are_read_from_a_file(config: FilesConfig, make: Callable[[Path], None], kind: str) -> None:
    assert config.labels_file is not None
    make(config.labels_file)
    transport = FileTransport(config)
    feed = transport.open_labels()
    assert feed is not None
    feed.assign(frozenset({0}))
    for read in (feed.poll, lambda: list(read_all(transport, "labels")), lambda: check_input(config)):
        with pytest.raises(
            TransportError, match=rf"`files.labels_file` .*labels\.jsonl is a {kind}, and must be a file"
        ):
            read()


def test_labels_that_cannot_be_read_are_told_with_their_key(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match=r"cannot read `files.labels_file` .*: File name too long"):
        list(LabelLines(tmp_path / LONG)(0))
    assert list(LabelLines(tmp_path / "list.csv" / "x")(0)) == []


def test_a_pipe_is_no_input(config: FilesConfig) -> None:
    config.input.unlink()
    os.mkfifo(config.input)
    os.mkfifo(config.input.with_name("pipe"))
    for path in (config.input, config.input.with_name("pipe")):
        with pytest.raises(TransportError, match=r"`files.input` .* is neither a folder nor a file"):
            open_input(config.model_copy(update={"input": path}))


def test_an_input_whose_name_is_too_long_is_told_with_its_key(config: FilesConfig) -> None:
    with pytest.raises(TransportError, match=r"cannot read `files.input` .*: File name too long"):
        open_input(config.model_copy(update={"input": config.input.with_name(LONG)}))


def test_an_output_whose_name_is_too_long_is_told(config: FilesConfig) -> None:
    long = config.model_copy(update={"output": config.output.with_name(LONG)})
    for read in (
        lambda: FileChangelog(long, "me").poll(),
        lambda: list(FileChangelog(long, "me").read_to_end()),
        lambda: FileTransport(long).open_log("predictions"),
    ):
        with pytest.raises(TransportError, match=r"cannot read .*: File name too long"):
            read()


def test_predictions_that_are_a_folder_are_told(config: FilesConfig) -> None:
    (config.output / "predictions.jsonl").mkdir(parents=True)
    with pytest.raises(TransportError, match=r"cannot read .*predictions\.jsonl: Is a directory"):
        list(read_all(FileTransport(config), "predictions"))


def test_a_manifest_that_is_gone_when_it_is_read_is_told(config: FilesConfig) -> None:
    source = FileSource(config)
    config.input.unlink()
    with pytest.raises(TransportError, match=r"cannot read manifest .*list\.csv: No such file"):
        source.poll(1, 0.0)


def test_waiting_events_that_are_damaged_are_told_with_their_line(config: FilesConfig) -> None:
    sink = FileSink(config, FileSource(config))
    sink.commit(Commit([OutRecord("waiting", b"k", b"x")]))
    sink.close()
    path = config.output / "waiting.jsonl"
    path.write_bytes(b"?" + path.read_bytes()[1:])
    with pytest.raises(TransportError, match=r"waiting\.jsonl line 1 is not a recorded record"):
        FileSink(config, FileSource(config))
