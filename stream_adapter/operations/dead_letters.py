"""Dead letters from an operator's side: what is there, and sending the originals back."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from stream_adapter.config import Config
from stream_adapter.errors import MalformedEvent
from stream_adapter.transport import dead_letters
from stream_adapter.transport.base import Record
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import read_all

_REPLAY = "dead-letters-replay"  # who reads, for the place that is kept


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter for a person.

    Attributes:
        origin: where the event came from, such as "images-0@17".
    """

    origin: str
    stage: str
    reason: str
    key: str
    bytes: int
    record: Record


def letter_of(record: Record) -> Letter:
    """Read a dead letter.

    Raises:
        MalformedEvent: the record is not one of ours.
    """
    stage, _, reason = dead_letters.reason(record).partition(": ")
    headers = dict(record.headers)
    try:
        place = [headers[name].decode() for name in (dead_letters.TOPIC, dead_letters.PARTITION, dead_letters.OFFSET)]
    except (KeyError, UnicodeDecodeError) as error:  # others write to this topic, too, with headers of these names
        raise MalformedEvent(
            f"{record.partition} offset {record.offset} is not a dead letter: it names no origin ({error})"
        ) from error
    origin = "{}-{}@{}".format(*place)
    key = (record.key or b"").decode(errors="replace")
    return Letter(origin, stage, reason, key, len(record.value or b""), record)


def read_letters(config: Config) -> Iterator[Letter]:
    """All dead letters that are there now, oldest first; what is none is left out."""
    for record in read_all(transport_of(config), "dead_letters"):
        with contextlib.suppress(MalformedEvent):
            yield letter_of(record)


def replay(config: Config, *, stage: str | None = None) -> Counter[str]:
    """Send the originals back to where they came from.

    Without a stage, each letter once: the next call goes on where this one ended, if the transport keeps places. With a
    stage, all letters of that stage, also those that were sent back before: where a call ended says nothing about
    letters that it passed over.

    Returns:
        How many were "sent", "passed over" (another stage) and "unusable" (no dead letter, or without its value).
    """
    transport = transport_of(config)
    counts: Counter[str] = Counter()
    reader = None if stage else _REPLAY
    with contextlib.closing(transport.open_log("dead_letters", reader)) as letters, transport.resend() as send:
        for records in letters.portions():
            originals = (_original(record, stage, counts) for record in records)
            send([original for original in originals if original is not None])
            if reader is not None:
                # After they are there: a crash in between sends some twice, and twice teaches once.
                letters.commit(records)
    return counts


def _original(record: Record, stage: str | None, counts: Counter[str]) -> Record | None:
    try:
        if stage is not None and letter_of(record).stage != stage:
            counts["passed over"] += 1
            return None
        original = dead_letters.undo(record)
    except MalformedEvent:
        counts["unusable"] += 1
        return None
    counts["sent"] += 1
    return original
