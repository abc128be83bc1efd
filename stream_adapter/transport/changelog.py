"""The changelog: anchors and presence as they were written, restored at the start, followed while the worker runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import MalformedEvent, NewerFormat, Unreachable
from stream_adapter.events import FORGOTTEN, PRESENCE_PREFIX, AnchorRecord, PresenceRecord, anchor_vectors
from stream_adapter.transport.base import Record

_PRESENCE = PRESENCE_PREFIX.encode()


@dataclass(frozen=True, slots=True)
class Unusable:
    """What is no anchor and no presence record that could be read: somebody's mistake, or a newer version's."""

    reason: Literal["garbage", "newer_format"]
    error: str


@dataclass(frozen=True, slots=True)
class Change:
    """One record of the changelog.

    Attributes:
        key: an anchor's id, or `PRESENCE_PREFIX` and a `PresenceRecord.key`; empty where it cannot be told.
        content: what holds for the key from here on; None: it is deleted.
        own: whether this very process wrote it.
        forgotten: whether nothing else of the event may stay, either; only of a deletion.
        writer: who wrote it, as far as it says so.
    """

    key: str
    content: AnchorRecord | PresenceRecord | Unusable | None
    own: bool = False
    partition: int = 0
    offset: int = 0
    forgotten: bool = False
    writer: str = ""


class Changelog(Protocol):
    """The state of the model, and what happens to it. Used by one thread."""

    def read_to_end(self) -> Iterator[Sequence[Change]]:
        """All changes up to the end as it is now, oldest first for each key, in portions.

        The first call restores, from the beginning or from where `go_on_from` set it. A later one catches up.

        Raises:
            TransportError: the changelog cannot be read.
        """

    def poll(self) -> Sequence[Change]:
        """What was written since, in order, what this process wrote included; never waits.

        Raises:
            TransportError: the changelog cannot be read.
        """

    @property
    def positions(self) -> dict[int, int]:
        """For each partition the place after the last change that was delivered; where none was, it may be missing."""

    @property
    def identity(self) -> str:
        """Changes when the changelog was deleted and made anew: positions in the old one mean nothing then."""

    @property
    def deletions_kept_ms(self) -> int | None:
        """For how long deletions can be read, milliseconds: an older state may have missed some. None: for ever.

        Raises:
            TransportError: it cannot be looked up.
        """

    def go_on_from(self, positions: Mapping[int, int]) -> bool:
        """Begin at these positions; to be called before anything else.

        Returns:
            False where the changelog does not have them; it then begins at its beginning.
        """

    def close(self) -> None:
        """Release all handles."""


def in_larger_portions(portions: Iterable[Sequence[Change]], least: int) -> Iterator[Sequence[Change]]:
    """The same changes, at least so many at once but for the last: what a portion costs by itself is paid less often.

    Whoever goes by `Changelog.positions` must look at them only when a portion is there.

    Raises:
        Unreachable: the changelog has no answer any more; what it gave before that was given on.
    """
    gathered: list[Change] = []
    interrupted: Unreachable | None = None
    try:
        for portion in portions:
            gathered += portion
            if len(gathered) >= least:
                yield gathered
                gathered = []
    except Unreachable as error:
        interrupted = error
    if gathered:
        yield gathered
    if interrupted is not None:
        raise interrupted


def change_of(record: Record, writer: str = "") -> Change:
    """The change that one record is; see `changes_of`."""
    return changes_of([record], writer)[0]


def changes_of(records: Sequence[Record], writer: str = "") -> list[Change]:
    """The changes that records of the anchors topic are; what is no anchor, presence or deletion is `Unusable`.

    Args:
        records: as they were read; many at once cost far less each.
        writer: who reads; what has this writer's name is its own.
    """
    vectors = anchor_vectors([b"" if _is_presence(record) else record.value or b"" for record in records])
    return [_change_of(record, vector, writer) for record, vector in zip(records, vectors, strict=True)]


def _is_presence(record: Record) -> bool:
    return record.key is not None and record.key.startswith(_PRESENCE)


def _change_of(record: Record, vector: NDArray[np.float32] | None, writer: str) -> Change:
    content: AnchorRecord | PresenceRecord | Unusable | None
    key = ""
    try:
        if record.key is None:
            raise MalformedEvent("it has no key")
        key = record.key.decode()
        content = _content(key, record, vector)
    except NewerFormat as error:
        content = Unusable("newer_format", f"{record.partition} offset {record.offset}: {error}")
    except (MalformedEvent, UnicodeDecodeError) as error:
        content = Unusable("garbage", f"{record.partition} offset {record.offset}: {error}")
    wrote, at = _header_of(record, "writer") or "", record.partition.number
    forgotten = content is None and _header_of(record, FORGOTTEN) is not None
    return Change(key, content, wrote == writer, at, record.offset, forgotten, wrote)


def _content(key: str, record: Record, vector: NDArray[np.float32] | None) -> AnchorRecord | PresenceRecord | None:
    if record.value is None:
        return None
    if _is_presence(record):
        return PresenceRecord.from_record(key, record.value, record.headers)
    return AnchorRecord.from_record(record.key, record.value, record.headers, vector)


def _header_of(record: Record, wanted: str) -> str | None:
    for name, value in record.headers:
        if name == wanted:
            return value.decode(errors="replace")
    return None
