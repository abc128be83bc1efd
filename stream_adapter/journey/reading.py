"""The first leg of the journey: records become events, events become decoded pictures; bad ones are set aside."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import cached_property

from stream_adapter.config import EventsConfig
from stream_adapter.encode.base import Encoder, Prepared, Vectors, unit_vectors
from stream_adapter.errors import EventError, MalformedEvent, UnfetchableReference, UnknownLabel
from stream_adapter.events import EMBEDDING, EventTimes, ImageEvent
from stream_adapter.events.formats import declared_type, found_type
from stream_adapter.events.names import names_by_case
from stream_adapter.events.reference import Reference
from stream_adapter.events.wire_format import event_format
from stream_adapter.journey.faults import Unexpected
from stream_adapter.metrics import Metrics
from stream_adapter.references import References
from stream_adapter.transport.base import UNREADABLE, Partition, Record

_LONGEST = 8_192  # bytes of an id, a source, a label, a key

Refused = tuple[Record, EventError]


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """A batch whose events are read and whose pictures are being decoded.

    Attributes:
        records: all records of the batch, in order; tombstones, which are neither events nor refused, among them.
        events: the events that could be read, each with the picture that is to come; None: it brought its vector.
        refused: the records that could not be read, with the reason.
    """

    records: Sequence[Record]
    events: Sequence[tuple[ImageEvent, Future[Prepared] | None]]
    refused: Sequence[Refused]

    @property
    def next_offsets(self) -> dict[Partition, int]:
        """For each partition the offset after its last record."""
        positions: dict[Partition, int] = {}
        for record in self.records:
            positions[record.partition] = max(record.offset + 1, positions.get(record.partition, 0))
        return positions


class Reader:
    """Reads batches and decodes their pictures in a pool.

    Attributes:
        labels: those that are known; another one may take its place in any thread.
        times: decides on the times of events and labels.
        unexpected: called for errors that nobody foresaw.

    Args:
        encoder: knows how its pictures are prepared and which vectors are its own.
        classes: class names of the vocabulary.
        reject_unknown_labels: whether a label that is no class makes its event a dead letter.
        decoders: the pool.
        metrics: stages "parse" and "decode", tombstones, times that are ahead, unexpected errors.
        events: what the records look like.
        references: fetches pictures that are stored elsewhere; without it their events are refused.
    """

    def __init__(
        self,
        encoder: Encoder,
        classes: Sequence[str],
        *,
        reject_unknown_labels: bool,
        decoders: Executor,
        metrics: Metrics,
        events: EventsConfig | None = None,
        references: References | None = None,
    ) -> None:
        self._encoder = encoder
        events = events or EventsConfig()
        self.times = EventTimes(events.max_ahead_s, ahead=metrics.times_ahead.inc)
        self._format = event_format(events, self.times)
        self.labels = KnownLabels(classes)
        self._reject_unknown_labels = reject_unknown_labels
        self.unexpected = Unexpected(metrics)
        self._decoders = decoders
        self._references = references
        self._metrics = metrics

    def read(self, records: Sequence[Record]) -> ReadBatch:
        """Read the events of a batch and start to decode their pictures; does not wait for them."""
        events: list[tuple[ImageEvent, Future[Prepared] | None]] = []
        refused: list[Refused] = []
        with self._metrics.stage("parse", len(records)):
            for record in records:
                if is_tombstone(record):
                    self._metrics.tombstones.inc()
                    continue
                try:
                    event = self._parse(record)
                    events.append((event, self._start(event)))
                except EventError as error:
                    refused.append((record, error))
        self._metrics.stage_failed.labels(stage="parse").inc(len(refused))
        return ReadBatch(records, events, refused)

    def check_label(self, label: str) -> None:
        """Refuse a label that is no class, where those are to be refused.

        Raises:
            UnknownLabel: it is none.
        """
        if self._reject_unknown_labels:
            self.labels.check(label)

    def decoded(self, batch: ReadBatch) -> tuple[list[ImageEvent], list[Prepared], list[Refused]]:
        """Wait for the pictures of a batch; those that cannot be decoded join the refused ones."""
        events: list[ImageEvent] = []
        prepared: list[Prepared] = []
        refused = list(batch.refused)
        with self._metrics.stage("decode", len(batch.events)):
            vectors = self._vectors([event for event, picture in batch.events if picture is None])
            for event, picture in batch.events:
                try:
                    if picture is not None:
                        prepared.append(picture.result())
                    elif (vector := next(vectors)) is not None:
                        prepared.append(vector)
                    else:
                        prepared.append(self._decode(event))
                except EventError as error:
                    refused.append((event.record, error))
                else:
                    events.append(event)
        self._metrics.stage_failed.labels(stage="decode").inc(len(refused) - len(batch.refused))
        return events, prepared, refused

    def _vectors(self, events: Sequence[ImageEvent]) -> Iterator[Vectors | None]:
        """The vectors that events brought; None where something is the matter with one."""
        d, fingerprint = self._encoder.d, self._encoder.fingerprint
        fits = [len(event.data) == 4 * d and event.fingerprint == fingerprint for event in events]
        vectors, good = unit_vectors([event.data for event, fit in zip(events, fits, strict=True) if fit], d)
        read = iter(zip(vectors, good.tolist(), strict=True))
        for fit in fits:
            vector, usable = next(read) if fit else (None, False)
            yield vector if usable else None

    def _parse(self, record: Record) -> ImageEvent:
        try:
            event = self._format(record)
            _check_lengths(event)
            if event.label is not None:
                self.check_label(event.label)
        except EventError:
            raise
        except Exception as error:
            raise self.unexpected("parse", record, error) from error
        return event

    def _start(self, event: ImageEvent) -> Future[Prepared] | None:
        """Start to fetch, where that is needed, and to decode; None where a vector came."""
        if event.reference is None:
            return None if event.content_type == EMBEDDING else self._decoders.submit(self._decode, event)
        if self._references is None:
            raise UnfetchableReference("no references are fetched here; send the picture's bytes")
        return self._references.pool.submit(
            self._fetch_and_decode, event, self._references, event.reference, time.monotonic()
        )

    def fetch(self, record: Record, reference: Reference) -> Future[Prepared]:
        """Start to fetch and to decode a picture that is no event's; `record` says for whom, where that goes wrong."""
        event = ImageEvent("", "", 0, "", b"", None, None, record, reference)
        picture = self._start(event)
        assert picture is not None
        return picture

    def _fetch_and_decode(
        self, event: ImageEvent, references: References, reference: Reference, since: float
    ) -> Prepared:
        try:
            event = replace(event, data=references.fetch(reference, since))
        except EventError:
            raise
        except Exception as error:
            raise self.unexpected("decode", event.record, error) from error
        return self._decoders.submit(self._decode, event).result()

    def _decode(self, event: ImageEvent) -> Prepared:
        try:
            if event.content_type == EMBEDDING:
                return self._encoder.check_vector(event.data, event.fingerprint or "")
            types = {"declared": declared_type(event.content_type), "found": found_type(event.data)}
            self._metrics.pictures.labels(**types).inc()
            return self._encoder.prepare(event.data, event.content_type)
        except EventError:
            raise
        except Exception as error:
            raise self.unexpected("decode", event.record, error) from error


def _check_lengths(event: ImageEvent) -> None:
    """Refuse what would make prediction and anchor larger than their topics take.

    Raises:
        MalformedEvent: naming the part.
    """
    parts = {"id": event.id, "source": event.source, "label": event.label, "fingerprint": event.fingerprint}
    lengths = {name: len(text.encode()) for name, text in parts.items() if text is not None}
    for name, length in {**lengths, "key": len(event.record.key or b"")}.items():
        if length > _LONGEST:
            raise MalformedEvent(f"the event's {name} has {length} bytes, more than {_LONGEST}; send a shorter one")


class KnownLabels:
    """The names of the classes, to hold labels against.

    Args:
        classes: class names of the vocabulary.
        aliases: other names of these.
    """

    def __init__(self, classes: Sequence[str], aliases: Iterable[str] = ()) -> None:
        self._classes = classes
        self._known = frozenset(classes).union(aliases)

    def check(self, label: str) -> None:
        """Refuse a label that is no class.

        Raises:
            UnknownLabel: naming the class that it differs from in upper and lower case only, where there is one.
        """
        if label in self._known:
            return
        near = self._by_case.get(label.casefold())
        advice = (
            f"did you mean {near!r}? Upper and lower case are told apart"
            if near is not None
            else "add it with `stream-adapter classes add`, or set `vocabulary.unknown_labels` to `ignore` or `add`"
        )
        raise UnknownLabel(
            f"label {label!r} is not one of the {len(self._classes)} classes of the vocabulary; {advice}"
        )

    @cached_property
    def _by_case(self) -> dict[str, str]:
        return names_by_case(self._known)


def is_tombstone(record: Record) -> bool:
    """Whether a record only deletes its key, as compaction and deletion tools write it, whatever its headers say.

    But for a reference to where the picture is: SDKs write an event without data as a record without a value.
    """
    return record.value is None and all(name.lower() not in (UNREADABLE, "ce_dataref") for name, _ in record.headers)
