"""A folder of pictures, one subfolder a class: `root/CLASS/*.jpg`."""

import os
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import structlog

from stream_adapter.errors import TransportError
from stream_adapter.events.formats import picture_format
from stream_adapter.events.names import canonical_name
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files.pictures import CONTENT_TYPES, picture_record

log = structlog.get_logger(__name__)

# What storage devices and systems keep beside pictures: thumbnails, waste, copies of resource forks.
_SYSTEM_FOLDERS = {
    "@eadir", "#recycle", "#snapshot", "$recycle.bin", "__macosx", "lost+found", "system volume information"
}  # fmt: skip
_FIRST_BYTES = 256


class FolderInput:
    """The pictures below a folder in the order of their relative paths.

    Pictures are told by their suffix or, without a known one, by their first bytes. Links are followed. Hidden files
    and what systems keep beside pictures are left out, and what was left out is logged, by reason. Only the paths are
    held in memory.

    The label is the name of a folder on the way, see `class_folder`; pictures that lie directly in the root have none.

    A place in the order is kept as the path of the last picture, not as a number: after pictures were added or removed,
    a resumed run goes on with the first path after that one. Pictures added before it are not read then; put new ones
    into a folder of their own, or start with a new output folder.

    Args:
        labels: whether folder names are labels.
        class_folder: which one is: the picture's "own", or the "top" one below the root.
    """

    def __init__(self, root: Path, *, labels: bool, class_folder: Literal["own", "top"]) -> None:
        self._root = root
        self._labels = labels
        self._class_folder = class_folder
        self.partition = Partition(root.resolve().name, 0)
        left_out: Counter[str] = Counter()
        try:
            self._paths = sorted(_pictures(root, left_out))
        except OSError as error:
            raise TransportError(f"cannot read folder {error.filename}: {error.strerror}") from error
        said = ", ".join(f"{number} {reason}" for reason, number in left_out.most_common())
        if not self._paths:
            kinds = ", ".join(f"*{suffix}" for suffix in CONTENT_TYPES)
            said = f"; left out were {said}" if said else ""
            raise TransportError(f"folder {root} has no pictures; expected {root}/CLASS/ with {kinds}{said}")
        if said:
            log.warning("left out of the folder", folder=str(root), pictures=len(self._paths), left_out=said)

    def __len__(self) -> int:
        return len(self._paths)

    def records(self, start: int) -> Iterator[Record]:
        """The pictures from offset `start` on, read one by one."""
        for offset in range(start, len(self._paths)):
            relative = self._paths[offset]
            label = self._label(relative) if self._labels else None
            yield picture_record(self._root / relative, self.partition, offset, id=relative, label=label)

    def mark(self, offset: int) -> str | None:
        """The path of the last picture before `offset`, by which the place is found again."""
        return self._paths[offset - 1] if 0 < offset <= len(self._paths) else None

    def place(self, offset: int, mark: str | None) -> int:
        """The offset at which a run goes on that stopped at `offset` with this `mark`."""
        return offset if mark is None else bisect_right(self._paths, mark)

    def _label(self, relative: str) -> str | None:
        folders = relative.split("/")[:-1]
        if not folders:
            return None
        return canonical_name(folders[-1 if self._class_folder == "own" else 0]) or None


def _pictures(root: Path, left_out: Counter[str]) -> Iterator[str]:
    """The relative paths of the pictures below `root`, in no order; counts what is none, by reason."""
    # Each folder with those that it lies in, as they are on the disk: a link to one of them leads round in circles.
    todo = [(root, "", frozenset({_identity(root.stat())}))]
    while todo:
        folder, prefix, above = todo.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    left_out["hidden"] += 1
                elif entry.is_dir():
                    here = _identity(entry.stat())
                    if entry.name.lower() in _SYSTEM_FOLDERS:
                        left_out["system folders"] += 1
                    elif here in above:
                        left_out["links back to a folder above"] += 1
                    else:
                        todo.append((Path(entry.path), f"{prefix}{entry.name}/", above | {here}))
                elif not entry.is_file():
                    left_out["neither file nor folder"] += 1
                elif _is_picture(entry):
                    yield prefix + entry.name
                else:
                    left_out["not pictures"] += 1


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def _is_picture(entry: "os.DirEntry[str]") -> bool:
    """By suffix, so that not every file is opened; a broken one shows when it is decoded. Else by its first bytes."""
    if Path(entry.name).suffix.lower() in CONTENT_TYPES:
        return True
    try:
        with open(entry.path, "rb") as file:  # noqa: PTH123 - a path for each of millions of files
            return picture_format(file.read(_FIRST_BYTES)) is not None
    except OSError:
        return False
