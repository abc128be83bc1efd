"""`FileSink`: outputs as JSON lines, and the consumed positions with them."""

import fcntl
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from io import FileIO
from pathlib import Path

import structlog

from stream_adapter.config import FilesConfig
from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.output_file import open_output
from stream_adapter.transport.base import Commit, OutRecord, Partition, Record
from stream_adapter.transport.files.recording import record_in
from stream_adapter.transport.files.source import FileSource
from stream_adapter.transport.files.state import POSITIONS, Extent, State
from stream_adapter.transport.recorded import from_line, to_line

log = structlog.get_logger(__name__)

PREDICTIONS = "predictions.jsonl"
ANCHORS = "anchors.jsonl"
DEAD_LETTERS = "dead-letters.jsonl"
DRIFT = "drift.jsonl"
CLASSES = "classes.jsonl"
WAITING = "waiting.jsonl"
TO_LABEL = "to-label.jsonl"
FILES = {
    "predictions": PREDICTIONS,
    "anchors": ANCHORS,
    "dead_letters": DEAD_LETTERS,
    "drift": DRIFT,
    "waiting": WAITING,
    "to_label": TO_LABEL,
}


class FileSink:
    """Appends outputs to files, exactly once.

    `predictions.jsonl` has one prediction a line. All others, such as `anchors.jsonl`, have whole
    records (see `recorded.py`), so that they can be restored from and replayed. `positions.json` has the consumed
    positions and the sizes of the outputs at that moment, but for the classes, which commands write, too; it is
    replaced in one step after the outputs are on the disk.
    What a run wrote after its last commit, a torn line included, is cut off when the next one starts, and its events
    are read again.

    Args:
        clock: seconds since the epoch, for records without a time.
    """

    def __init__(self, config: FilesConfig, source: FileSource, clock: Callable[[], float] = time.time) -> None:
        self._folder = config.output
        self._input = config.input
        self._labels_file = config.labels_file
        self._source = source
        self._clock = clock
        self._files: dict[str, FileIO] = {}
        self._handles = ExitStack()
        try:
            self._state = self._open()
        except OSError as error:
            self.close()
            raise TransportError(f"cannot write to `files.output` {self._folder}: {error}") from error
        except TransportError:
            self.close()
            raise

    def commit(self, commit: Commit) -> None:
        """Append the outputs, wait for the disk, then record the positions; see `Sink.commit`."""
        state = State(self._state.input, dict(self._state.places), dict(self._state.extents))
        lines: defaultdict[str, list[bytes]] = defaultdict(list)
        append_classes(self._folder, commit.outputs, self._clock)
        for output in commit.outputs:
            if output.channel in ("labels", "classes"):
                continue
            extent = state.extents[output.channel]
            line = self._line(output, extent.records)
            lines[output.channel].append(line)
            state.extents[output.channel] = Extent(extent.bytes + len(line), extent.records + 1)
        try:
            for channel, written in lines.items():
                _write(self._files[channel], b"".join(written))
            state.places.update((at, self._source.place_of(at, to)) for at, to in commit.positions.items())
            state.save(self._folder)
        except OSError as error:
            for channel in self._files:
                self._cut(channel, self._state)
            raise TransportError(f"cannot write to `files.output` {self._folder}: {error}; nothing was lost") from error
        self._state = state
        append_labels(self._labels_file, [output for output in commit.outputs if output.channel == "labels"])

    def erase(self, outputs: Iterable[OutRecord]) -> None:
        """Overwrite what was written of deleted keys, in place: what is later in a file keeps its line and byte.

        Args:
            outputs: keys of which the last one has no value are deleted.
        """
        last = {(output.channel, output.key): output.value for output in outputs}
        deleted = {key for key, value in last.items() if value is None}
        for channel in {channel for channel, _ in deleted}:
            path, start = self._folder / FILES[channel], 0
            try:
                with path.open("r+b", buffering=0) as file:
                    for number, line in enumerate(path.read_bytes().splitlines(keepends=True)):
                        record = from_line(line)
                        if (channel, record.key) in deleted and record.value is not None:
                            blank = to_line(replace(record, value=None, headers=()))
                            file.seek(start)
                            _write(file, blank.rstrip(b"\n").ljust(len(line) - 1) + b"\n")
                            log.info("erased a record", file=FILES[channel], line=number + 1)
                        start += len(line)
            except (OSError, MalformedEvent) as error:
                raise TransportError(f"cannot erase records of {path}: {error}") from error

    def close(self) -> None:
        """Release the files and the folder."""
        self._handles.close()

    def _open(self) -> State:
        """Take the folder for this worker alone, and go back to the last commit."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = self._handles.enter_context((self._folder / ".lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TransportError(f"another worker writes to {self._folder}; set another `files.output`") from error
        state = State.load(self._folder, self._input)
        self._compact(state)
        for channel, name in FILES.items():
            # Unbuffered: what could not be written must not come out later.
            self._files[channel] = self._handles.enter_context((self._folder / name).open("ab", buffering=0))
            if channel not in state.extents:  # a first run into a folder that has something already
                state.extents[channel] = _extent_of(self._folder / name)
            self._cut(channel, state)
        state.save(self._folder)
        return state

    def _compact(self, state: State) -> None:
        """Leave of the waiting events what counts: the newest record of each key, as a broker does with its topic."""
        path, extent = self._folder / WAITING, state.extents.pop("waiting", None)
        if extent is None or not extent.records or not path.exists():
            return
        last: dict[bytes | None, bytes] = {}
        with path.open("rb") as file:
            for number, line in enumerate(file.read(extent.bytes).splitlines(keepends=True), 1):
                record = record_in(path, number, line)
                last.pop(record.key, None)
                if record.value is not None:
                    last[record.key] = line
        state.save(self._folder)  # without its extent: whatever happens now, all whole lines of either file count
        with open_output(path) as file:
            file.writelines(last.values())

    def _line(self, output: OutRecord, number: int) -> bytes:
        if output.channel == "predictions":
            # One line a prediction: JSON has no line ends but between its tokens.
            return (output.value or b"null").replace(b"\n", b" ") + b"\n"
        time_ms = int(self._clock() * 1000) if output.timestamp_ms is None else output.timestamp_ms
        partition = Partition(output.channel, 0)
        return to_line(Record(partition, number, time_ms, output.key, output.value, output.headers))

    def _cut(self, channel: str, state: State) -> None:
        """Cut off what was written after the last commit."""
        file, committed = self._files[channel], state.extents[channel].bytes
        written = os.fstat(file.fileno()).st_size
        if written < committed:
            raise TransportError(
                f"{self._folder / FILES[channel]} has {written} bytes, {committed} were committed; it was changed by "
                f"somebody else. Use a new output folder, or delete {POSITIONS} to start from the beginning"
            )
        if written > committed:
            log.warning("cut off what was not committed", file=FILES[channel], bytes=written - committed)
            file.truncate(committed)


def append_classes(folder: Path, outputs: Sequence[OutRecord], clock: Callable[[], float] = time.time) -> None:
    """Write class events, which a command may do while a worker runs. The newest of a name counts: twice is once."""
    chosen = [output for output in outputs if output.channel == "classes"]
    if not chosen:
        return
    path, time_ms = folder / CLASSES, int(clock() * 1000)
    at = Partition("classes", 0)
    records = [Record(at, 0, time_ms, output.key, output.value, output.headers) for output in chosen]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(_extent_of(path).bytes)  # a line that somebody did not finish
            _write(file, b"".join(map(to_line, records)))
    except OSError as error:
        raise TransportError(f"cannot write {path}: {error.strerror}") from error


def _write(file: FileIO, data: bytes) -> None:
    """Write all of it, and wait for the disk."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]
    os.fsync(file.fileno())


def _extent_of(path: Path) -> Extent:
    """The extent of a file up to its last line end."""
    size = lines = position = 0
    with path.open("rb") as file:
        for line in file:
            position += len(line)
            if line.endswith(b"\n"):
                size, lines = position, lines + 1
    return Extent(size, lines)


def append_labels(path: Path | None, labels: Sequence[OutRecord]) -> None:
    """Append label events to a labels file, as structured CloudEvents."""
    if not labels:
        return
    if path is None:
        raise TransportError("labels have no file to go to; set `files.labels_file`")
    lines = []
    for label in labels:
        attributes = {n.removeprefix("ce_"): v.decode() for n, v in label.headers if n.startswith("ce_")}
        lines.append(json.dumps({**attributes, "data": json.loads(label.value or b"{}")}, ensure_ascii=False) + "\n")
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
    except OSError as error:
        raise TransportError(f"cannot write `files.labels_file` {path}: {error.strerror}") from error
