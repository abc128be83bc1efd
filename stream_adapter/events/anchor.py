"""The anchor record: a labelled vector, what the adapter learns from and the state that is kept."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stream_adapter.errors import MalformedEvent
from stream_adapter.events.headers import FORMAT, check_format, decode_headers, format_time, parse_time
from stream_adapter.transport.base import Headers, OutRecord, Partition

ANCHOR_FORMAT = 1

FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True, eq=False)
class AnchorRecord:
    """A labelled vector: what the adapter learns from, and the state that is kept.

    Attributes:
        anchor_id: 32 hex digits, see `ImageEvent.anchor_id`.
        vector: unit image vector, float32 (d,), already rounded through float16.
        event_time_ms: the labelled event's time, milliseconds since the epoch.
        event_source: with `event_id` CloudEvents' identity of the labelled event.
        topic: with `partition` and `offset` where the labelled event was.
        fingerprint: the encoder that made the vector.
        annotator: who labelled it; empty where nobody says.
        reference: where the picture is stored, of an event that said so.
    """

    anchor_id: str
    vector: np.ndarray = field(repr=False)
    label: str
    event_time_ms: int
    event_source: str
    event_id: str
    topic: str
    partition: int
    offset: int
    fingerprint: str
    annotator: str = ""
    reference: str = ""

    @property
    def stamp(self) -> tuple[int, int, int]:
        """As `Anchor.stamp`: of two records of the same anchor the larger one counts, whichever was written last."""
        return self.event_time_ms, self.partition, self.offset

    def to_record(self, writer: str) -> OutRecord:
        """The record for the compacted anchors topic.

        Args:
            writer: names the process that writes, so that it knows its own records when it reads the topic.
        """
        headers = {
            "label": self.label,
            "event_time": format_time(self.event_time_ms),
            "event_source": self.event_source,
            "event_id": self.event_id,
            "source_topic": self.topic,
            "source_partition": str(self.partition),
            "source_offset": str(self.offset),
            "fingerprint": self.fingerprint,
            "writer": writer,
            FORMAT: str(ANCHOR_FORMAT),
        }
        if self.annotator:
            headers["annotator"] = self.annotator
        if self.reference:
            headers["reference"] = self.reference
        return OutRecord(
            "anchors",
            self.anchor_id.encode(),
            self.vector.astype("<f2").tobytes(),
            tuple((name, value.encode()) for name, value in headers.items()),
            source=Partition(self.topic, self.partition),
        )

    @classmethod
    def from_record(
        cls, key: bytes | None, value: bytes, headers: Headers, vector: np.ndarray | None = None
    ) -> "AnchorRecord":
        """Read an anchor back; `vector` is what `anchor_vectors` made of the value, where that was done already."""
        fields = decode_headers(headers)
        check_format(fields, ANCHOR_FORMAT, "an anchor record")
        try:
            vector = anchor_vectors([value])[0] if vector is None else vector
            if key is None or vector is None:
                raise ValueError(f"key {key!r} with {len(value)} bytes that are no unit vector in float16")
            partition, offset = int(fields["source_partition"]), int(fields["source_offset"])
            if max(abs(partition), abs(offset)) >= 2**63:  # no broker wrote it, and no snapshot could hold it
                raise ValueError(f"partition {partition}, offset {offset}")
            return cls(
                anchor_id=key.decode(),
                vector=vector,
                label=fields["label"],
                event_time_ms=parse_time(fields["event_time"], "`event_time`"),
                event_source=fields["event_source"],
                event_id=fields["event_id"],
                topic=fields["source_topic"],
                partition=partition,
                offset=offset,
                fingerprint=fields["fingerprint"],
                annotator=fields.get("annotator", ""),
                reference=fields.get("reference", ""),
            )
        except (KeyError, ValueError) as error:
            raise MalformedEvent(
                f"not an anchor record ({error!r}); was something else written to this topic?"
            ) from error


def anchor_vectors(values: Sequence[bytes]) -> list[np.ndarray | None]:
    """What the values of anchor records hold: float32 (d,) each, as `round_through_float16` has it; None: no vector.

    Many at once cost a tenth of one by one; they share memory with each other.
    """
    found: list[np.ndarray | None] = [None] * len(values)
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, value in enumerate(values):
        by_length[len(value)].append(place)
    for length, places in by_length.items():
        if length and length % 2 == 0:
            halves = np.frombuffer(b"".join([values[place] for place in places]), "<f2").reshape(-1, length // 2)
            with np.errstate(all="ignore"):
                vectors = halves.astype(np.float32)
                norms = np.linalg.norm(vectors, axis=-1, keepdims=True)  # (n, 1)
                vectors /= norms
            for row in np.flatnonzero(np.abs(norms[:, 0] - 1.0) <= 1e-2).tolist():
                found[places[row]] = vectors[row]
    return found


def round_through_float16(vectors: np.ndarray) -> np.ndarray:
    """Round unit vectors to what the anchors topic keeps, and make them unit again.

    A worker that was restored from the topic then has bit for bit the vectors of the one that wrote them.

    Args:
        vectors: unit vectors, float32 (..., d).
    """
    halves = vectors.astype(np.float16).astype(np.float32)
    return np.asarray(halves / np.linalg.norm(halves, axis=-1, keepdims=True).astype(np.float32))


BY_HAND = "stream_adapter/anchors/"
"""Where a record's `writer` begins with this it was a person, by a command, and the user's name follows."""


def anchor_tombstone(key: str, writer: str, source: Partition | None = None, *, forgotten: bool = False) -> OutRecord:
    """The record that deletes an anchor, or a presence record, from the compacted topic.

    Args:
        key: an anchor's id, or `PRESENCE_PREFIX` and a `PresenceRecord.key`.
        writer: who deletes.
        source: the input partition of the event because of which it goes, where there is one.
        forgotten: whether nothing else of the event may stay either, such as its picture on a page.
    """
    headers = (("writer", writer.encode()), *([(FORGOTTEN, b"1")] if forgotten else []))
    return OutRecord("anchors", key.encode(), None, headers, source=source)
