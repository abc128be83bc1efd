import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stream_adapter.config import FilesConfig
from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.events import AnchorRecord, anchor_tombstone, round_through_float16
from stream_adapter.transport.base import Commit, OutRecord, Partition, Record, Sink
from stream_adapter.transport.changelog import Change
from stream_adapter.transport.dead_letters import dead_letter, undo
from stream_adapter.transport.files import FileChangelog, FileSink, FileSource
from stream_adapter.transport.files import sink as sink_module
from stream_adapter.transport.recorded import from_line, to_line

AT = Partition("topic.jsonl", 0)


@pytest.fixture
def config(tmp_path: Path) -> FilesConfig:
    records = [Record(Partition("images", 0), n, n, None, b"%d" % n) for n in range(500)]
    (tmp_path / "topic.jsonl").write_bytes(b"".join(map(to_line, records)))
    return FilesConfig(input=tmp_path / "topic.jsonl", output=tmp_path / "out")


def open_sink(config: FilesConfig) -> FileSink:
    return FileSink(config, FileSource(config), clock=lambda: 1.5)


def anchor(number: int) -> AnchorRecord:
    vector = round_through_float16(np.eye(4, dtype=np.float32)[number % 4])
    return AnchorRecord(f"{number:032x}", vector, "cat", 1000, "/s", str(number), "images", 0, number, "fp")


def test_outputs_go_to_their_files_and_can_be_read_back(config: FilesConfig) -> None:
    sink: Sink = open_sink(config)
    original = Record(AT, 7, 99, b"k", b"\xff\x00", (("h", b"\n"),))
    outputs = [
        OutRecord("predictions", b"k", b'{"a": 1,\n"b": 2}'),
        anchor(1).to_record("w"),
        dead_letter(original, MalformedEvent("bad")),
        anchor_tombstone(anchor(1).anchor_id, "w"),
    ]
    sink.commit(Commit(outputs, {AT: 8}))
    sink.close()

    assert [json.loads(line) for line in (config.output / "predictions.jsonl").open()] == [{"a": 1, "b": 2}]
    (letter,) = map(from_line, (config.output / "dead-letters.jsonl").open("rb"))
    assert undo(letter) == original
    anchors = list(map(from_line, (config.output / "anchors.jsonl").open("rb")))
    assert [(record.offset, record.timestamp_ms) for record in anchors] == [(0, 1500), (1, 1500)]
    (changes,) = FileChangelog(config, "me").read_to_end()
    assert isinstance(changes[0].content, AnchorRecord) and changes[0].content.label == "cat"
    assert changes[1] == Change(anchor(1).anchor_id, None, offset=1, writer="w")


def test_dead_letters_can_be_an_input(config: FilesConfig) -> None:
    sink = open_sink(config)
    original = Record(AT, 7, 99, b"k", b"\xff\x00")
    sink.commit(Commit([dead_letter(original, MalformedEvent("bad"))], {AT: 8}))
    sink.close()
    replay = FileSource(FilesConfig(input=config.output / "dead-letters.jsonl", output=config.output / "replay"))
    assert [undo(record) for record in replay.poll(10, 0.0)] == [original]


def test_what_was_written_after_the_last_commit_is_cut_off(config: FilesConfig) -> None:
    sink = open_sink(config)
    sink.commit(Commit([OutRecord("predictions", None, b'{"n": 1}')], {AT: 1}))
    sink.close()
    with (config.output / "predictions.jsonl").open("ab") as file:
        file.write(b'{"n": 2}\n{"n": 3')
    open_sink(config).close()
    assert (config.output / "predictions.jsonl").read_bytes() == b'{"n": 1}\n'


def test_a_torn_line_of_somebody_else_is_cut_off_and_whole_lines_are_kept(config: FilesConfig) -> None:
    config.output.mkdir()
    (config.output / "anchors.jsonl").write_bytes(to_line(Record(AT, 0, 0, b"k", None)) + b'{"top')
    open_sink(config).close()
    assert (config.output / "anchors.jsonl").read_bytes() == to_line(Record(AT, 0, 0, b"k", None))


def test_an_output_that_became_shorter_is_refused(config: FilesConfig) -> None:
    sink = open_sink(config)
    sink.commit(Commit([OutRecord("predictions", None, b"{}")], {AT: 1}))
    sink.close()
    (config.output / "predictions.jsonl").write_bytes(b"")
    with pytest.raises(TransportError, match="has 0 bytes, 3 were committed"):
        open_sink(config)


def test_two_workers_cannot_write_to_one_folder(config: FilesConfig) -> None:
    sink = open_sink(config)
    with pytest.raises(TransportError, match="another worker writes to"):
        open_sink(config)
    sink.close()
    open_sink(config).close()


def test_a_full_disk_leaves_nothing_of_the_commit(config: FilesConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = open_sink(config)
    sink.commit(Commit([OutRecord("predictions", None, b'{"n": 1}')], {AT: 1}))
    positions = (config.output / "positions.json").read_bytes()

    def full(descriptor: int, data: bytes) -> int:
        monkeypatch.undo()
        os.write(descriptor, bytes(data)[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sink_module.os, "write", full)
    with pytest.raises(TransportError, match="No space left on device; nothing was lost"):
        sink.commit(Commit([OutRecord("predictions", None, b'{"n": 2}')], {AT: 2}))
    assert (config.output / "predictions.jsonl").read_bytes() == b'{"n": 1}\n'
    assert (config.output / "positions.json").read_bytes() == positions
    sink.commit(Commit([OutRecord("predictions", None, b'{"n": 3}')], {AT: 2}))
    assert (config.output / "predictions.jsonl").read_bytes() == b'{"n": 1}\n{"n": 3}\n'


def test_an_output_folder_that_is_a_file_is_an_error(config: FilesConfig) -> None:
    config.output.write_text("")
    with pytest.raises(TransportError, match=r"cannot (write to|read)"):
        open_sink(config)


COPY_ALL = """
import sys
from pathlib import Path
from stream_adapter.config import FilesConfig
from stream_adapter.transport.base import Commit, OutRecord, Partition
from stream_adapter.transport.files import FileSink, FileSource

config = FilesConfig(input=Path(sys.argv[1]), output=Path(sys.argv[2]))
source = FileSource(config)
sink = FileSink(config, source)
print("started", flush=True)
while not source.exhausted:
    records = source.poll(3, 0.0)
    outputs = [OutRecord("predictions", None, b'{"n": %s, "pad": "%s"}' % (r.value, b"x" * 5000)) for r in records]
    sink.commit(Commit(outputs, {records[-1].partition: records[-1].offset + 1}))
"""


def test_a_worker_that_is_killed_again_and_again_writes_every_output_once(config: FilesConfig) -> None:
    kills = 0
    for attempt in range(50):
        worker = subprocess.Popen(
            [sys.executable, "-c", COPY_ALL, str(config.input), str(config.output)], stdout=subprocess.PIPE
        )
        assert worker.stdout is not None
        worker.stdout.readline()
        if attempt < 4:
            time.sleep(0.005 + 0.02 * attempt)
            worker.send_signal(signal.SIGKILL)
        if worker.wait(60) == 0:
            break
        kills += 1
    assert kills >= 2
    numbers = [json.loads(line)["n"] for line in (config.output / "predictions.jsonl").open()]
    assert numbers == list(range(500))
