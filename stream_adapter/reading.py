"""The first leg of the journey: records become events, events become decoded pictures; bad ones are set aside."""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from stream_adapter.encode.base import Encoder, Prepared
from stream_adapter.errors import EventError, UnknownLabel
from stream_adapter.events import EMBEDDING, ImageEvent, parse_image_event
from stream_adapter.events.formats import declared_type, found_type
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import Record

Refused = tuple[Record, EventError]


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """A batch whose events are read and whose pictures are being decoded.

    Attributes:
        records: all records of the batch, in order.
        events: the events that could be read, each with the picture or vector that is to come.
        refused: the records that could not be read, with the reason.
    """

    records: Sequence[Record]
    events: Sequence[tuple[ImageEvent, Future[Prepared]]]
    refused: Sequence[Refused]


class Reader:
    """Reads batches and decodes their pictures in a pool.

    Args:
        encoder: knows how its pictures are prepared and which vectors are its own.
        classes: class names of the vocabulary.
        reject_unknown_labels: whether a label that is no class makes its event a dead letter.
        decoders: the pool.
        metrics: stages "parse" and "decode".
    """

    def __init__(
        self,
        encoder: Encoder,
        classes: Sequence[str],
        *,
        reject_unknown_labels: bool,
        decoders: Executor,
        metrics: Metrics,
    ) -> None:
        self._encoder = encoder
        self._classes = frozenset(classes)
        self._reject_unknown_labels = reject_unknown_labels
        self._decoders = decoders
        self._metrics = metrics

    def read(self, records: Sequence[Record]) -> ReadBatch:
        """Read the events of a batch and start to decode their pictures; does not wait for them."""
        events: list[tuple[ImageEvent, Future[Prepared]]] = []
        refused: list[Refused] = []
        with self._metrics.stage("parse", len(records)):
            for record in records:
                try:
                    event = parse_image_event(record)
                    self._check_label(event)
                except EventError as error:
                    refused.append((record, error))
                else:
                    events.append((event, self._decoders.submit(self._decode, event)))
        self._metrics.stage_failed.labels(stage="parse").inc(len(refused))
        return ReadBatch(records, events, refused)

    def decoded(self, batch: ReadBatch) -> tuple[list[ImageEvent], list[Prepared], list[Refused]]:
        """Wait for the pictures of a batch; those that cannot be decoded join the refused ones."""
        events: list[ImageEvent] = []
        prepared: list[Prepared] = []
        refused = list(batch.refused)
        with self._metrics.stage("decode", len(batch.events)):
            for event, picture in batch.events:
                try:
                    prepared.append(picture.result())
                except EventError as error:
                    refused.append((event.record, error))
                else:
                    events.append(event)
        self._metrics.stage_failed.labels(stage="decode").inc(len(refused) - len(batch.refused))
        return events, prepared, refused

    def _check_label(self, event: ImageEvent) -> None:
        if self._reject_unknown_labels and event.label is not None and event.label not in self._classes:
            raise UnknownLabel(
                f"label {event.label!r} is not one of the {len(self._classes)} classes of the vocabulary; add it "
                "there, or set `vocabulary.unknown_labels: ignore`"
            )

    def _decode(self, event: ImageEvent) -> Prepared:
        if event.content_type == EMBEDDING:
            return self._encoder.check_vector(event.data, event.fingerprint or "")
        types = {"declared": declared_type(event.content_type), "found": found_type(event.data)}
        self._metrics.pictures.labels(**types).inc()
        return self._encoder.prepare(event.data, event.content_type)
