"""A batch whose pictures became vectors: they are waited for and embedded while the batch before it is learned."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from stream_adapter.encode.base import Encoder
from stream_adapter.journey.faults import UnderWay, encoding
from stream_adapter.journey.reading import ReadBatch, Reader, Refused
from stream_adapter.metrics import Metrics


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """A batch whose pictures are vectors.

    Attributes:
        batch: what was read.
        under_way: its events.
        refused: the records that could not be read or decoded, with the reason.
        timings_ms: milliseconds by stage, so far.
    """

    batch: ReadBatch
    under_way: UnderWay
    refused: Sequence[Refused]
    timings_ms: Mapping[str, float]


def encoded(
    batch: ReadBatch, reader: Reader, encoder: Encoder, metrics: Metrics, clock: Callable[[], float]
) -> EncodedBatch:
    """Wait for the pictures of a batch and embed them; an event for which that raises becomes a dead letter."""
    times = [clock()]
    events, pictures, refused = reader.decoded(batch)
    times.append(clock())
    none_yet = np.empty((len(events), 0), np.float32)
    under_way = UnderWay(events, pictures, none_yet, metrics, reader.unexpected)
    done, _ = under_way.through("encode", encoding(encoder, pictures))
    under_way.vectors = np.concatenate(done or [encoder.encode([])])  # (B, d)
    times.append(clock())
    wait_ms, encode_ms = (1e3 * (end - start) for start, end in pairwise(times))
    return EncodedBatch(batch, under_way, refused, {"decode_wait": wait_ms, "encode": encode_ms})
