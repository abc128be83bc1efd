"""Files that commands write: whole or untouched, and links, pipes and devices left what they are."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_STANDARD_OUTPUT = 1


@contextmanager
def open_output(path: Path) -> Iterator[BinaryIO]:
    """A file to write what is to stand at `path`.

    Where there is a regular file, or nothing, it is replaced in one step when the block has ended well and all is on
    the disk; whoever reads sees the old file or the new one, and after an error the old one is untouched. A link is
    followed: what it points to is replaced. A pipe, a device or the standard output is written to as it is; these
    cannot be sought in.

    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    if is_standard_output(path):
        sys.stdout.flush()
        with os.fdopen(os.dup(_STANDARD_OUTPUT), "wb") as file:  # its place in the file is the shell's and ours
            yield file
        return
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        with path.open("wb") as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    scratch = target.with_name(f".{target.name}.new")
    scratch.unlink(missing_ok=True)  # of a run that was killed
    try:
        with scratch.open("xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name must survive a power cut too
    finally:
        os.close(folder)


def is_standard_output(path: Path) -> bool:
    """Whether what is written to `path` goes where messages go, which then have to go elsewhere."""
    with suppress(OSError):  # nothing there, or this process has no standard output
        return os.path.samestat(path.stat(), os.fstat(_STANDARD_OUTPUT))
    return False


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return None
