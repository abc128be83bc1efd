"""What is kept of an event until its label comes, and what became of that label: two records of the waiting topic.

An event's first record is written by the worker that read its picture, the second one by the worker that applies its
labels. Neither ever writes the other's key, so none can undo what the other knows.

Beside them are positions: how far labels were applied, and how far each partition of the input was read.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import TypeAdapter

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.headers import FORMAT, check_format, decode_headers
from stream_adapter.events.label import LabelEvent, LabelStamp
from stream_adapter.transport.base import OutRecord, Partition, Record

LABEL_PREFIX = "label/"
INPUT_PREFIX = "input/"
POSITION_KEY = "position"
WAITING_FORMAT = 1

LabelState = Literal["waiting", "learned", "scored", "withdrawn", "outdated"]
"""Its event is not known; an anchor; scored, but no anchor; taken back; not applied: `why` says it."""


@dataclass(frozen=True, slots=True, eq=False)
class WaitingEvent:
    """An event that was predicted and not labelled.

    Attributes:
        source, id: of the image event.
        time_ms: when it happened.
        topic, partition, offset: where it was read.
        fingerprint: the encoder that made the vector.
        vocabulary: hash of the classes that `anchored` is about.
        adapted, zero_shot: the class that each model put first, and its probability.
        undamped: the class that the adapted model put first before the guard.
        reference: where the picture is stored, where the event said so; else empty.
        anchored: bool (C,), packed: which classes had anchors then.
        vector: float32 (d,), unit, already rounded through float16; (0,) where it was let go of, and there is a
            reference.
    """

    source: str
    id: str
    time_ms: int
    topic: str
    partition: int
    offset: int
    fingerprint: str
    vocabulary: str
    adapted: tuple[str, float]
    zero_shot: tuple[str, float]
    undamped: str
    reference: str
    anchored: bytes = field(repr=False)
    vector: NDArray[np.float32] = field(repr=False)

    def without_vector(self) -> "WaitingEvent":
        """The same without its vector."""
        return replace(self, vector=self.vector[:0])

    def to_value(self) -> bytes:
        """A line of JSON, and after it the vector in float16."""
        document = {name: getattr(self, name) for name in _FIELDS}
        document["anchored"] = base64.b64encode(self.anchored).decode("ascii")
        return orjson.dumps(document) + b"\n" + self.vector.astype("<f2").tobytes()

    @classmethod
    def from_value(cls, value: bytes) -> "WaitingEvent":
        """Read it back."""
        line, _, vector = value.partition(b"\n")
        try:
            document = {"reference": "", **orjson.loads(line)}
            known = {name: read(document[name]) for name, read in _FIELDS.items()}
            known["anchored"] = base64.b64decode(document["anchored"])
            halves = np.frombuffer(vector, "<f2").astype(np.float32)  # (d,)
            if not len(halves) and known["reference"]:
                return cls(**known, vector=halves)
            with np.errstate(invalid="ignore"):
                norm = np.linalg.norm(halves, axis=-1, keepdims=True)
            if not abs(norm[0] - 1.0) <= 1e-2:
                raise ValueError(f"a vector of norm {norm[0]}")
            return cls(**known, vector=halves / norm)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise MalformedEvent(f"not a waiting event: {error!r}") from error


def _text(given: Any) -> str:
    if not isinstance(given, str):
        raise TypeError(f"{given!r:.80} is no text")
    return given


def _number(given: Any) -> int:
    if type(given) is not int or abs(given) >= 2**63:  # no broker wrote it, and no anchor could hold it
        raise TypeError(f"{given!r:.80} is no number of 64 bits")
    return given


def _top(pair: Sequence[Any]) -> tuple[str, float]:
    return _text(pair[0]), float(pair[1])


_FIELDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("source", "id", "topic", "fingerprint", "vocabulary", "undamped", "reference"), _text),
    **dict.fromkeys(("time_ms", "partition", "offset"), _number),
    **dict.fromkeys(("adapted", "zero_shot"), _top),
}


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """The newest label of an event, and what became of it.

    Attributes:
        event: the label event; its `record` is left out.
        place: topic, partition and offset that it was read from.
        state: see `LabelState`.
        why: why it was not learned; else empty.
        tested: whether a label of this event was scored already.
        worker: the slot that wrote this.
        at_ms: when, milliseconds since the epoch.
    """

    event: LabelEvent
    place: tuple[str, int, int]
    state: LabelState
    why: str
    tested: bool
    worker: str
    at_ms: int

    @property
    def stamp(self) -> LabelStamp:
        """The label event's."""
        return self.event.stamp

    def to_record(self) -> Record:
        """The label in a canonical form, as if read from where it was."""
        topic, partition, offset = self.place
        return replace(self.event.to_record(), partition=Partition(topic, partition), offset=offset)

    def to_value(self) -> bytes:
        """JSON."""
        document = {name: getattr(self, name) for name in _LABEL_FIELDS}
        document["event"] = {name: getattr(self.event, name) for name in _LABEL_EVENT_FIELDS}
        return orjson.dumps(document)

    @classmethod
    def from_value(cls, value: bytes) -> "LabelRecord":
        """Read it back."""
        try:
            one = _LABEL_RECORDS.validate_json(value)
            for number in (one.event.time_ms, one.at_ms, *one.place[1:]):
                _number(number)
        except (ValueError, TypeError) as error:
            raise MalformedEvent(f"not a label's state: {error}") from error
        return one


_LABEL_RECORDS = TypeAdapter(LabelRecord)
_LABEL_FIELDS = [one.name for one in fields(LabelRecord)]
_LABEL_EVENT_FIELDS = [one.name for one in fields(LabelEvent) if one.name != "record"]


@dataclass(frozen=True, slots=True)
class InputPosition:
    """How far a group has read a partition of the input, written in one transaction with what came of it.

    Attributes:
        offset: the next one to be read.
        topic_id: of the topic, as Kafka has it (KIP-516); None before 2.8.
        mark: of the commit; no two have the same.
    """

    offset: int
    topic_id: str | None
    mark: str

    @staticmethod
    def key(group: str, at: Partition) -> str:
        """The key of a group's position in a partition."""
        return f"{INPUT_PREFIX}{group}/{at}"

    def to_value(self) -> bytes:
        """JSON."""
        return orjson.dumps(self)

    @classmethod
    def from_record(cls, record: Record) -> "InputPosition":
        """Read it back.

        Raises:
            EventError: it is none, or one of a later format.
        """
        check_format(decode_headers(record.headers), WAITING_FORMAT, "an input's position")
        try:
            one = _INPUT_POSITIONS.validate_json(record.value or b"")
            _number(one.offset)
        except (ValueError, TypeError) as error:
            raise MalformedEvent(f"not an input's position: {error}") from error
        return one


_INPUT_POSITIONS = TypeAdapter(InputPosition)


def is_of_an_event(key: str) -> bool:
    """Whether a record with this key is what is kept of an event."""
    return key != POSITION_KEY and not key.startswith((LABEL_PREFIX, INPUT_PREFIX))


def waiting_record(
    key: str, value: bytes | None, number: int, at_ms: int | None = None, source: Partition | None = None
) -> OutRecord:
    """A record of the waiting topic.

    Args:
        key: an anchor id, `LABEL_PREFIX` and one, `InputPosition.key`, or `POSITION_KEY`.
        value: None deletes.
        number: partition of the waiting topic.
        at_ms: milliseconds since the epoch: its age counts from there; None for the time of writing.
        source: the input partition whose owner writes it, where a worker does.
    """
    return OutRecord("waiting", key.encode(), value, ((FORMAT, str(WAITING_FORMAT).encode()),), at_ms, source, number)
