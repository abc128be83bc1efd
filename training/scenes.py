"""What training draws and says: pairs of colour and shape, and captions of scenes.

Some pairs are held out: the small CLIP never sees them in training, so recognising them shows that it put the two words
together by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from stream_adapter.demo.scenes import BACKGROUNDS, COLOURS, COUNTS, SHAPES, TEXTURES, Scene, class_scene

# A diagonal pattern rather than random draws: every colour and every shape is missing from some pairs and present in
# others, so no word is unknown and only the combination is.
HELD_OUT: Final = frozenset(
    (colour, shape) for i, colour in enumerate(COLOURS) for j, shape in enumerate(SHAPES) if (i + 2 * j) % 5 == 0
)
TRAINED: Final = tuple((colour, shape) for colour in COLOURS for shape in SHAPES if (colour, shape) not in HELD_OUT)

TRAINED_STYLES: Final = ("plain", "pastel", "grainy")
"""The styles of the training pictures."""

_OPENINGS: Final = ("", "", "a photo of ", "a picture of ", "an image of ", "a drawing of ")
_GROUNDS: Final = ("on a {} background", "on {}", "in front of a {} background")

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


def random_scene(rng: np.random.Generator) -> Scene:
    """Draws a scene whose colour and shape training may see."""
    colour, shape = TRAINED[int(rng.integers(len(TRAINED)))]
    return class_scene(f"{colour} {shape}", rng)


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
