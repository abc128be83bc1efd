"""What would be said about pictures, by a model that has read the anchors as a worker does."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stream_adapter.config import Config
from stream_adapter.encode.base import Encoder, Prepared
from stream_adapter.errors import EventError, ForeignVector
from stream_adapter.metrics import Metrics
from stream_adapter.numpy_files import read_npy
from stream_adapter.service.health import Health
from stream_adapter.service.serving import open_follower

_VECTORS = ".npy"


def predict_files(config: Config, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """For each picture, or row of a file of vectors, its name as `file`, and a prediction or an `error`.

    Raises:
        StreamAdapterError: the model or the anchors cannot be loaded.
    """
    with open_follower(config, Metrics(), Health(config.service.stuck_after_s, time.monotonic)) as follower:
        follower.restore()
        read = [one for path in paths for one in _read(path, follower.encoder)]
        usable = [one for _, one in read if not isinstance(one, str)]
        vectors = follower.encoder.encode(usable)
        said = iter(follower.processor.questions.answer(vectors) if usable else ())
        return [{"file": name, **({"error": one} if isinstance(one, str) else next(said))} for name, one in read]


def _read(path: Path, encoder: Encoder) -> Iterator[tuple[str, Prepared | str]]:
    """What a file holds, by name, or why it cannot be used."""
    try:
        if path.suffix.lower() != _VECTORS:
            yield str(path), encoder.prepare(path.read_bytes(), path.suffix)
            return
        given = read_npy(path)
        if given.dtype.kind not in "fiu" or given.ndim not in (1, 2) or not given.size:
            raise ForeignVector(f"expected numbers (d,) or (N, d), found {given.dtype} {given.shape}")
    except (EventError, OSError, ValueError) as error:
        yield str(path), getattr(error, "strerror", None) or str(error)
        return
    for row, vector in enumerate(np.atleast_2d(given)):
        name = f"{path}[{row}]" if given.ndim == 2 else str(path)
        try:
            with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as such
                value = vector.astype("<f4").tobytes()
            yield name, encoder.check_vector(value, encoder.fingerprint)
        except EventError as error:
            yield name, str(error)
