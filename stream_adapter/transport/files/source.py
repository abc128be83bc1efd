"""`FileSource`: image events from a folder of pictures, a manifest, a recorded topic or a file of vectors."""

import itertools
import json
import time
from pathlib import Path

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files.folder import FolderInput
from stream_adapter.transport.files.labels import LabelLines
from stream_adapter.transport.files.manifest import SUFFIXES, ManifestInput
from stream_adapter.transport.files.recording import RecordedInput
from stream_adapter.transport.files.state import Place, State
from stream_adapter.transport.files.vectors import SUFFIX, VectorsInput

FileInput = FolderInput | ManifestInput | RecordedInput | VectorsInput
"""A finite, ordered input that is read one record at a time.

`mark` is what the place before an offset is found again by, where the number is not enough; `place` is the offset at
which a run goes on that stopped at an offset with this mark.
"""


class FileSource:
    """Reads an input once, in order, going on where the last run with the same output folder was committed."""

    def __init__(self, config: FilesConfig) -> None:
        self._input = open_input(config)
        place = State.load(config.output, config.input).places.get(self._input.partition, Place(0, None))
        self._start = self._input.place(place.offset, place.mark)
        self._next = self._start
        self._records = self._input.records(self._next)
        self._paused = False

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """The next records; waits only where there is nothing to deliver. See `Source.poll`."""
        if self._paused or self.exhausted or max_records <= 0:
            time.sleep(timeout_s)  # nothing will come; whoever polls in a loop must not spin
            return []
        records = list(itertools.islice(self._records, max_records))
        self._next += len(records)
        return records

    def pause(self) -> None:
        """Deliver nothing until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Deliver again."""
        self._paused = False

    @property
    def assigned(self) -> frozenset[Partition]:
        """The input, from beginning to end."""
        return frozenset({self._input.partition})

    @property
    def partition_count(self) -> int:
        """One: a file is read by one worker."""
        return 1

    @property
    def exhausted(self) -> bool:
        """Whether everything was delivered."""
        return self._next >= len(self._input)

    @property
    def trouble(self) -> None:
        """Never: what cannot be read is an error."""

    def lag(self) -> dict[Partition, int]:
        """Records that are not yet read."""
        return {self._input.partition: len(self._input) - self._next}

    def close(self) -> None:
        """Nothing is held open between polls but the input's own iterator."""
        self._records = iter(())

    def place_of(self, at: Partition, offset: int) -> Place:
        """How a position is to be recorded, for the sink."""
        return Place(offset, self._input.mark(offset))


def open_input(config: FilesConfig) -> FileInput:
    """The input in its configured or detected format."""
    kind = _kind(config)
    if kind == "folder":
        return FolderInput(config.input, labels=config.labels, class_folder=config.class_folder)
    if kind == "recorded":
        return RecordedInput(config.input)
    return (ManifestInput if kind == "manifest" else VectorsInput)(config.input, labels=config.labels)


def check_input(config: FilesConfig) -> None:
    """Look whether the input is of a known format, and through a list, and at a labels file; not for pictures."""
    if _kind(config) in ("manifest", "vectors"):
        open_input(config)
    if config.labels_file is not None:
        next(LabelLines(config.labels_file)(0), None)


def _kind(config: FilesConfig) -> str:
    """`folder`, `manifest`, `recorded` or `vectors`, as configured or detected."""
    try:
        is_folder, is_file, is_there = config.input.is_dir(), config.input.is_file(), config.input.exists()
    except OSError as error:  # such as a name that is too long
        raise TransportError(f"cannot read `files.input` {config.input}: {error.strerror}") from error
    if is_there and not is_folder and not is_file:  # nor waited for: nobody may ever write into a pipe
        raise TransportError(f"`files.input` {config.input} is neither a folder nor a file; name one that is")
    kind = _detect(config.input) if config.format == "auto" else config.format
    if kind == "folder" and not is_folder:
        raise TransportError(f"`files.input` {config.input} is not a folder; create it, or set `files.format`")
    if kind != "folder" and not is_file:
        raise TransportError(f"`files.input` {config.input} is not a file; create it, or set `files.format`")
    return kind


def _detect(path: Path) -> str:
    if path.is_dir():
        return "folder"
    if path.suffix.lower() in SUFFIXES:
        return "manifest"
    if path.suffix.lower() == SUFFIX:
        return "vectors"
    try:
        with path.open("rb") as file:
            first = next((line for line in file if line.strip()), b"")
    except OSError as error:
        raise TransportError(f"cannot read `files.input` {path}: {error.strerror}") from error
    try:
        fields = {name.strip().casefold() for name in json.loads(first)}
    except (ValueError, TypeError, AttributeError, RecursionError):
        fields = set()
    for kind, sign in (("recorded", {"topic", "value"}), ("manifest", {"path"})):
        if sign <= fields:
            return kind
    raise TransportError(
        f"cannot tell what `files.input` {path} is: expected a folder, a CSV with a column `path`, JSON lines with "
        f"`path`, a recording with `topic` and `value`, or vectors (.npz); its first line is {first[:80]!r}. Set "
        "`files.format`"
    )
