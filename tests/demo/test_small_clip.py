"""The small CLIP that ships: loads by open_clip's own functions and generalises beyond its training pairs."""

import json
import math
import re
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from stream_adapter.demo.pictures import SIZE, draw
from stream_adapter.demo.scenes import DEMO_CLASSES, class_scene
from stream_adapter.demo.small_clip import CONFIG, MODEL_NAME, WEIGHTS
from stream_adapter.demo.styles import FIRST_STYLE, SHIFTED_STYLE
from training.scenes import HELD_OUT, TRAINED_STYLES
from training.zero_shot import (
    ALL_NAMES,
    HELD_OUT_NAMES,
    TRAINED_NAMES,
    Tokenizer,
    accuracy,
    load,
    pixels_of,
    text_vectors,
    to_input,
)

PICTURES = 480
SEED = 77


@pytest.fixture(scope="module")
def small_clip() -> tuple[Any, Tokenizer]:
    return load()


def test_weights_are_small_half_precision_and_finite() -> None:
    assert WEIGHTS.stat().st_size < 8_000_000
    state = load_file(WEIGHTS)
    floats = {name: value for name, value in state.items() if value.is_floating_point()}
    assert {value.dtype for value in floats.values()} == {torch.float16}
    assert all(torch.isfinite(value).all() for value in floats.values())
    # What is not floating point is the batch counter of each batch normalisation.
    assert all(name.endswith("num_batches_tracked") for name in state.keys() - floats.keys())


def test_ordinary_open_clip_code_loads_it() -> None:
    open_clip.add_model_config(CONFIG)
    model, _, preprocess = open_clip.create_model_and_transforms(MODEL_NAME, pretrained=str(WEIGHTS))
    tokenizer = open_clip.get_tokenizer(MODEL_NAME)
    picture = draw(class_scene("yellow star", np.random.default_rng(0)), "plain", np.random.default_rng(1))
    with torch.inference_mode():
        image = model.eval().encode_image(preprocess(picture)[None])
        text = model.encode_text(tokenizer(["a yellow star", "some words it has never read"]))
    width = json.loads(CONFIG.read_text())["embed_dim"]
    assert image.shape == (1, width)
    assert text.shape == (2, width)
    assert torch.isfinite(image).all()
    assert torch.isfinite(text).all()
    assert 1.0 < model.logit_scale.exp().item() <= 100.0 * math.exp(0.002)  # the limit, as half precision rounds it


def test_pictures_are_drawn_at_the_size_of_the_model_and_prepared_alike() -> None:
    _, _, preprocess = open_clip.create_model_and_transforms(MODEL_NAME, pretrained=str(WEIGHTS))
    picture = draw(class_scene("blue star", np.random.default_rng(0)), "night", np.random.default_rng(1))
    assert json.loads(CONFIG.read_text())["vision_cfg"]["image_size"] == SIZE
    torch.testing.assert_close(to_input(pixels_of([picture]))[0], preprocess(picture))


@pytest.mark.parametrize("precision", ["bf16", "pure_bf16"])
def test_lower_precision_gives_nearly_the_same_vectors(precision: str, small_clip: tuple[Any, Tokenizer]) -> None:
    model, tokenizer = small_clip
    other = open_clip.create_model(MODEL_NAME, pretrained=str(WEIGHTS), precision=precision).eval()
    tokens = tokenizer(["a red star", "two blue circles"])
    pictures = to_input(pixels_of([draw(class_scene(name, np.random.default_rng(0)), "plain", np.random.default_rng(0))
                                   for name in DEMO_CLASSES[:4]]))  # fmt: skip
    with torch.inference_mode():
        for one, two in (
            (model.encode_image(pictures, normalize=True), other.encode_image(pictures.bfloat16(), normalize=True)),
            (model.encode_text(tokens, normalize=True), other.encode_text(tokens, normalize=True)),
        ):
            assert (one * two.float()).sum(dim=-1).min() > 0.99


def test_held_out_pairs_are_recognised_among_themselves(small_clip: tuple[Any, Tokenizer]) -> None:
    share = accuracy(*small_clip, HELD_OUT_NAMES, TRAINED_STYLES, candidates=HELD_OUT_NAMES, count=PICTURES, seed=SEED)
    assert share > 0.85  # chance: 1 in 24


def test_held_out_pairs_are_recognised_among_all(small_clip: tuple[Any, Tokenizer]) -> None:
    share = accuracy(*small_clip, HELD_OUT_NAMES, TRAINED_STYLES, candidates=ALL_NAMES, count=PICTURES, seed=SEED)
    assert share > 0.70  # chance: 1 in 120; a model that knew only trained pairs would score 0


def test_demo_begins_well_and_the_shift_costs_accuracy_but_not_all_of_it(small_clip: tuple[Any, Tokenizer]) -> None:
    first, shifted = (
        accuracy(*small_clip, DEMO_CLASSES, (style,), candidates=DEMO_CLASSES, count=PICTURES, seed=SEED)
        for style in (FIRST_STYLE, SHIFTED_STYLE)
    )
    assert first > 0.85
    assert 0.50 < shifted < first - 0.10  # chance: 1 in 24


def test_names_of_trained_and_held_out_pairs_are_the_120() -> None:
    assert len(ALL_NAMES) == 120
    assert sorted([*TRAINED_NAMES, *HELD_OUT_NAMES]) == sorted(ALL_NAMES)
    assert {tuple(name.split()) for name in HELD_OUT_NAMES} == HELD_OUT


def test_text_vectors_are_distinct_unit_vectors(small_clip: tuple[Any, Tokenizer]) -> None:
    vectors = text_vectors(*small_clip, ALL_NAMES)  # (120, dimensions)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(ALL_NAMES)))
    cosines = vectors @ vectors.T - 2 * torch.eye(len(ALL_NAMES))
    assert cosines.max() < 0.999


def test_model_card_and_training_record_agree() -> None:
    folder = WEIGHTS.parent
    record = json.loads((folder / "training.json").read_text())
    card = (folder / "README.md").read_text()
    assert f"{record['eval_pictures']:,} pictures" in card
    figures = [float(figure) for figure in re.findall(r"([\d.]+) % \|", card)]
    for name, share in record["zero_shot_accuracy"].items():
        assert any(abs(figure - 100 * share) <= 0.051 for figure in figures), name  # one decimal
