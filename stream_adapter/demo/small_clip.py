"""The small CLIP that comes with the package: where it lies."""

from pathlib import Path
from typing import Final

MODEL_NAME: Final = "small-clip"
"""Its name for open_clip, once ``CONFIG`` is added: the stem of that file."""

CONFIG: Final = Path(__file__).parent / "model" / f"{MODEL_NAME}.json"
"""The architecture, for ``open_clip.add_model_config``."""

WEIGHTS: Final = CONFIG.with_suffix(".safetensors")
"""The weights, for open_clip's ``pretrained``."""

PREPROCESSING: Final = CONFIG.with_name("open_clip_config.json")
"""How its pictures are prepared, for a worker that loads the weights as a file."""
