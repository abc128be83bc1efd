"""A picture file as the record of an image event."""

from pathlib import Path, PurePosixPath
from urllib.parse import quote

from stream_adapter.events import image_event_headers
from stream_adapter.events.formats import picture_format
from stream_adapter.transport.base import UNREADABLE, Partition, Record

CONTENT_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}

_LARGEST_FILE = 256 * 2**20  # a mistake, not a picture; reading it would take the worker's memory


def picture_record(
    path: Path | str,
    partition: Partition,
    offset: int,
    *,
    id: str,
    source: str | None = None,
    label: str | None = None,
    time_ms: int | None = None,
) -> Record:
    """Read a picture; a file that cannot be read becomes a record without value that says why.

    Args:
        path: the picture's file; a reference, as text, is not read but referred to.
        partition: the input that it belongs to.
        offset: its place there.
        id: CloudEvents id, and the record's key.
        source: CloudEvents source; the input's name where None.
        label: class name, or None.
        time_ms: event time, milliseconds since the epoch; the file's modification time where None.
    """
    if isinstance(path, str):
        kind = CONTENT_TYPES.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")
        headers = image_event_headers(
            source=source or source_name(partition.topic),
            id=id,
            content_type=kind,
            time_ms=time_ms,
            label=label,
            reference=path,
        )
        return Record(partition, offset, time_ms or 0, id.encode(), b"", headers)
    value, reason = None, ""
    try:
        stat = path.stat()
        time_ms = int(stat.st_mtime * 1000) if time_ms is None else time_ms
        if not path.is_file():
            reason = f"{path} is not a file"
        elif stat.st_size > _LARGEST_FILE:
            reason = f"{path} has {stat.st_size} bytes, more than the {_LARGEST_FILE} that a picture may have"
        else:
            value = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = f"cannot read {path}: {getattr(error, 'strerror', None) or error}"
    known = picture_format(value or b"")
    id, label = _text(id), None if label is None else _text(label)
    headers = image_event_headers(
        source=source or source_name(partition.topic),
        id=id,
        content_type=known.media_type if known else CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream"),
        time_ms=time_ms,
        label=label,
    )
    if value is None:
        headers += ((UNREADABLE, reason.encode("utf-8", "replace")),)
    return Record(partition, offset, time_ms or 0, id.encode(), value, headers)


def source_name(name: str) -> str:
    """An input's name as a CloudEvents source, which is a URI reference."""
    return quote(name, errors="surrogateescape")


def _text(name: str) -> str:
    """A file's name as text: names that are not UTF-8 come from the system with surrogates in them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
