"""What a drawn picture shows, in words: scenes, their captions, and the class names of the demo.

A scene is a colour, a shape, a texture, a count and a background. Some pairs of colour and shape are held out: the
small CLIP never sees them in training, so recognising them shows that it put the two words together by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
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

# A diagonal pattern rather than random draws: every colour and every shape is missing from some pairs and present in
# others, so no word is unknown and only the combination is.
HELD_OUT: Final = frozenset(
    (colour, shape) for i, colour in enumerate(COLOURS) for j, shape in enumerate(SHAPES) if (i + 2 * j) % 5 == 0
)
TRAINED: Final = tuple((colour, shape) for colour in COLOURS for shape in SHAPES if (colour, shape) not in HELD_OUT)

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

PROMPTS: Final = ("a photo of a {}.", "a picture of a {}.", "a drawing of a {}.", "a {}.")
"""Prompt templates for class names."""

_OPENINGS: Final = ("", "", "a photo of ", "a picture of ", "an image of ", "a drawing of ")
_GROUNDS: Final = ("on a {} background", "on {}", "in front of a {} background")


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


FIELDS: Final[dict[str, Sequence[str]]] = {
    "colour": COLOURS,
    "shape": SHAPES,
    "texture": TEXTURES,
    "count": COUNTS,
    "background": BACKGROUNDS,
}
"""Every field of a scene with the words it may hold, in the order of the scene's fields."""

_MENTION: Final = {"colour": 0.9, "shape": 0.9, "texture": 0.4, "count": 0.4, "background": 0.3}


def plural(shape: str) -> str:
    """More than one of a shape: ``stars``, ``crosses``."""
    return shape + ("es" if shape.endswith("ss") else "s")


_WORDS: Final = {word: (field, word) for field, words in FIELDS.items() for word in words} | {
    plural(shape): ("shape", shape) for shape in SHAPES
}


def random_scene(rng: np.random.Generator, pairs: Sequence[tuple[str, str]] = TRAINED) -> Scene:
    """Draws a scene whose colour and shape come from ``pairs``, by default only pairs that training may see."""
    colour, shape = pairs[int(rng.integers(len(pairs)))]
    return Scene(
        colour,
        shape,
        TEXTURES[rng.integers(len(TEXTURES))],
        COUNTS[rng.integers(len(COUNTS))],
        BACKGROUNDS[rng.integers(len(BACKGROUNDS))],
    )


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
    return random_scene(rng, [(colour, shape)])


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Writes a true caption of a scene that leaves some of it out, as people do.

    A caption that says nothing about the count uses the singular, because class names do.
    """
    chances = rng.random(len(_MENTION))
    said = {field: chance < share for (field, share), chance in zip(_MENTION.items(), chances, strict=True)}
    if not (said["colour"] or said["shape"]):
        said["shape"] = True
    adjectives = [scene.texture] if said["texture"] else []
    if said["colour"]:
        adjectives.insert(int(rng.integers(2)), scene.colour)
    noun = scene.shape if said["shape"] else "shape"
    many = said["count"] and scene.count != "one"
    words = [*adjectives, plural(noun) if many else noun]
    if said["count"]:
        words.insert(0, scene.count)
    elif rng.random() < 0.8:
        words.insert(0, "an" if words[0][0] in "aeiou" else "a")
    text = _OPENINGS[rng.integers(len(_OPENINGS))] + " ".join(words)
    if said["background"]:
        text += " " + _GROUNDS[rng.integers(len(_GROUNDS))].format(scene.background)
    return text + "." if rng.random() < 0.5 else text


def read_caption(text: str) -> dict[str, str]:
    """Reads back what a caption says: the fields of the scene that it mentions, with their words."""
    words = text.rstrip(".").split()
    return dict(_WORDS[word] for word in words if word in _WORDS)


def scene_codes(scene: Scene) -> list[int]:
    """The scene as one integer a field, in the order of ``FIELDS``."""
    return [words.index(getattr(scene, field)) for field, words in FIELDS.items()]


def caption_codes(text: str) -> list[int]:
    """The caption as one integer a field, in the order of ``FIELDS``; −1 where it says nothing."""
    said = read_caption(text)
    return [words.index(said[field]) if field in said else -1 for field, words in FIELDS.items()]
