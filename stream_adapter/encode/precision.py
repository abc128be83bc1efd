"""In which arithmetic the image tower runs."""

from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose(precision: Precision, device: torch.device) -> torch.dtype:
    """The arithmetic for `precision` on this device.

    `auto` is half precision on CUDA. On a CPU it is bfloat16 where the processor has instructions for it, and float32
    elsewhere: there bfloat16 is emulated, many times slower. Nothing is measured: a busy moment would decide otherwise
    at the next start, and the same picture be at another place.

    Args:
        precision: as configured.
        device: where the tower runs.
    """
    if precision != "auto":
        return _DTYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if _has_bfloat16_instructions() else torch.float32


def _has_bfloat16_instructions() -> bool:
    """AMX, AVX-512 BF16 or Arm's, as torch reports them; torch before 2.10 does not, and runs float32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any("bf16" in name and bool(present) for name, present in capabilities.items())
