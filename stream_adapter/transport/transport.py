"""`Transport`: all that the package asks of the outside, behind one object that is made from the configuration.

A worker gets source, sink and changelog from it; the commands beside the worker read and write by role. Whoever brings
another one registers it under a name, see `plugins.py` and docs/plugins.md.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from pydantic import BaseModel

from stream_adapter.transport.base import OutRecord, Record, Sink, Source
from stream_adapter.transport.changelog import Changelog
from stream_adapter.transport.labels import LabelFeed

Role = Literal["images", "predictions", "anchors", "classes", "dead_letters", "drift", "labels", "waiting", "to_label"]
"""What records are for: the input, or one of the channels of an `OutRecord`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a production got.

    Attributes:
        sent: records that are where they were sent, durably.
        refused: records that were not sent, by reason.
        finished: whether this is the last word.
    """

    sent: int
    refused: Counter[str]
    finished: bool


class Log(Protocol):
    """The records of a role in their order, to be read outside of any worker. Used by one thread."""

    @property
    def name(self) -> str:
        """What people call it: a topic, a file."""

    def ends(self) -> dict[int, int]:
        """For each partition the offset after its last record.

        Raises:
            TransportError: it cannot be read.
        """

    def ends_at(self, time_ms: int) -> dict[int, int]:
        """For each partition the offset of the first record later than this, or its end.

        Args:
            time_ms: by the log's own clock, milliseconds since the epoch.

        Raises:
            TransportError: it cannot be read.
        """

    def portions(self, until: Mapping[int, int] | None = None) -> Iterator[Sequence[Record]]:
        """The records up to the end as it is now, each partition in order, in portions.

        Args:
            until: for some partitions, an offset at which to end earlier.

        Raises:
            TransportError: it cannot be read.
        """

    def new(self) -> Sequence[Record]:
        """What has come since `portions` or this was read to the end; never waits.

        Raises:
            TransportError: it cannot be read.
        """

    def commit(self, records: Sequence[Record]) -> None:
        """Keep the place after these records for the next reader of the same name, where places are kept.

        Raises:
            TransportError: it could not be kept.
        """

    @property
    def whole_for_ms(self) -> int | None:
        """For how long all records are there before any may be compacted away, milliseconds; None: for ever.

        Raises:
            TransportError: it cannot be looked up.
        """

    def close(self) -> None:
        """Release all handles."""


class Transport(Protocol):
    """One way in and out. Making it opens nothing; its methods do.

    Attributes:
        Settings: the keys that it takes, as a pydantic model (`stream_adapter.config.Section` refuses unknown ones). It
            is made with an instance of this as its only argument.
    """

    Settings: ClassVar[type[BaseModel]]

    @property
    def worker_name(self) -> str | None:
        """What this worker is called after a restart too, different from every other worker's; None: it has no name."""

    def connect(self, stack: contextlib.ExitStack) -> tuple[Source, Sink]:
        """A worker's way in and way out, to be closed by `stack`.

        Raises:
            TransportError: they cannot be opened.
        """

    def open_changelog(self, writer: str) -> Changelog:
        """The anchors as they were written; `writer` is who reads, and knows its own records by the name.

        Raises:
            TransportError: it cannot be opened.
        """

    def open_labels(self) -> LabelFeed | None:
        """Labels that come apart from their events; None where this transport brings none.

        Where it does, its sink takes the channel `waiting`, and `write` the channel `labels`, too.

        Raises:
            TransportError: they cannot be opened.
        """

    def open_log(self, role: Role, reader: str | None = None) -> Log:
        """The records of a role, for a command.

        Args:
            role: which.
            reader: begins where the last reader of this name committed, if the transport keeps places; otherwise, and
                without a name, at the beginning.

        Raises:
            TransportError: it cannot be opened.
        """

    def write(self, outputs: Sequence[OutRecord]) -> None:
        """Write outputs to their channels beside a worker, or in its absence; returns when they are durable.

        Raises:
            TransportError: they were not written.
        """

    def produce(self, records: Iterable[Record], *, rate: float | None = None) -> Iterator[Progress]:
        """Send records to the images: key, value, headers and time as they are.

        A record without a value, or that is too large, is refused and counted. Nothing is sent unless the progress is
        consumed.

        Args:
            records: read one by one, as they are sent.
            rate: records a second at most; None for as fast as they are taken.

        Yields:
            The progress, a few times a second, and at the end with `finished` set.

        Raises:
            TransportError: nothing is taken any more, or this transport takes no records.
        """

    def resend(self) -> contextlib.AbstractContextManager[Callable[[Sequence[Record]], None]]:
        """Gives back what was read before: entered, it is a function that sends records to where they came from.

        The function returns when they are durable, and raises a `TransportError` where they are not taken.
        """


def read_all(transport: Transport, role: Role) -> Iterator[Record]:
    """Every record of a role that is there now, each partition in order.

    Raises:
        TransportError: they cannot be read.
    """
    with contextlib.closing(transport.open_log(role)) as log:
        for portion in log.portions():
            yield from portion
