"""Pictures as features: a folder, a manifest or a recorded topic, embedded by the configured encoder."""

import itertools
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_adapter.config import Config, EventsConfig, FilesConfig
from stream_adapter.encode.base import Encoder, Prepared
from stream_adapter.encode.loading import load_models
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import EvaluationError, EventError
from stream_adapter.evaluate.features import UNKNOWN, Features
from stream_adapter.events import EMBEDDING, EventTimes, ImageEvent
from stream_adapter.events.wire_format import Parse, event_format
from stream_adapter.metrics import Metrics
from stream_adapter.references import References
from stream_adapter.transport.base import Record
from stream_adapter.transport.files.source import FileInput, open_input

_BATCH = 64


def embed(path: Path, config: Config, say: Callable[[str], None]) -> Features:
    """Embed every event of an input: its label is the class, its CloudEvents source the domain.

    Args:
        path: a folder `CLASS/picture.jpg`, a manifest (its column `source` names domains) or a recorded topic.
        config: encoder and vocabulary.
        say: is given how far it is, and how many events could not be used.
    """
    source = open_input(FilesConfig(input=path, output=path))
    encoder, vocabulary = load_models(config.encoder, config.vocabulary)
    fetching = References(config.references, max_bytes=config.encoder.max_bytes, metrics=Metrics())
    threads = config.references.parallel if config.references.allow else config.encoder.decode_threads
    with closing(fetching), ThreadPoolExecutor(threads, thread_name_prefix="decode") as decoders:
        return embed_input(source, encoder, vocabulary, decoders, say, config.events, fetching)


def embed_input(
    source: FileInput,
    encoder: Encoder,
    vocabulary: Vocabulary,
    decoders: Executor,
    say: Callable[[str], None],
    events_config: EventsConfig | None = None,
    references: References | None = None,
) -> Features:
    """Embed an input with a loaded encoder; see `embed`."""
    parse = event_format(events_config or EventsConfig(), EventTimes())
    classes = {name: index for index, name in enumerate(vocabulary.class_names)}
    vectors: list[NDArray[np.float32]] = []
    events: list[ImageEvent] = []
    refused: list[EventError] = []
    read = 0
    records = source.records(0)
    while chunk := list(itertools.islice(records, _BATCH)):
        read += len(chunk)
        pictures: list[Prepared] = []
        for result in decoders.map(lambda record: _decoded(encoder, parse, record, references), chunk):
            if isinstance(result, EventError):
                refused.append(result)
            else:
                events.append(result[0])
                pictures.append(result[1])
        if pictures:
            vectors.append(encoder.encode(pictures))  # (B, d)
        say(f"{read} of {len(source)} pictures embedded")
    if refused:
        say(f"{len(refused)} of {len(source)} pictures cannot be used and are left out; the first: {refused[0]}")
    if not events:
        raise EvaluationError(f"{source.partition.topic}: no picture can be used")
    labels = [UNKNOWN if event.label is None else classes.get(event.label, UNKNOWN) for event in events]
    return Features(
        np.concatenate(vectors),
        np.array(labels, np.int64),
        np.array([event.source for event in events]),
        vocabulary,
        source.partition.topic,
    )


def _decoded(
    encoder: Encoder, parse: Parse, record: Record, references: References | None
) -> tuple[ImageEvent, Prepared] | EventError:
    try:
        event = parse(record)
        data = event.data
        if references is not None and event.reference is not None:
            data = references.fetch(event.reference)
        if event.content_type == EMBEDDING:
            return event, encoder.check_vector(data, event.fingerprint)
        return event, encoder.prepare(data, event.content_type)
    except EventError as error:
        return error
