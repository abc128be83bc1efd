"""The anchors of a new encoder: the pictures that taught, embedded anew, while the old worker serves on."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from stream_adapter.config import Config
from stream_adapter.encode.base import Encoder, Prepared
from stream_adapter.encode.loading import load_encoder
from stream_adapter.errors import AnchorError, EventError
from stream_adapter.events import EMBEDDING, AnchorRecord, EventTimes, round_through_float16
from stream_adapter.events.reference import Reference
from stream_adapter.events.wire_format import event_format
from stream_adapter.journey.reading import is_tombstone
from stream_adapter.metrics import Metrics
from stream_adapter.operations.anchors import read_anchors, writer
from stream_adapter.operations.trying import records_of
from stream_adapter.references import References
from stream_adapter.transport.opening import transport_of

_BATCH = 64
_GONE = "its picture is neither in the images nor stored by reference"
_VECTOR = "its event brought a vector of the old encoder, and no picture"


@dataclass(slots=True)
class Reembedded:
    """What came of it.

    Attributes:
        there: anchors that were there already.
        written: anchors that were written.
        lost: anchors that could not be embedded, with the reason.
    """

    there: int = 0
    written: int = 0
    lost: list[tuple[AnchorRecord, str]] = field(default_factory=list)


def reembed(
    old: Config, new: Config, images: Path | None, progress: Callable[[int, int], None] = lambda done, total: None
) -> Reembedded:
    """Make the anchors of `old` for the encoder of `new`, and write them to its anchors topic.

    The picture of an anchor is that of the event with its source and id: in the images, as they are kept or as they
    were recorded, or where an event or the anchor says that it is stored. What was written before stays, so the command
    can be given again, after an interruption or for what was learned since.

    Args:
        old: whose anchors, and how the images are to be read.
        new: which encoder, which anchors topic, and what may be fetched.
        images: a recorded images topic; None for the topic as it is.
        progress: called with how many anchors are done, of how many.

    Raises:
        AnchorError: both have the same anchors topic.
        EncoderError: the new encoder cannot be loaded.
        TransportError: anchors or images cannot be read, or anchors not be written.
        ConfigError: what is stored by reference cannot be fetched by this configuration.
    """
    if _place(old) == _place(new):
        raise AnchorError(
            f"both configurations have their anchors in {_place(new)[-1]}, where two encoders' would meet; give "
            "the new one a topic of its own (`kafka.topics.anchors`, or `files.output`)"
        )
    anchors, known = read_anchors(old), read_anchors(new)
    encoder = load_encoder(new.encoder)
    wanted = {
        anchor_id: anchor
        for anchor_id, anchor in anchors.items()
        if anchor_id not in known or known[anchor_id].stamp < anchor.stamp
    }
    result = Reembedded(there=len(anchors) - len(wanted))
    references = References(new.references, max_bytes=new.encoder.max_bytes, metrics=Metrics())
    with closing(references), ThreadPoolExecutor(new.references.parallel) as pool:
        pictures = _Pictures(encoder, references)
        for source in (_events(old, images, wanted, pictures.reasons), _stored(wanted)):
            while chunk := list(islice(source, _BATCH)):
                prepared = pool.map(pictures.prepare, chunk)
                found = [(anchor, one) for (anchor, _), one in zip(chunk, prepared, strict=True) if one is not None]
                _write(new, encoder, found)
                for anchor, _ in found:
                    del wanted[anchor.anchor_id]
                result.written += len(found)
                progress(result.there + result.written, len(anchors))
    result.lost = [(anchor, pictures.reasons.get(anchor.anchor_id, _GONE)) for anchor in wanted.values()]
    return result


def _write(config: Config, encoder: Encoder, found: Sequence[tuple[AnchorRecord, Prepared]]) -> None:
    if not found:
        return
    vectors = round_through_float16(encoder.encode([one for _, one in found]))  # (B, d)
    records = [
        dataclasses.replace(anchor, vector=vector, fingerprint=encoder.fingerprint).to_record(writer())
        for (anchor, _), vector in zip(found, vectors, strict=True)
    ]
    # They are ours to write, whoever owns the partitions that they once came from.
    transport_of(config).write([dataclasses.replace(record, source=None) for record in records])


Source = tuple[AnchorRecord, bytes | Reference]
"""An anchor, and its picture or where that is."""


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Prepares pictures, and notes why it could not; `reasons` is by anchor."""

    encoder: Encoder
    references: References
    reasons: dict[str, str] = field(default_factory=dict)

    def prepare(self, source: Source) -> Prepared | None:
        anchor, picture = source
        try:
            data = picture if isinstance(picture, bytes) else self.references.fetch(picture)
            return self.encoder.prepare(data, "")
        except EventError as error:
            self.reasons[anchor.anchor_id] = str(error)
            return None


def _events(
    old: Config, images: Path | None, wanted: Mapping[str, AnchorRecord], reasons: dict[str, str]
) -> Iterator[Source]:
    """The pictures of the events that taught what is wanted, each once."""
    parse = event_format(old.events, EventTimes())
    taken: set[str] = set()
    for record in records_of(old, images):
        if is_tombstone(record):
            continue
        try:
            event = parse(record)
        except EventError:
            continue
        anchor_id = event.anchor_id
        if anchor_id not in wanted or anchor_id in taken:
            continue
        if event.content_type == EMBEDDING:
            reasons[anchor_id] = _VECTOR
            continue
        taken.add(anchor_id)
        yield wanted[anchor_id], event.data if event.reference is None else event.reference


def _stored(wanted: Mapping[str, AnchorRecord]) -> Iterator[Source]:
    """Where anchors themselves say that their picture is stored."""
    for anchor in list(wanted.values()):
        if anchor.reference:
            yield anchor, Reference.parse(anchor.reference)


def _place(config: Config) -> tuple[str, ...]:
    """Where a configuration's anchors are."""
    if config.transport == "kafka":
        return ("kafka", config.kafka.bootstrap_servers, config.kafka.topics.anchors)
    return config.transport, str(config.files.output if config.files else config.transport_settings)
