"""A CLIP with random weights, small enough to be made for every test run: real open_clip, no download."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file

from stream_adapter.config import EncoderConfig, PreprocessConfig

OPENAI_PREPROCESS = PreprocessConfig(
    mean=open_clip.OPENAI_DATASET_MEAN,
    std=open_clip.OPENAI_DATASET_STD,
    interpolation="bicubic",
    resize_mode="shortest",
)

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


def write_tiny_clip(folder: Path, *, seed: int = 0, name: str = "tiny-clip", **changes: Any) -> EncoderConfig:
    """Write architecture and weights of a tiny CLIP; the same seed gives the same weights.

    Args:
        folder: where `NAME.json` and `NAME.safetensors` go.
        seed: of the weights.
        name: of the model.
        changes: replace keys of the architecture.
    """
    config = {**CONFIG, **changes}
    file = folder / f"{name}.json"
    file.write_text(json.dumps(config))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        arguments = {key: value for key, value in config.items() if key != "custom_text"}
        model = (open_clip.CoCa if "multimodal_cfg" in config else open_clip.CLIP)(**arguments)
    weights = folder / f"{name}.safetensors"
    save_file(model.state_dict(), weights)
    return EncoderConfig(
        model=name,
        model_config_file=file,
        pretrained=str(weights),
        preprocess=OPENAI_PREPROCESS,
        device="cpu",
        precision="float32",  # which arithmetic is faster hangs on the processor, and so small a model on the moment
    )
