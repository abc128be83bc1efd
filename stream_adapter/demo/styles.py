"""What a picture looks like, whatever it shows: the domains that the demo's stream shifts between.

The small CLIP is trained on the first three. The others it has never met: each keeps what a picture shows but moves
its colours and edges, the same way every time, which is what a few labels can teach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]
"""Red, green and blue in 0..1, shape (height, width, 3); a style may leave the range, drawing clips."""

Style = Callable[[Pixels, np.random.Generator], Pixels]

_LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def _plain(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Flat paint in even light, which is a little brighter or darker and warmer or colder every time."""
    light = np.float32(1.0) + rng.normal(0.0, 0.06, 3).astype(np.float32)
    return _noisy(pixels * light, 0.015, rng)


def _pastel(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Chalky: mixed with white."""
    white = np.float32(rng.uniform(0.35, 0.55))
    return _noisy(pixels * (1 - white) + white, 0.03, rng)


def _grainy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A cheap sensor."""
    return _noisy(pixels, float(rng.uniform(0.10, 0.20)), rng)


def _dusk(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Low sun: blue is weak, and colours move towards orange."""
    light = np.array([1.02, 0.82, 0.60], dtype=np.float32) * np.float32(rng.uniform(0.85, 1.0))
    return _noisy(pixels * light + np.float32(0.03), 0.03, rng)


def _night(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Dark, bluish and noisy."""
    light = np.array([0.50, 0.53, 0.65], dtype=np.float32) * np.float32(rng.uniform(0.85, 1.1))
    return _noisy(pixels * light + np.float32(0.02), 0.04, rng)


def _sketch(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Pencil on paper: dark edges, with a thin wash of colour."""
    grey: npt.NDArray[np.float32] = pixels @ _LUMA  # (height, width)
    edges = np.zeros_like(grey)
    edges[:, 1:] += np.abs(np.diff(grey, axis=1))
    edges[1:] += np.abs(np.diff(grey, axis=0))
    wash = 0.93 - rng.uniform(0.38, 0.48) * (1.0 - pixels)
    drawing = wash - 1.4 * np.minimum(edges, 0.5)[..., None]
    return _noisy(drawing.astype(np.float32), 0.03, rng)


def _noisy(pixels: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    return pixels + np.float32(deviation) * rng.standard_normal(pixels.shape, dtype=np.float32)


STYLES: Final[dict[str, Style]] = {
    "plain": _plain,
    "pastel": _pastel,
    "grainy": _grainy,
    "dusk": _dusk,
    "night": _night,
    "sketch": _sketch,
}
"""Every style by name."""

FIRST_STYLE: Final = "plain"
"""What the demo's stream looks like at first."""

SHIFTED_STYLE: Final = "night"
"""What it looks like after the shift: unknown to the model."""
