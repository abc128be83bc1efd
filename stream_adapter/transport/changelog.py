"""The anchors as they were written: restored at the start, followed while the worker runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from stream_adapter.errors import MalformedEvent
from stream_adapter.events import AnchorRecord
from stream_adapter.transport.base import Record

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AnchorDeletion:
    """An anchor that is no more.

    Attributes:
        anchor_id: which one.
    """

    anchor_id: str


AnchorChange = AnchorRecord | AnchorDeletion


class AnchorChangelog(Protocol):
    """The state of the model, and what others do to it. Used by one thread."""

    def restore(self) -> Iterator[Sequence[AnchorChange]]:
        """All changes up to now, oldest first, in portions; to be read to its end before the first `poll`.

        Raises:
            TransportError: the changelog cannot be read.
        """

    def poll(self) -> Sequence[AnchorChange]:
        """What others wrote since, in order; never waits, and leaves out what this process wrote itself.

        Raises:
            TransportError: the changelog cannot be read.
        """

    def close(self) -> None:
        """Release all handles."""


def change_of(record: Record) -> AnchorChange | None:
    """The change that a record of the anchors topic is; None for one that is neither anchor nor deletion.

    Such a record is somebody's mistake and is logged: it must not keep every worker from starting.
    """
    try:
        if record.value is None:
            if record.key is None:
                raise MalformedEvent("neither key nor value")
            return AnchorDeletion(record.key.decode())
        return AnchorRecord.from_record(record.key, record.value, record.headers)
    except (MalformedEvent, UnicodeDecodeError) as error:
        log.warning(
            "skipped a record that is no anchor",
            partition=str(record.partition),
            offset=record.offset,
            error=str(error),
        )
        return None


def writer_of(record: Record) -> str | None:
    """Who wrote a record of the anchors topic."""
    return next((value.decode(errors="replace") for name, value in record.headers if name == "writer"), None)
