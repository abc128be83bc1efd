"""A folder of pictures, one subfolder a class: `root/CLASS/**/*.jpg`."""

import os
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files.pictures import CONTENT_TYPES, picture_record


class FolderInput:
    """The pictures below a folder in the order of their relative paths; hidden files and other kinds are left out.

    Only the paths are held in memory. The label is the name of the first folder on the way; pictures that lie directly
    in the root have none.

    A place in the order is kept as the path of the last picture, not as a number: after pictures were added or removed,
    a resumed run goes on with the first path after that one. Pictures added before it are not read then; put new ones
    into a folder of their own, or start with a new output folder.

    Args:
        root: the folder.
        labels: whether folder names are labels.

    Raises:
        TransportError: the folder cannot be read or has no picture.
    """

    def __init__(self, root: Path, *, labels: bool) -> None:
        self._root = root
        self._labels = labels
        self.partition = Partition(root.resolve().name, 0)
        try:
            self._paths = sorted(_pictures(root))
        except OSError as error:
            raise TransportError(f"cannot read folder {error.filename}: {error.strerror}") from error
        if not self._paths:
            kinds = ", ".join(f"*{suffix}" for suffix in CONTENT_TYPES)
            raise TransportError(f"folder {root} has no pictures; expected {root}/CLASS/ with {kinds}")

    def __len__(self) -> int:
        return len(self._paths)

    def records(self, start: int) -> Iterator[Record]:
        """The pictures from offset `start` on, read one by one."""
        for offset in range(start, len(self._paths)):
            relative = self._paths[offset]
            folder, slash, _ = relative.partition("/")
            label = folder if self._labels and slash else None
            yield picture_record(self._root / relative, self.partition, offset, id=relative, label=label)

    def mark(self, offset: int) -> str | None:
        """The path of the last picture before `offset`, by which the place is found again."""
        return self._paths[offset - 1] if 0 < offset <= len(self._paths) else None

    def place(self, offset: int, mark: str | None) -> int:
        """The offset at which a run goes on that stopped at `offset` with this `mark`."""
        return offset if mark is None else bisect_right(self._paths, mark)


def _pictures(root: Path) -> Iterator[str]:
    """The relative paths of the pictures below `root`, in no order."""

    def fail(error: OSError) -> None:
        raise error

    for folder, subfolders, names in os.walk(root, onerror=fail):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        relative = Path(folder).relative_to(root)
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in CONTENT_TYPES:
                yield (relative / name).as_posix()
