from itertools import cycle, product

import numpy as np
import pytest
from PIL import Image, ImageStat

from stream_adapter.demo.pictures import SIZE, demo_stream, draw
from stream_adapter.demo.scenes import BACKGROUNDS, COLOURS, COUNTS, DEMO_CLASSES, SHAPES, TEXTURES, Scene
from stream_adapter.demo.styles import FIRST_STYLE, SHIFTED_STYLE, STYLES
from training.scenes import TRAINED_STYLES

SCENE = Scene("blue", "star", "solid", "one", "white")


def pixels(scene: Scene, style: str, seed: int) -> np.ndarray:
    return np.asarray(draw(scene, style, np.random.default_rng(seed)), dtype=np.float64)


@pytest.mark.parametrize("style", STYLES)
def test_same_seed_same_picture_other_seed_another(style: str) -> None:
    assert np.array_equal(pixels(SCENE, style, 5), pixels(SCENE, style, 5))
    assert not np.array_equal(pixels(SCENE, style, 5), pixels(SCENE, style, 6))


def test_every_scene_draws_something_on_every_background() -> None:
    rng = np.random.default_rng(0)
    rest = product(SHAPES, TEXTURES, COUNTS, BACKGROUNDS)
    for colour, (shape, texture, count, background) in zip(cycle(COLOURS), rest, strict=False):
        scene = Scene(colour, shape, texture, count, background)
        picture = draw(scene, "plain", rng)
        assert picture.size == (SIZE, SIZE)
        assert picture.mode == "RGB"
        assert max(ImageStat.Stat(picture).stddev) > 4.0, scene


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_stay_inside_but_for_a_corner(shape: str) -> None:
    for count in COUNTS:
        for seed in range(20):
            picture = pixels(Scene("blue", shape, "solid", count, "white"), "plain", seed)
            ink = picture[..., 0] < 0.7 * picture[0, 0, 0]  # blue ink reflects far less red than white paper
            assert 0.01 < ink.mean() < 0.5, (count, seed)
            border = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
            assert border.mean() < 0.2, (count, seed)


def test_the_colour_is_the_colour() -> None:
    scene = Scene("red", "square", "solid", "one", "black")
    picture = pixels(scene, "plain", 0)
    ink = picture[picture.max(axis=-1) > 120]
    assert ink[:, 0].mean() > 2 * ink[:, 1].mean()
    assert ink[:, 0].mean() > 2 * ink[:, 2].mean()


def test_styles_differ_on_the_same_scene() -> None:
    means = {style: np.mean([pixels(SCENE, style, seed) for seed in range(20)], axis=0) for style in STYLES}
    for one, other in product(STYLES, STYLES):
        if one < other and {one, other} != {"plain", "grainy"}:  # noise alone averages out
            assert np.abs(means[one] - means[other]).mean() > 8.0, (one, other)


def test_unknown_style_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match="no such style: 'oil'"):
        draw(SCENE, "oil", np.random.default_rng(0))


def test_stream_shifts_once_and_holds_every_class() -> None:
    pictures = list(demo_stream(300, 120, np.random.default_rng(0)))
    assert [picture.style for picture in pictures] == [FIRST_STYLE] * 120 + [SHIFTED_STYLE] * 180
    assert {picture.label for picture in pictures} == set(DEMO_CLASSES)
    assert all(isinstance(picture.image, Image.Image) for picture in pictures)
    assert FIRST_STYLE in TRAINED_STYLES
    assert SHIFTED_STYLE not in TRAINED_STYLES


def test_stream_repeats_under_a_seed() -> None:
    one, other = (list(demo_stream(30, 10, np.random.default_rng(4))) for _ in range(2))
    assert [picture.scene for picture in one] == [picture.scene for picture in other]
    assert [picture.image.tobytes() for picture in one] == [picture.image.tobytes() for picture in other]


def test_stream_of_chosen_classes_and_styles() -> None:
    pictures = list(demo_stream(20, 20, np.random.default_rng(0), classes=["red star"], styles=("night", "sketch")))
    assert {(picture.label, picture.style) for picture in pictures} == {("red star", "night")}
