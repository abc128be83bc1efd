"""In which arithmetic the image tower runs."""

import copy
import time
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# How much faster bfloat16 must be, measured, before its rounding is worth it.
_WORTH = 1.2


def choose(precision: Precision, device: torch.device, visual: torch.nn.Module, size: tuple[int, int]) -> torch.dtype:
    """The arithmetic for `precision` on this device.

    `auto` is half precision on CUDA. On a CPU it is bfloat16 where the processor has instructions for it and the tower
    is measured to be faster in it; elsewhere bfloat16 is emulated, many times slower than float32.

    Args:
        precision: as configured.
        device: where the tower runs.
        visual: the image tower, float32, already there.
        size: height and width that it takes.
    """
    if precision != "auto":
        return _DTYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if not _has_bfloat16_instructions():
        return torch.float32
    images = torch.zeros(8, 3, *size)
    plain = _seconds(visual, images)
    rounded = _seconds(copy.deepcopy(visual).to(torch.bfloat16), images.to(torch.bfloat16))
    return torch.bfloat16 if plain > _WORTH * rounded else torch.float32


def _has_bfloat16_instructions() -> bool:
    """AMX, AVX-512 BF16 or Arm's, as torch reports them; torch before 2.10 does not, and runs float32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any("bf16" in name and bool(present) for name, present in capabilities.items())


@torch.inference_mode()
def _seconds(visual: torch.nn.Module, images: torch.Tensor) -> float:
    """The better of two runs, after one that does not count."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        visual(images)
        times.append(time.perf_counter() - started)
    return min(times[1:])
