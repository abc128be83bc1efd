"""Dead letters: what becomes of an event that cannot be used, how it is read back, and when there are too many.

Policy and record are apart, as in getsentry/arroyo's `dlq.py`; the producer is the sink.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from stream_adapter import config
from stream_adapter.errors import DeadLetterLimitExceeded, EventError, MalformedEvent, UnexpectedFailure
from stream_adapter.transport.base import OutRecord, Partition, Record

log = structlog.get_logger(__name__)

# Kafka Connect's names and text values, so that the tools that know its dead letter queues know ours.
TOPIC = "__connect.errors.topic"
PARTITION = "__connect.errors.partition"
OFFSET = "__connect.errors.offset"
STAGE = "__connect.errors.stage"
EXCEPTION_CLASS = "__connect.errors.exception.class.name"
EXCEPTION_MESSAGE = "__connect.errors.exception.message"
VALUE_OMITTED = "stream_adapter.value.omitted"
FORMAT = "stream_adapter.format"  # of these headers
HEADER_NAMES = (TOPIC, PARTITION, OFFSET, STAGE, EXCEPTION_CLASS, EXCEPTION_MESSAGE, FORMAT)

_SHOWN_REASONS = 3
_SHOWN_CHARACTERS = 200


def dead_letter(record: Record, error: EventError) -> OutRecord:
    """The record for the dead letters: key, value, headers and time of the original, untouched, and why it is there.

    The reasons are appended after the original's headers, so that a dead letter that fails again keeps its first
    reasons, and `undo` takes off exactly the last ones.
    """
    kind = type(error.error if isinstance(error, UnexpectedFailure) else error)
    texts = (
        record.partition.topic,
        str(record.partition.number),
        str(record.offset),
        error.stage,
        f"{kind.__module__}.{kind.__qualname__}",
        str(error),
        "1",
    )
    reasons = tuple((name, text.encode("utf-8", "replace")) for name, text in zip(HEADER_NAMES, texts, strict=True))
    timestamp_ms = record.timestamp_ms if record.timestamp_ms >= 0 else None
    return OutRecord(
        "dead_letters", record.key, record.value, record.headers + reasons, timestamp_ms, source=record.partition
    )


def without_value(letter: OutRecord, max_bytes: int) -> OutRecord:
    """The letter as it is where it fits into `max_bytes`, else without its value and with a header that says so.

    The original is still where the reasons say; without this, one picture that the topic for dead letters does not take
    would stop every worker that reads it.
    """
    if size_of(letter) <= max_bytes:
        return letter
    omitted = (VALUE_OMITTED, f"{len(letter.value or b'')} bytes; the topic takes records of {max_bytes}".encode())
    return replace(letter, value=b"", headers=(*letter.headers, omitted))


def size_of(output: OutRecord) -> int:
    """Bytes of a record's key, value and headers."""
    headers = sum(len(name.encode()) + len(value) for name, value in output.headers)
    return len(output.key or b"") + len(output.value or b"") + headers


def undo(letter: Record) -> Record:
    """The original of a dead letter, byte for byte, with the partition and offset that it was first read from.

    Raises:
        MalformedEvent: the record is not a dead letter of ours, or its value was too large to be kept.
    """
    count = len(HEADER_NAMES)
    if letter.headers and letter.headers[-1][0] == VALUE_OMITTED:
        raise MalformedEvent(
            f"{letter.partition} offset {letter.offset} was too large to be kept ("
            f"{letter.headers[-1][1].decode(errors='replace')}); its headers say where the original is"
        )
    reasons = dict(letter.headers[-count:])
    if tuple(name for name, _ in letter.headers[-count:]) != HEADER_NAMES:
        raise MalformedEvent(
            f"{letter.partition} offset {letter.offset} is not a dead letter: its last {count} headers are not "
            f"{HEADER_NAMES[0]} … {HEADER_NAMES[-1]}"
        )
    try:
        partition = Partition(reasons[TOPIC].decode(), int(reasons[PARTITION]))
        offset = int(reasons[OFFSET])
    except ValueError as error:
        raise MalformedEvent(
            f"{letter.partition} offset {letter.offset} names no origin: partition {reasons[PARTITION]!r}, offset "
            f"{reasons[OFFSET]!r}"
        ) from error
    return Record(partition, offset, letter.timestamp_ms, letter.key, letter.value, letter.headers[:-count])


def reason(letter: Record) -> str:
    """Stage and message of a dead letter, for people.

    Raises:
        MalformedEvent: the record is not a dead letter of ours.
    """
    reasons = dict(letter.headers)
    if STAGE not in reasons or EXCEPTION_MESSAGE not in reasons:
        raise MalformedEvent(f"{letter.partition} offset {letter.offset} is not a dead letter: it has no reasons")
    return f"{reasons[STAGE].decode(errors='replace')}: {reasons[EXCEPTION_MESSAGE].decode(errors='replace')}"


class DeadLetterLimit:
    """Tells a flood of bad events, and stops a worker that got nothing else.

    A flood is more than `max_share` bad ones among the newest `window` events; below `min_events` events nothing is
    said, because the first event alone would be 100 %. Where good events came too, a flood is for people to look at: a
    worker that stopped would keep the good ones waiting, and so would its successor. Where none did, something is wrong
    with the set-up, and a whole topic must not end in the dead letters.

    Args:
        limit: window, share and minimum; a share of 1 is never exceeded.
        flood: called after each batch with whether there is one.
    """

    def __init__(self, limit: config.DeadLetterLimit, flood: Callable[[bool], object] = lambda now: None) -> None:
        self._limit = limit
        self._report_flood = flood
        self._recent: deque[tuple[str, str] | None] = deque(maxlen=limit.window)  # (kind, message) of a bad event
        self._bad = 0
        self._good_came = False
        self._flood = False

    @property
    def share(self) -> float:
        """The share of bad events in the window, 0..1."""
        return self._bad / len(self._recent) if self._recent else 0.0

    def observe(self, good: int, bad: Sequence[EventError]) -> None:
        """Count the events of one batch.

        Raises:
            DeadLetterLimitExceeded: nothing but bad events came since the start; the message has the figures and the
                most frequent reasons.
        """
        self._good_came = self._good_came or good > 0
        for error in bad:
            self._add((f"{error.stage}/{type(error).__name__}", str(error)[:_SHOWN_CHARACTERS]))
        for _ in range(min(good, self._limit.window)):
            self._add(None)
        flood = len(self._recent) >= self._limit.min_events and self.share > self._limit.max_share
        if flood and not self._good_came:
            raise DeadLetterLimitExceeded(
                f"all of the first {len(self._recent)} events are bad: {self._reasons()}. Look at the producer, at the "
                "vocabulary and at `events.format` before you start the worker again; nothing is lost, it goes on "
                "where it stopped. `dead_letters.max_share: 1.0` lets it go on whatever comes"
            )
        if flood and not self._flood:
            log.warning("flood of bad events", bad=self._bad, of=len(self._recent), reasons=self._reasons())
        elif self._flood and not flood:
            log.info("the flood of bad events is over", share=round(self.share, 3))
        self._flood = flood
        self._report_flood(flood)

    def _add(self, event: tuple[str, str] | None) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._bad -= self._recent[0] is not None
        self._recent.append(event)
        self._bad += event is not None

    def _reasons(self) -> str:
        bad = [event for event in self._recent if event is not None]
        newest = dict(bad)
        kinds = Counter(kind for kind, _ in bad).most_common(_SHOWN_REASONS)
        return "; ".join(f"{number} × {kind}, such as {newest[kind]!r}" for kind, number in kinds)
