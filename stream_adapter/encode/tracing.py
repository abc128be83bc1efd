"""An image tower as one call, which lets go of the interpreter's lock from its first step to its last."""

import warnings
from collections.abc import Callable
from typing import Any

import torch

from stream_adapter.encode.fusing import gives_the_same


def traced(visual: torch.nn.Module, size: tuple[int, int], dtype: torch.dtype) -> Callable[[torch.Tensor], Any]:
    """The tower as TorchScript has recorded it, or as it is where it cannot be recorded.

    A tower is a row of a hundred small steps. After each of them Python asks for the interpreter's lock, and waits
    wherever another thread computes: the encoder then has half of its rate. What is recorded asks once a batch.
    It is taken at its word on a picture of noise only, in a batch of another size than the one that was recorded.

    Args:
        visual: in evaluation mode, (B, 3, H, W) to (B, d) or a tuple that begins with it, on the CPU; stays as it is.
        size: H and W.
        dtype: of the tower.
    """
    noise = torch.randn((2, 3, *size), generator=torch.Generator().manual_seed(0)).to(dtype)
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that torch.compile is newer: it needs a C++ compiler where it runs
            script = torch.jit.trace(visual, (noise,), check_trace=False)  # type: ignore[no-untyped-call]
            return script if gives_the_same(script, visual, noise[:1]) else visual
    except Exception:  # noqa: BLE001 - a tower that branches on its input is not recorded, and says so in many ways
        return visual
