"""What a drawn picture shows, in words: a colour, a shape, a texture, a count and a background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

COLOURS: Final = ("red", "orange", "yellow", "lime", "green", "turquoise", "blue", "purple", "pink", "brown")
SHAPES: Final = (
    "circle",
    "oval",
    "square",
    "triangle",
    "diamond",
    "pentagon",
    "hexagon",
    "star",
    "cross",
    "heart",
    "crescent",
    "arrow",
)
TEXTURES: Final = ("solid", "striped", "dotted", "checkered", "hollow")
COUNTS: Final = ("one", "two", "three")
BACKGROUNDS: Final = ("white", "grey", "black", "sandy", "tiled", "cloudy")

DEMO_CLASSES: Final = (
    "red circle",
    "red heart",
    "pink heart",
    "pink arrow",
    "orange circle",
    "orange hexagon",
    "orange star",
    "yellow star",
    "yellow diamond",
    "lime triangle",
    "green triangle",
    "green cross",
    "turquoise cross",
    "turquoise circle",
    "turquoise square",
    "blue square",
    "blue star",
    "blue pentagon",
    "blue hexagon",
    "purple star",
    "purple crescent",
    "purple hexagon",
    "brown hexagon",
    "brown pentagon",
)
"""Neighbours in colour and shape on purpose, such as circles and hexagons; nine are held out of training."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture's content in plain words."""

    colour: str
    shape: str
    texture: str
    count: str
    background: str

    @property
    def class_name(self) -> str:
        """The demo's label for this scene, such as ``red star``."""
        return f"{self.colour} {self.shape}"


def is_class(name: str) -> bool:
    """Whether the name is that of a class that can be drawn: a known colour and a known shape."""
    colour, _, shape = name.partition(" ")
    return colour in COLOURS and shape in SHAPES


def class_scene(name: str, rng: np.random.Generator) -> Scene:
    """Draws a scene of a class such as ``red star``: texture, count and background are left to chance.

    Raises:
        ValueError: The name is not a known colour followed by a known shape.
    """
    colour, _, shape = name.partition(" ")
    if not is_class(name):
        raise ValueError(
            f"no such class: {name!r}; expected a colour of {', '.join(COLOURS)} and a shape of {', '.join(SHAPES)}"
        )
    texture, count, background = (words[rng.integers(len(words))] for words in (TEXTURES, COUNTS, BACKGROUNDS))
    return Scene(colour, shape, texture, count, background)
