"""`FileAnchorChangelog`: the anchors that earlier runs left in the output folder."""

from collections.abc import Iterator, Sequence
from itertools import islice

from stream_adapter.config import FilesConfig
from stream_adapter.errors import MalformedEvent, TransportError
from stream_adapter.transport.changelog import AnchorChange, change_of
from stream_adapter.transport.files.recording import whole_lines
from stream_adapter.transport.files.sink import ANCHORS
from stream_adapter.transport.recorded import from_line

_PORTION = 1_000


class FileAnchorChangelog:
    """Reads `anchors.jsonl` at the start; nobody else writes to it, so nothing comes later.

    Args:
        config: names the output folder.
    """

    def __init__(self, config: FilesConfig) -> None:
        self._path = config.output / ANCHORS

    def restore(self) -> Iterator[Sequence[AnchorChange]]:
        """All changes, oldest first; see `AnchorChangelog.restore`."""
        if not self._path.exists():
            return
        numbered = enumerate(whole_lines(self._path), 1)
        while portion := list(islice(numbered, _PORTION)):
            read = (self._change(number, line) for number, line in portion)
            yield [change for change in read if change is not None]

    def poll(self) -> Sequence[AnchorChange]:
        """Nothing."""
        return ()

    def close(self) -> None:
        """Nothing is held open."""

    def _change(self, number: int, line: bytes) -> AnchorChange | None:
        try:
            return change_of(from_line(line))
        except MalformedEvent as error:
            raise TransportError(f"{self._path} line {number} is not a recorded record: {error}") from error
