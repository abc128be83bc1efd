"""How the first records of a topic would be read, before anything runs."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from stream_adapter.config import Config
from stream_adapter.encode.loading import class_names, load_encoder
from stream_adapter.errors import EventError
from stream_adapter.events import EMBEDDING, EventTimes, ImageEvent
from stream_adapter.events.headers import format_time
from stream_adapter.events.wire_format import event_format
from stream_adapter.journey.reading import KnownLabels, is_tombstone
from stream_adapter.metrics import Metrics
from stream_adapter.references import References
from stream_adapter.standard_streams import say, say_json
from stream_adapter.transport.base import Record
from stream_adapter.transport.files.recording import record_in, whole_lines
from stream_adapter.transport.opening import transport_of
from stream_adapter.transport.transport import read_all


@dataclass(frozen=True, slots=True)
class Reading:
    """What a record would be to a worker.

    Attributes:
        record: its place, such as `images-0@17`.
        outcome: `event`, `refused` or `tombstone`.
        reason: why, with what would mend it.
        id: the event's id, and so on: the event's source, RFC 3339 time and label.
    """

    record: str
    outcome: str
    stage: str | None = None
    reason: str | None = None
    id: str | None = None
    source: str | None = None
    time: str | None = None
    label: str | None = None
    content_type: str | None = None
    bytes: int | None = None


def try_events(config: Config, source: Path | None, topic: str | None, limit: int) -> Iterator[Reading]:
    """Read the first records as a worker would; pictures are fetched and decoded, no model is loaded.

    Vectors are compared with an encoder where it is one of vectors alone.

    Args:
        config: how events are read, and the classes.
        source: a recorded topic; None for the images topic, or what `files.input` names.
        topic: a topic to read in place of the images topic.
        limit: how many.
    """
    parse = event_format(config.events, EventTimes(config.events.max_ahead_s))
    labels = KnownLabels(class_names(config.vocabulary))
    look_at = _looks(config)
    with closing(References(config.references, max_bytes=config.encoder.max_bytes, metrics=Metrics())) as references:
        for record in itertools.islice(records_of(config, source, topic), limit):
            place = f"{record.partition}@{record.offset}"
            if is_tombstone(record):
                yield Reading(place, "tombstone")
                continue
            try:
                event = parse(record)
                if event.label is not None and config.vocabulary.unknown_labels == "reject":
                    labels.check(event.label)
                data = event.data if event.reference is None else references.fetch(event.reference)
                look_at(event, data)
            except EventError as error:
                yield Reading(place, "refused", error.stage, str(error))
                continue
            yield Reading(
                place,
                "event",
                id=event.id,
                source=event.source,
                time=format_time(event.time_ms),
                label=event.label,
                content_type=event.content_type,
                bytes=len(data),
            )


def _looks(config: Config) -> Callable[[ImageEvent, bytes], object]:
    """What looks at the bytes of an event as far as that needs no model; raises an `EventError`."""
    if config.encoder.type == "vectors":
        encoder = load_encoder(config.encoder)
        return lambda event, data: (
            encoder.check_vector(data, event.fingerprint)
            if event.content_type == EMBEDDING
            else encoder.prepare(data, event.content_type)
        )
    from open_clip.transform import PreprocessCfg

    from stream_adapter.encode.images import ImageDecoder

    decode = ImageDecoder(PreprocessCfg(), max_pixels=config.encoder.max_pixels, max_bytes=config.encoder.max_bytes)
    return lambda event, data: None if event.content_type == EMBEDDING else decode(data, event.content_type)


def show_readings(readings: Iterator[Reading], *, as_json: bool) -> int:
    """Print readings as they come, and a count for people; returns how many are events."""
    counts = dict.fromkeys(("event", "refused", "tombstone"), 0)
    for reading in readings:
        counts[reading.outcome] += 1
        if as_json:
            say_json(asdict(reading))
        else:
            say(_in_words(reading))
    if not as_json:
        say(f"{counts['event']} events, {counts['refused']} refused, {counts['tombstone']} tombstones")
    return counts["event"]


def _in_words(reading: Reading) -> str:
    if reading.outcome == "tombstone":
        return f"{reading.record}: a tombstone, skipped"
    if reading.outcome == "refused":
        return f"{reading.record}: refused ({reading.stage}): {reading.reason}"
    label = "no label" if reading.label is None else f"label {reading.label!r}"
    what = reading.content_type or "no content type"
    return (
        f"{reading.record}: id {reading.id!r} of {reading.source!r}, {reading.time}, {label}, {what}, "
        f"{reading.bytes:,} bytes"
    )


def records_of(config: Config, source: Path | None, topic: str | None = None) -> Iterator[Record]:
    """The records of a recorded topic; without one those of the images topic, or of another in its place."""
    if source is not None:
        return (record_in(source, number, line) for number, line in enumerate(whole_lines(source), 1))
    if topic is not None:
        topics = config.kafka.topics.model_copy(update={"images": topic})
        config = config.model_copy(update={"kafka": config.kafka.model_copy(update={"topics": topics})})
    return read_all(transport_of(config), "images")
