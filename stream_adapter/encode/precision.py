"""In which arithmetic the image tower runs."""

import time
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# How much faster bfloat16 must be, measured, before its rounding is worth it.
_WORTH = 1.2
_ROWS = 1_024  # of the product that is measured: tokens of some 20 pictures


def choose(precision: Precision, device: torch.device, visual: torch.nn.Module) -> torch.dtype:
    """The arithmetic for `precision` on this device.

    `auto` is half precision on CUDA. On a CPU it is bfloat16 where the processor has instructions for it and they are
    measured to be faster, on the tower's largest matrix, which takes a moment where the tower itself would take half a
    minute; elsewhere bfloat16 is emulated, many times slower than float32.

    Args:
        precision: as configured.
        device: where the tower runs.
        visual: the image tower, float32, already there.
    """
    if precision != "auto":
        return _DTYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if not _has_bfloat16_instructions():
        return torch.float32
    largest = max((weight for weight in visual.parameters() if weight.ndim > 1), key=torch.Tensor.numel)
    matrix = largest.detach().flatten(1)  # (outputs, inputs)
    faster = _seconds(matrix) > _WORTH * _seconds(matrix.to(torch.bfloat16))
    return torch.bfloat16 if faster else torch.float32


def _has_bfloat16_instructions() -> bool:
    """AMX, AVX-512 BF16 or Arm's, as torch reports them; torch before 2.10 does not, and runs float32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any("bf16" in name and bool(present) for name, present in capabilities.items())


@torch.inference_mode()
def _seconds(matrix: torch.Tensor) -> float:
    """The best of three products with it, after one that does not count."""
    rows = torch.zeros(_ROWS, matrix.shape[1], dtype=matrix.dtype)
    times = []
    for _ in range(4):
        started = time.perf_counter()
        torch.nn.functional.linear(rows, matrix)
        times.append(time.perf_counter() - started)
    return min(times[1:])
