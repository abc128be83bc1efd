"""Batch norms of an image tower, taken into the convolutions before them."""

from collections.abc import Callable
from typing import Any

import torch
from torch.fx.experimental.optimization import fuse

_LEAST_COSINE = 0.99999  # rounding moves a vector by 1e-6


def fused(visual: torch.nn.Module, size: tuple[int, int]) -> torch.nn.Module:
    """The tower in evaluation mode with fewer steps, or as it is where it has no batch norm or cannot be traced.

    A batch norm that is not trained any more is one factor and one summand a channel, which the weights before it can
    bear (torch's own fusion). It is taken at its word on a picture of noise only.

    Args:
        visual: float32 (B, 3, H, W) to (B, d), on the CPU; stays as it is.
        size: H and W.
    """
    if not any(isinstance(module, torch.nn.BatchNorm2d) for module in visual.modules()):
        return visual
    noise = torch.randn((2, 3, *size), generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            lean = fuse(visual)
            return lean if gives_the_same(lean, visual, noise) else visual
    except Exception:  # noqa: BLE001 - a tower that branches on its input is not traced, and says so in many ways
        return visual


def gives_the_same(
    tower: Callable[[torch.Tensor], Any], other: Callable[[torch.Tensor], Any], images: torch.Tensor
) -> bool:
    """Whether two towers put these images (B, 3, H, W) at the same places, up to rounding."""
    one, two = (_vectors(each(images)) for each in (tower, other))
    same = torch.nn.functional.cosine_similarity(one, two)
    return one.shape == two.shape and bool((same >= _LEAST_COSINE).all())


def _vectors(features: Any) -> torch.Tensor:
    """Float32 (B, d); CoCa's tower returns its tokens too."""
    found: torch.Tensor = (features[0] if isinstance(features, tuple) else features).float()
    return found
