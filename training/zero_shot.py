"""How well the small CLIP recognises drawn scenes from their names alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from PIL import Image

from stream_adapter.demo.pictures import draw
from stream_adapter.demo.scenes import COLOURS, DEMO_CLASSES, SHAPES, class_scene
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS
from stream_adapter.demo.styles import STYLES
from training.scenes import HELD_OUT, TRAINED, TRAINED_STYLES

Tokenizer = Callable[[Sequence[str]], torch.Tensor]

PROMPTS: Final = ("a photo of a {}.", "a picture of a {}.", "a drawing of a {}.", "a {}.")
"""Prompt templates for class names."""

ALL_NAMES: Final = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
TRAINED_NAMES: Final = tuple(f"{colour} {shape}" for colour, shape in TRAINED)
HELD_OUT_NAMES: Final = tuple(name for name in ALL_NAMES if name not in TRAINED_NAMES)

_MEAN: Final = torch.tensor(OPENAI_DATASET_MEAN).view(1, 3, 1, 1)
_STD: Final = torch.tensor(OPENAI_DATASET_STD).view(1, 3, 1, 1)
_BATCH: Final = 256


def load(weights: Path = WEIGHTS) -> tuple[Any, Tokenizer]:
    """The small CLIP in evaluation mode with the given weights, and its tokenizer."""
    open_clip.add_model_config(CONFIG)
    model = open_clip.create_model(MODEL_NAME, pretrained=str(weights))
    return model.eval(), open_clip.get_tokenizer(MODEL_NAME)


def to_input(pixels: torch.Tensor) -> torch.Tensor:
    """What open_clip's own transform makes of pictures that already have the model's size.

    Args:
        pixels: uint8, (pictures, height, width, 3).

    Returns:
        float32, (pictures, 3, height, width), in memory with the channels last, which convolutions like.
    """
    return (pixels.permute(0, 3, 1, 2).float() / 255.0 - _MEAN) / _STD


def pixels_of(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """Stacks pictures of one size: uint8, (pictures, height, width, 3)."""
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures]))


def drawn(names: Sequence[str], styles: Sequence[str], count: int, seed: int) -> tuple[torch.Tensor, list[str]]:
    """Draws ``count`` pictures, names and styles in turn: pixels (count, height, width, 3) and their names."""
    rng = np.random.default_rng(seed)
    labels = [names[i % len(names)] for i in range(count)]
    pictures = [
        draw(class_scene(name, rng), styles[i // len(names) % len(styles)], rng) for i, name in enumerate(labels)
    ]
    return pixels_of(pictures), labels


@torch.inference_mode()
def text_vectors(model: Any, tokenizer: Tokenizer, names: Sequence[str]) -> torch.Tensor:
    """One unit vector a name, the mean over ``PROMPTS``, (names, dimensions)."""
    texts = [prompt.format(name) for name in names for prompt in PROMPTS]
    vectors: torch.Tensor = model.encode_text(tokenizer(texts), normalize=True)  # (names · prompts, dimensions)
    means = vectors.view(len(names), len(PROMPTS), -1).mean(dim=1)  # (names, dimensions)
    return torch.nn.functional.normalize(means, dim=-1)


@torch.inference_mode()
def image_vectors(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    """One unit vector a picture, (pictures, dimensions), from uint8 pixels (pictures, height, width, 3)."""
    parts = (pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH))
    return torch.cat([model.encode_image(to_input(part), normalize=True) for part in parts])


def accuracy(
    model: Any,
    tokenizer: Tokenizer,
    names: Sequence[str],
    styles: Sequence[str],
    *,
    candidates: Sequence[str],
    count: int,
    seed: int,
) -> float:
    """The share of ``count`` drawn pictures of ``names`` whose name is the nearest of ``candidates``."""
    pixels, labels = drawn(names, styles, count, seed)
    nearest = (image_vectors(model, pixels) @ text_vectors(model, tokenizer, candidates).T).argmax(dim=1)
    hits = sum(candidates[int(i)] == label for i, label in zip(nearest, labels, strict=True))
    return hits / count


def figures(model: Any, tokenizer: Tokenizer, count: int, seed: int) -> dict[str, float]:
    """The figures of the model card, each over ``count`` pictures that are drawn for it."""

    def measure(names: Sequence[str], styles: Sequence[str], candidates: Sequence[str]) -> float:
        return accuracy(model, tokenizer, names, styles, candidates=candidates, count=count, seed=seed)

    return {
        f"trained pairs among all {len(ALL_NAMES)}": measure(TRAINED_NAMES, TRAINED_STYLES, ALL_NAMES),
        f"held-out pairs among all {len(ALL_NAMES)}": measure(HELD_OUT_NAMES, TRAINED_STYLES, ALL_NAMES),
        f"held-out pairs among the {len(HELD_OUT)}": measure(HELD_OUT_NAMES, TRAINED_STYLES, HELD_OUT_NAMES),
    } | {f"demo classes, {style}": measure(DEMO_CLASSES, (style,), DEMO_CLASSES) for style in STYLES}
