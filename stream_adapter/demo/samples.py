"""Drawn pictures for as long as somebody watches: what `stream-adapter produce-samples` sends."""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from rich.console import Console

from stream_adapter.config import Config
from stream_adapter.demo.feeds import Picture
from stream_adapter.demo.pictures import demo_stream
from stream_adapter.demo.scenes import is_class
from stream_adapter.errors import VocabularyError
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.opening import transport_of

_SAY_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """What is sent: pictures a second, a share (0..1) of them labelled, in alternating styles; no `limit`: no end."""

    rate: float = 20.0
    label_share: float = 0.3
    shift_every: int = 3_000
    limit: int | None = None
    seed: int = 0


def sample_pictures(classes: Sequence[str], settings: SampleSettings) -> Iterator[Picture]:
    """Pictures of classes chosen at random, without end; each call's have ids of their own."""
    unknown = [name for name in classes if not is_class(name)]
    if unknown or not classes:
        raise VocabularyError(
            f"cannot draw {', '.join(map(repr, unknown)) or 'classes that the configuration does not list'}; "
            "`vocabulary.classes` must name a colour and a shape each, such as 'red star'"
        )
    rng = np.random.default_rng(settings.seed)
    run, number = uuid.uuid4().hex[:8], 0  # a second run is not the first one seen again
    while True:
        for drawn in demo_stream(2 * settings.shift_every, settings.shift_every, rng, classes=classes):
            label = drawn.label if rng.random() < settings.label_share else None
            yield Picture(event_id=f"{run}-{number:06d}", data=drawn.jpeg, label=label)
            number += 1


def send_samples(config: Config, settings: SampleSettings, console: Console) -> int:
    """Send pictures of the vocabulary's classes to the images topic, and say now and then how many.

    Returns:
        How many were sent, where there is a limit.
    """
    pictures = islice(sample_pictures(config.vocabulary.classes or (), settings), settings.limit)
    records = (
        Record(Partition("images", 0), 0, 0, picture.event_id.encode(), picture.data, picture.headers)
        for picture in pictures
    )
    say_at = time.monotonic()
    sent = 0
    for progress in transport_of(config).produce(records, rate=settings.rate):
        sent = progress.sent
        if progress.finished or time.monotonic() >= say_at:
            say_at = time.monotonic() + _SAY_EVERY_S
            console.print(f"{sent} pictures sent", highlight=False)
    return sent
