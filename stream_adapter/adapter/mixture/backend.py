"""Where the large products are computed: NumPy, or torch on a CPU or a GPU, through one array API."""

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = Any
"""An array of the backend; its shape and dtype stand beside it."""


class Backend:
    """Arrays of one library on one device.

    Args:
        device: "numpy", or a device as torch names it.

    Attributes:
        xp: the library's namespace, as the array API standard (2023.12) has it.
    """

    def __init__(self, device: str) -> None:
        self._device: Any = None
        self.xp: Any
        if device == "numpy":
            self.xp = importlib.import_module("array_api_compat.numpy")
        else:
            self.xp = importlib.import_module("array_api_compat.torch")
            self._device = importlib.import_module("torch").device(device)

    def put(self, array: NDArray[Any]) -> Array:
        """A host array as one of the backend; shares memory where it can."""
        if self._device is None:
            return array
        return self.xp.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def get(self, array: Array) -> NDArray[Any]:
        """An array of the backend as a host array; shares memory where it can."""
        if self._device is None:
            return np.asarray(array)
        return np.asarray(array.cpu().numpy())

    def zeros(self, *shape: int) -> Array:
        """Float32 zeros."""
        return self.xp.zeros(shape, dtype=self.xp.float32, device=self._device)

    def clip(self, array: Array, least: float | None, most: float | None) -> Array:
        """The array, in place, between these."""
        if self._device is None:
            np.clip(array, least, most, out=array)
        else:
            array.clamp_(least, most)
        return array

    def softmax(self, logits: Array) -> Array:
        """Softmax of each row (n, C), in place where that is possible."""
        xp = self.xp
        logits -= xp.max(logits, axis=1, keepdims=True)
        logits = xp.exp(logits)
        logits /= xp.sum(logits, axis=1, keepdims=True)
        return logits
