"""What would be said about pictures, by a model that has read the anchors as a worker does."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stream_adapter.config import Config
from stream_adapter.encode.base import Prepared
from stream_adapter.errors import EventError
from stream_adapter.metrics import Metrics
from stream_adapter.service.health import Health
from stream_adapter.service.serving import open_follower


def predict_files(config: Config, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """For each picture its path as `file`, and a prediction or an `error`.

    Raises:
        StreamAdapterError: the model or the anchors cannot be loaded.
    """
    with open_follower(config, Metrics(), Health(config.service.stuck_after_s, time.monotonic)) as follower:
        follower.restore()
        prepared: list[Prepared] = []
        errors: dict[Path, str] = {}
        for path in paths:
            try:
                prepared.append(follower.encoder.prepare(path.read_bytes(), ""))
            except (EventError, OSError) as error:
                errors[path] = str(error)
        d = follower.encoder.d
        vectors = follower.encoder.encode(prepared) if prepared else np.zeros((0, d), np.float32)
        said = iter(follower.processor.questions.answer(vectors) if prepared else ())
        return [{"file": str(path), **({"error": errors[path]} if path in errors else next(said))} for path in paths]
