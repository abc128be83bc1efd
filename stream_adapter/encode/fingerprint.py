"""The encoder's fingerprint: which image vectors may meet in one index."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import open_clip
import torch
from open_clip.transform import PreprocessCfg

# Raised when our own decoding or preprocessing changes what a picture's vector is.
_VERSION = 2

# What only training looks at.
_NO_INFLUENCE = {"timm_model_pretrained", "timm_drop", "timm_drop_path", "patch_dropout"}


def fingerprint(
    state: Mapping[str, torch.Tensor],
    model_config: Mapping[str, Any],
    preprocess: PreprocessCfg,
    *,
    exif_orientation: bool = True,
) -> str:
    """Hash everything that decides where a picture's vector lies.

    That is the image tower's weights, its architecture and the preprocessing, turning by EXIF included. Names, files
    and the text tower do not enter: the same tower from the hub and from a local file is the same encoder. Neither does
    the precision it is run in: bfloat16 moves a vector by 1e-3 in cosine on average and 1e-2 at worst (ViT-B/16), far
    less than two pictures of one class differ, and workers on different machines must be able to share anchors.

    Args:
        state: the image tower's tensors by name, as loaded, before any cast.
        model_config: open_clip's configuration of the model.
        preprocess: its preprocessing.
        exif_orientation: whether pictures are turned as their EXIF says.

    Returns:
        16 hex digits.
    """
    digest = hashlib.sha256()
    settings = {**_settings(model_config, preprocess), "exif_orientation": exif_orientation}
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _settings(model_config: Mapping[str, Any], preprocess: PreprocessCfg) -> dict[str, Any]:
    """Architecture and preprocessing in one canonical form.

    Only what differs from open_clip's defaults is named, so that an option which a later open_clip adds, off by
    default, leaves the fingerprints of existing models alone.
    """
    defaults = {option.name: option.default for option in dataclasses.fields(open_clip.CLIPVisionCfg)}
    vision = {
        option: value
        for option, value in model_config["vision_cfg"].items()
        if option not in _NO_INFLUENCE and value != defaults.get(option)
    }
    size = preprocess.size if isinstance(preprocess.size, tuple | list) else (preprocess.size, preprocess.size)
    return {
        "version": _VERSION,
        "d": model_config["embed_dim"],
        "quick_gelu": model_config.get("quick_gelu", False),
        "vision": vision,
        "size": list(size),
        "mean": [float(value) for value in preprocess.mean],
        "std": [float(value) for value in preprocess.std],
        "interpolation": preprocess.interpolation,
        "resize_mode": preprocess.resize_mode,
        "fill_color": preprocess.fill_color,
    }
