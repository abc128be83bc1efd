"""The changelog: anchors and presence as they were written, restored at the start, followed while the worker runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from stream_adapter.errors import MalformedEvent, NewerFormat, Unreachable
from stream_adapter.events import FORGOTTEN, PRESENCE_PREFIX, AnchorRecord, PresenceRecord
from stream_adapter.events.headers import header_of
from stream_adapter.transport.base import Record


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
    """The change that a record of the anchors topic is; what is neither anchor nor presence nor deletion is `Unusable`.

    Args:
        record: as it was read.
        writer: who reads; what has this writer's name is its own.
    """
    content: AnchorRecord | PresenceRecord | Unusable | None
    key = ""
    try:
        if record.key is None:
            raise MalformedEvent("it has no key")
        key = record.key.decode()
        if record.value is None:
            content = None
        elif key.startswith(PRESENCE_PREFIX):
            content = PresenceRecord.from_record(key, record.value, record.headers)
        else:
            content = AnchorRecord.from_record(record.key, record.value, record.headers)
    except NewerFormat as error:
        content = Unusable("newer_format", f"{record.partition} offset {record.offset}: {error}")
    except (MalformedEvent, UnicodeDecodeError) as error:
        content = Unusable("garbage", f"{record.partition} offset {record.offset}: {error}")
    wrote, at = header_of(record.headers, "writer") or "", record.partition.number
    forgotten = content is None and header_of(record.headers, FORGOTTEN) is not None
    return Change(key, content, wrote == writer, at, record.offset, forgotten, wrote)
