"""What would be said about pictures, by a model that has read the anchors as a worker does."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

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
        said = iter(follower.processor.answer(vectors) if prepared else ())
        return [{"file": str(path), **({"error": errors[path]} if path in errors else next(said))} for path in paths]


def show(answers: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """A JSON object a line, or a table: the answer, the untouched model's, and the nearest labelled picture."""
    if as_json:
        for answer in answers:
            print(json.dumps(answer, ensure_ascii=False))  # noqa: T201
        return
    table = Table("picture", "class", "probability", "zero-shot says", "nearest label", "novelty")
    for answer in answers:
        if "error" in answer:
            table.add_row(escape(answer["file"]), f"[red]{escape(answer['error'])}[/red]")
            continue
        top, nearest = answer["top"][0], next(iter(answer["anchors"]), None)
        near = f"{nearest['label']} (cosine {nearest['cosine']:.2f})" if nearest else "–"
        cells = (answer["file"], top["label"], f"{top['adapted']:.1%}", answer["zero_shot_label"], near)
        table.add_row(*map(escape, cells), f"{answer['novelty']:.2f}")
    Console().print(table)
