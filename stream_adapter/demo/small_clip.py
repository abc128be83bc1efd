"""The small CLIP that comes with the package: where it lies, and open_clip's way to load it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import open_clip
import torch

MODEL_NAME: Final = "small-clip"
"""Its name for open_clip, once ``CONFIG`` is added: the stem of that file."""

CONFIG: Final = Path(__file__).parent / "model" / f"{MODEL_NAME}.json"
"""The architecture, for ``open_clip.add_model_config``."""

WEIGHTS: Final = CONFIG.with_suffix(".safetensors")
"""The weights, for open_clip's ``pretrained``."""

PREPROCESSING: Final = CONFIG.with_name("open_clip_config.json")
"""How its pictures are prepared, for a worker that loads the weights as a file."""

Tokenizer = Callable[[Sequence[str]], torch.Tensor]


def load(weights: Path = WEIGHTS) -> tuple[Any, Tokenizer]:
    """The small CLIP in evaluation mode with the given weights, and its tokenizer."""
    open_clip.add_model_config(CONFIG)
    model = open_clip.create_model(MODEL_NAME, pretrained=str(weights))
    return model.eval(), open_clip.get_tokenizer(MODEL_NAME)
