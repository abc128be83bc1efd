import numpy as np

from stream_adapter.demo.scenes import COLOURS, SHAPES, class_scene
from training.scenes import (
    FIELDS,
    HELD_OUT,
    TRAINED,
    caption,
    caption_codes,
    plural,
    random_scene,
    read_caption,
    scene_codes,
)


def test_every_word_means_one_thing() -> None:
    words = [word for words in FIELDS.values() for word in words] + [plural(shape) for shape in SHAPES]
    assert len(words) == len(set(words))


def test_held_out_pairs_leave_no_word_unknown() -> None:
    assert len(HELD_OUT) == 24
    assert len(TRAINED) + len(HELD_OUT) == len(COLOURS) * len(SHAPES)
    assert HELD_OUT.isdisjoint(TRAINED)
    for pairs in (HELD_OUT, TRAINED):
        assert {colour for colour, _ in pairs} == set(COLOURS)
        assert {shape for _, shape in pairs} == set(SHAPES)


def test_scenes_for_training_are_never_held_out_and_cover_the_rest() -> None:
    rng = np.random.default_rng(0)
    drawn = {(scene.colour, scene.shape) for scene in (random_scene(rng) for _ in range(5000))}
    assert drawn == set(TRAINED)


def test_captions_say_only_what_is_true_and_read_back() -> None:
    rng = np.random.default_rng(2)
    mentioned = dict.fromkeys(FIELDS, 0)
    for _ in range(2000):
        scene = random_scene(rng)
        text = caption(scene, rng)
        said = read_caption(text)
        assert said, text
        for field, word in said.items():
            assert getattr(scene, field) == word, text
            mentioned[field] += 1
        codes = zip(caption_codes(text), scene_codes(scene), strict=True)
        assert all(code in (-1, true) for code, true in codes), text
    assert all(200 < times < 2000 for times in mentioned.values()), mentioned


def test_captions_vary_and_repeat_under_a_seed() -> None:
    scene = class_scene("red star", np.random.default_rng(3))
    texts = [caption(scene, np.random.default_rng(seed)) for seed in range(300)]
    assert len(set(texts)) > 100
    assert texts == [caption(scene, np.random.default_rng(seed)) for seed in range(300)]


def test_a_caption_that_is_written_by_hand() -> None:
    assert read_caption("a photo of two dotted blue crosses on a tiled background.") == {
        "count": "two",
        "texture": "dotted",
        "colour": "blue",
        "shape": "cross",
        "background": "tiled",
    }
