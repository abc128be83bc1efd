"""Draws scenes as small pictures, in several styles, and the demo's stream of them.

Everything is a pure function of the scene, the style and a NumPy generator. Textures and backgrounds are cut from
banks that are drawn once, which is what makes drawing fast enough to train on pictures that are never seen twice.
"""

from __future__ import annotations

import colorsys
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from stream_adapter.demo.scenes import BACKGROUNDS, COUNTS, DEMO_CLASSES, TEXTURES, Scene, class_scene
from stream_adapter.demo.styles import FIRST_STYLE, SHIFTED_STYLE, STYLES, Pixels

SIZE: Final = 64
"""Width and height of a picture in pixels: the small CLIP's own resolution, so nothing is resized."""

_MASK_SIZE: Final = 2 * SIZE  # outlines are drawn twice as large and averaged down: smooth edges
_VARIANTS: Final = 32  # of every texture and background
_MARGIN: Final = SIZE // 2  # by how much a texture is larger than the picture that is cut from it

# Hue, saturation and value. The jitter below lets neighbours touch, so that a colour is not always certain.
_HSV: Final = {
    "red": (0.0, 0.88, 0.85),
    "orange": (0.075, 0.92, 0.95),
    "yellow": (0.145, 0.85, 0.95),
    "lime": (0.23, 0.80, 0.85),
    "green": (0.36, 0.80, 0.60),
    "turquoise": (0.485, 0.75, 0.80),
    "blue": (0.61, 0.85, 0.85),
    "purple": (0.755, 0.70, 0.70),
    "pink": (0.91, 0.50, 0.95),
    "brown": (0.065, 0.70, 0.45),
}
_RADIUS: Final = {"one": (0.24, 0.40), "two": (0.17, 0.25), "three": (0.14, 0.22)}  # shares of the picture's width


def draw(scene: Scene, style: str, rng: np.random.Generator) -> Image.Image:
    """Draws a scene; the same scene, style and state of ``rng`` give the same picture.

    Raises:
        ValueError: The style is not one of ``STYLES``.
    """
    if style not in STYLES:
        raise ValueError(f"no such style: {style!r}; expected one of {', '.join(STYLES)}")
    mask = _outline(scene, rng)[..., None]  # (SIZE, SIZE, 1)
    first, second = _tones(scene.colour, rng)
    texture = _cut(_textures()[scene.texture], rng)[..., None]  # (SIZE, SIZE, 1)
    ink = first + (second - first) * texture  # (SIZE, SIZE, 3)
    ground = _backgrounds()[scene.background][rng.integers(_VARIANTS)]
    pixels = STYLES[style](ground + (ink - ground) * mask, rng)
    return Image.fromarray((np.clip(pixels, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class StreamPicture:
    """One picture of the demo's stream and what is known about it."""

    scene: Scene
    style: str
    image: Image.Image

    @property
    def label(self) -> str:
        """The picture's true class, one of the stream's classes."""
        return self.scene.class_name

    @property
    def jpeg(self) -> bytes:
        """The picture as a file."""
        buffer = io.BytesIO()
        self.image.save(buffer, "JPEG", quality=92)
        return buffer.getvalue()


def demo_stream(
    count: int,
    shift_at: int,
    rng: np.random.Generator,
    *,
    classes: Sequence[str] = DEMO_CLASSES,
    styles: tuple[str, str] = (FIRST_STYLE, SHIFTED_STYLE),
) -> Iterator[StreamPicture]:
    """Draws ``count`` pictures of classes chosen at random; from number ``shift_at`` on, in the second style.

    The same state of ``rng`` gives the same stream; ``styles`` are names from ``STYLES``.
    """
    for number in range(count):
        scene = class_scene(classes[int(rng.integers(len(classes)))], rng)
        style = styles[number >= shift_at]
        yield StreamPicture(scene, style, draw(scene, style, rng))


def _outline(scene: Scene, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """How much of every pixel belongs to a shape, (SIZE, SIZE) in 0..1."""
    mask = Image.new("L", (_MASK_SIZE, _MASK_SIZE))
    pen = ImageDraw.Draw(mask)
    count = COUNTS.index(scene.count) + 1
    low, high = _RADIUS[scene.count]
    cells = rng.permutation(4)[:count]
    for cell in cells:
        radius = float(rng.uniform(low, high))
        if count == 1:
            room = 0.5 - radius
            centre = 0.5 + rng.uniform(-room, room, 2)
        else:  # one shape in each of some quarters of the picture, so that shapes can be counted
            room = 0.27 - radius
            centre = np.array([0.25 + 0.5 * (cell % 2), 0.25 + 0.5 * (cell // 2)]) + rng.uniform(-room, room, 2)
        turn = float(rng.normal(0.0, 0.18))  # radians: a diamond must not turn into a square
        stretch = np.exp(rng.normal(0.0, 0.06, 2)) * (1 - 2 * rng.integers(2), 1)  # half of them mirrored
        cos, sin = np.cos(turn), np.sin(turn)
        points = (_POLYGONS[scene.shape] * stretch) @ np.array([[cos, sin], [-sin, cos]])  # (points, 2)
        corners = [(float(x), float(y)) for x, y in (points * radius + centre) * _MASK_SIZE]
        if scene.texture == "hollow":
            pen.line([*corners, corners[0], corners[1]], fill=255, width=max(4, round(radius * 26)), joint="curve")
        else:
            pen.polygon(corners, fill=255)
    return np.asarray(mask.reduce(2), dtype=np.float32) / np.float32(255.0)


def _tones(colour: str, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """The ink of a shape and, for its texture, a lighter or darker tone of the same colour; each of shape (3,)."""
    hue, saturation, value = _HSV[colour] + rng.normal(0.0, (0.014, 0.05, 0.05))
    saturation, value = float(np.clip(saturation, 0.0, 1.0)), float(np.clip(value, 0.0, 1.0))
    first = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    if rng.random() < 0.5:
        second = colorsys.hsv_to_rgb(hue % 1.0, saturation, value * 0.55)
    else:
        second = colorsys.hsv_to_rgb(hue % 1.0, saturation * 0.35, min(1.0, value * 1.25))
    return np.array(first, dtype=np.float32), np.array(second, dtype=np.float32)


def _cut(bank: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A random window of a random variant: (variants, SIZE + margin, SIZE + margin) to (SIZE, SIZE)."""
    variant, top, left = rng.integers([_VARIANTS, _MARGIN, _MARGIN])
    window: npt.NDArray[np.float32] = bank[variant, top : top + SIZE, left : left + SIZE]
    return window


@cache
def _textures() -> dict[str, npt.NDArray[np.float32]]:
    """The share of the second tone in every pixel, (_VARIANTS, SIZE + _MARGIN, SIZE + _MARGIN) a texture."""
    rng = np.random.default_rng(2212)
    y, x = np.mgrid[: SIZE + _MARGIN, : SIZE + _MARGIN].astype(np.float32)
    banks: dict[str, list[Pixels]] = {texture: [] for texture in TEXTURES}
    for _ in range(_VARIANTS):
        turn, period = rng.uniform(0.0, np.pi), rng.uniform(5.0, 8.0)
        u = np.sin((x * np.cos(turn) + y * np.sin(turn)) * (2.0 * np.pi / period))
        v = np.sin((y * np.cos(turn) - x * np.sin(turn)) * (2.0 * np.pi / period))
        banks["solid"].append(np.zeros_like(x))
        banks["hollow"].append(np.zeros_like(x))
        banks["striped"].append(np.clip(0.5 + 2.0 * u, 0.0, 1.0))
        banks["dotted"].append(np.clip(0.5 + 2.0 * (u + v - 0.7), 0.0, 1.0))
        banks["checkered"].append(np.clip(0.5 + 3.0 * u * v, 0.0, 1.0))
    return {texture: np.stack(bank).astype(np.float32) for texture, bank in banks.items()}


@cache
def _backgrounds() -> dict[str, Pixels]:
    """Ready backgrounds, (_VARIANTS, SIZE, SIZE, 3) each."""
    rng = np.random.default_rng(6556)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    banks: dict[str, list[Pixels]] = {background: [] for background in BACKGROUNDS}
    for _ in range(_VARIANTS):
        coarse = Image.fromarray(rng.random((5, 5), dtype=np.float32))
        clouds = np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        period, shift = rng.integers(9, 15), rng.integers(0, 9, 2)
        lines = ((x + shift[0]) % period < 1.5) | ((y + shift[1]) % period < 1.5)
        grain = rng.normal(0.0, 0.06, (SIZE, SIZE))
        level = float(rng.uniform(-0.05, 0.05))
        for background, grey in {
            "white": np.full_like(x, 0.94 + level),
            "grey": np.full_like(x, 0.55 + 2.0 * level),
            "black": np.full_like(x, 0.08 + level),
            "sandy": 0.78 + level + grain,
            "tiled": np.where(lines, 0.40, 0.80) + level,
            "cloudy": 0.45 + 0.5 * clouds + level,
        }.items():
            tint = (1.06, 0.96, 0.76) if background == "sandy" else (1.0, 1.0, 1.0)
            banks[background].append((grey[..., None] * np.array(tint)).astype(np.float32))
    return {background: np.clip(np.stack(bank), 0.0, 1.0) for background, bank in banks.items()}


def _regular(corners: int) -> npt.NDArray[np.float64]:
    """A regular polygon in the unit circle, (corners, 2), one corner at the top."""
    turns = 2.0 * np.pi * np.arange(corners) / corners
    return np.stack([np.sin(turns), -np.cos(turns)], axis=1)


def _heart() -> npt.NDArray[np.float64]:
    t = np.linspace(0.0, 2.0 * np.pi, 32, endpoint=False)
    height = 13.0 * np.cos(t) - 5.0 * np.cos(2.0 * t) - 2.0 * np.cos(3.0 * t) - np.cos(4.0 * t)
    points: npt.NDArray[np.float64] = np.stack([16.0 * np.sin(t) ** 3, -height - 2.5], axis=1) / 16.0
    return points


def _crescent() -> npt.NDArray[np.float64]:
    outer = np.linspace(0.25 * np.pi, 1.75 * np.pi, 20)
    inner = np.linspace(1.62 * np.pi, 0.38 * np.pi, 16)
    arc = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    bite = np.stack([0.42 + 0.78 * np.cos(inner), 0.78 * np.sin(inner)], axis=1)
    points: npt.NDArray[np.float64] = np.concatenate([arc, bite]) + np.array([0.15, 0.0])
    return points


def _corners(*points: tuple[float, float]) -> npt.NDArray[np.float64]:
    return np.array(points)


_POLYGONS: Final[dict[str, npt.NDArray[np.float64]]] = {
    "circle": _regular(32) * 0.92,
    "oval": _regular(32) * np.array([1.05, 0.62]),
    "square": _corners((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),
    "triangle": _regular(3) * 1.1 + np.array([0.0, 0.2]),
    "diamond": _corners((0.0, -1.1), (0.68, 0.0), (0.0, 1.1), (-0.68, 0.0)),
    "pentagon": _regular(5),
    "hexagon": _regular(6),
    "star": _regular(10) * np.where(np.arange(10) % 2 == 0, 1.05, 0.45)[:, None],
    "cross": _corners(
        *((-0.32, -1.0), (0.32, -1.0), (0.32, -0.32), (1.0, -0.32), (1.0, 0.32), (0.32, 0.32)),
        *((0.32, 1.0), (-0.32, 1.0), (-0.32, 0.32), (-1.0, 0.32), (-1.0, -0.32), (-0.32, -0.32)),
    ),
    "heart": _heart(),
    "crescent": _crescent(),
    "arrow": _corners(
        *((-1.0, -0.28), (0.1, -0.28), (0.1, -0.8), (1.0, 0.0), (0.1, 0.8), (0.1, 0.28), (-1.0, 0.28)),
    ),
}
