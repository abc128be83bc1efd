"""A configuration with the bundled encoder, and anchors of that encoder."""

from functools import cache
from pathlib import Path

import numpy as np

from stream_adapter.config import Config, EncoderConfig, parse
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS
from stream_adapter.encode.loading import load_encoder
from stream_adapter.events import AnchorRecord, round_through_float16


@cache
def fingerprint() -> str:
    """The bundled encoder's."""
    encoder = EncoderConfig(model=MODEL_NAME, model_config_file=CONFIG, pretrained=str(WEIGHTS))
    return load_encoder(encoder).fingerprint


def config_on_files(output: Path) -> Config:
    """A worker's configuration; `output` is its output folder, with an input beside it."""
    source = output.parent / "input.jsonl"
    source.touch()
    return parse(
        f"transport: files\nencoder: {{model: {MODEL_NAME}, model_config_file: {CONFIG}, pretrained: {WEIGHTS}}}\n"
        f"vocabulary: {{classes: [cat, dog]}}\nfiles: {{input: {source}, format: recorded, output: {output}}}"
    )


def record(number: int, label: str = "cat", time_ms: int | None = None) -> AnchorRecord:
    """An anchor; always the same vector for the same number."""
    vector = np.random.default_rng(number).normal(size=64).astype(np.float32)
    return AnchorRecord(
        anchor_id=f"{number:032x}",
        vector=round_through_float16(vector / np.linalg.norm(vector)),
        label=label,
        event_time_ms=number if time_ms is None else time_ms,
        event_source="/källa",
        event_id=f"e{number}",
        topic="images",
        partition=number % 3,
        offset=number,
        fingerprint=fingerprint(),
    )
