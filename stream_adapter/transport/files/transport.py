"""`FileTransport`: a folder, manifest or recording as input, a folder of JSON lines as output."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from stream_adapter.config import FilesConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Commit, OutRecord, Partition, Record
from stream_adapter.transport.files.changelog import FileChangelog
from stream_adapter.transport.files.labels import LabelLines, WaitingLines
from stream_adapter.transport.files.recording import RecordedInput, size_of
from stream_adapter.transport.files.sink import CLASSES, FILES, WAITING, FileSink, append_classes, append_labels
from stream_adapter.transport.files.source import FileSource, open_input
from stream_adapter.transport.labels import SingleLabelFeed
from stream_adapter.transport.recorded import to_line
from stream_adapter.transport.single_log import SingleLog
from stream_adapter.transport.transport import Progress, Role

_REPLAY = "replay.jsonl"
# What only a worker writes. Anchors may be imported before the first one runs.
_RESULTS = ("predictions", "drift", "to_label")


class FileTransport:
    """Files in, files out; see `Transport`. One worker at a time has the output folder."""

    Settings: ClassVar[type[BaseModel]] = FilesConfig

    def __init__(self, settings: FilesConfig) -> None:
        self._settings = settings

    @property
    def worker_name(self) -> str | None:
        """Always the same: there is one worker."""
        return "files"

    def connect(self, stack: contextlib.ExitStack) -> tuple[FileSource, FileSink]:
        """Source and sink; see `Transport.connect`."""
        source = stack.enter_context(contextlib.closing(FileSource(self._settings)))
        return source, stack.enter_context(contextlib.closing(FileSink(self._settings, source)))

    def open_changelog(self, writer: str) -> FileChangelog:
        """The anchors in the output folder."""
        return FileChangelog(self._settings, writer)

    def open_labels(self) -> SingleLabelFeed | None:
        """The labels file, where there is one, those that are appended while the worker runs included."""
        path = self._settings.labels_file
        return (
            None if path is None else SingleLabelFeed(WaitingLines(self._settings.output / WAITING), LabelLines(path))
        )

    def open_log(self, role: Role, reader: str | None = None) -> SingleLog:
        """The input, or an output. No reader's place is kept."""
        if role == "images":
            images = open_input(self._settings)
            return SingleLog(images.partition.topic, lambda: images.records(0))
        if role == "labels":
            path = self._labels_file()
            return SingleLog(path.name, lambda: LabelLines(path)(0))
        path = self._settings.output / (CLASSES if role == "classes" else FILES[role])
        if role in _RESULTS and size_of(path) is None:
            raise TransportError(f"cannot read {path}: there is no such file; did a worker run with this output?")
        return SingleLog(path.name, lambda: self._outputs(role, path), lambda: size_of(path) or 0)

    def write(self, outputs: Sequence[OutRecord]) -> None:
        """Append to the outputs, where no worker runs, and to labels and classes, also while one does."""
        append_labels(self._settings.labels_file, [output for output in outputs if output.channel == "labels"])
        append_classes(self._settings.output, outputs)
        outputs = [output for output in outputs if output.channel not in ("labels", "classes")]
        if not outputs:
            return
        with contextlib.closing(FileSink(self._settings, FileSource(self._settings))) as sink:
            sink.commit(Commit(outputs))
            sink.erase(outputs)

    def produce(self, records: Iterable[Record], *, rate: float | None = None) -> Iterator[Progress]:
        """Nothing can be sent."""
        raise TransportError(
            f"`transport: files` reads its pictures where they are, nothing can be sent; put them into "
            f"{self._settings.input}, or set `transport: kafka`"
        )

    @contextlib.contextmanager
    def resend(self) -> Iterator[Callable[[Sequence[Record]], None]]:
        """Into `replay.jsonl` in the output folder, a recorded topic to run on; an older one is replaced."""
        path = self._settings.output / _REPLAY
        try:
            with path.open("wb") as lines:
                yield lambda records: lines.writelines(map(to_line, records))
        except OSError as error:
            raise TransportError(f"cannot write {path}: {error.strerror}") from error

    def _labels_file(self) -> Path:
        if self._settings.labels_file is None:
            raise TransportError("labels have no file to go to; set `files.labels_file`")
        return self._settings.labels_file

    def _outputs(self, role: str, path: Path) -> Iterator[Record]:
        if size_of(path) is None:
            return
        if role == "predictions":  # written without their envelope
            at = Partition(path.name, 0)
            try:
                with path.open("rb") as lines:
                    for number, line in enumerate(lines):
                        yield Record(at, number, -1, None, line.rstrip(b"\n"))
            except OSError as error:
                raise TransportError(f"cannot read {path}: {error.strerror}") from error
        else:
            yield from RecordedInput(path).records(0)
