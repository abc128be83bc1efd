import json
import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from stream_adapter.demo.scenes import Scene
from training import train
from training.scenes import HELD_OUT, TRAINED, TRAINED_STYLES, caption_codes, read_caption, scene_codes
from training.train import DrawnBatches, contrastive_loss, is_true
from training.zero_shot import load


def one_token_a_text(texts: list[str]) -> torch.Tensor:
    return torch.arange(len(texts))[:, None]


def test_held_out_pairs_never_reach_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes: list[Scene] = []
    styles: set[str] = set()
    texts: list[str] = []

    def draw(scene: Scene, style: str, rng: np.random.Generator) -> Image.Image:
        scenes.append(scene)
        styles.add(style)
        return Image.new("RGB", (4, 4))

    def tokenizer(captions: list[str]) -> torch.Tensor:
        texts.extend(captions)
        return one_token_a_text(captions)

    monkeypatch.setattr(train, "draw", draw)
    for _ in islice(DrawnBatches(tokenizer, 100, seed=3), 60):
        pass
    assert len(scenes) == len(texts) == 6000
    assert {(scene.colour, scene.shape) for scene in scenes} == set(TRAINED)
    said = [read_caption(text) for text in texts]
    assert HELD_OUT.isdisjoint({(words.get("colour"), words.get("shape")) for words in said})
    assert styles == set(TRAINED_STYLES)


def test_batches_repeat_under_a_seed() -> None:
    one, other = (next(iter(DrawnBatches(one_token_a_text, 8, seed=1))) for _ in range(2))
    assert all(torch.equal(left, right) for left, right in zip(one, other, strict=True))
    assert not torch.equal(one[0], next(iter(DrawnBatches(one_token_a_text, 8, seed=2)))[0])


def test_a_picture_s_own_caption_is_true_of_it() -> None:
    pixels, tokens, true = next(iter(DrawnBatches(one_token_a_text, 32, seed=1)))
    assert pixels.shape == (32, 64, 64, 3)
    assert pixels.dtype == torch.uint8
    assert tokens.shape == (32, 1)
    assert true.shape == (32, 32)
    assert true.diagonal().all()
    assert not true.all()


def test_a_caption_is_true_of_whatever_shows_all_that_it_mentions() -> None:
    scenes = [Scene("red", "star", "solid", "two", "white"), Scene("red", "heart", "solid", "one", "white")]
    captions = ["a red shape", "two red stars", "a star on a black background"]
    true = is_true(
        torch.tensor([scene_codes(scene) for scene in scenes]),
        torch.tensor([caption_codes(text) for text in captions]),
    )
    assert true.tolist() == [[True, True, False], [True, False, False]]


def test_loss_ignores_true_captions_of_other_pictures() -> None:
    vectors = torch.eye(2, 4)
    alike = torch.nn.functional.normalize(torch.tensor([[1.0, 1.0, 0, 0], [1.0, 1.0, 0, 0]]), dim=-1)
    scale = torch.tensor(10.0)
    own_only = torch.eye(2, dtype=torch.bool)
    assert contrastive_loss(vectors, vectors, scale, own_only).item() == pytest.approx(
        math.log1p(math.exp(-10)), rel=1e-3
    )
    assert contrastive_loss(vectors, alike, scale, own_only).item() == pytest.approx(math.log(2))
    assert contrastive_loss(vectors, alike, scale, torch.ones(2, 2, dtype=torch.bool)).item() == pytest.approx(0.0)


def test_three_steps_write_weights_that_load_and_figures(tmp_path: Path) -> None:
    app = train.typer.Typer()
    app.command()(train.main)
    options = ["--steps", "3", "--batch-size", "8", "--workers", "0", "--eval-pictures", "12", "--seed", "5"]
    result = CliRunner().invoke(app, ["--output", str(tmp_path), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    model, tokenizer = load(tmp_path / "small-clip.safetensors")
    assert torch.isfinite(model.encode_text(tokenizer(["a red star"]))).all()
    assert not model.token_embedding.weight[1000].any()  # a token that no caption has
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["settings"]["steps"] == 3
    assert record["settings"]["seed"] == 5
    assert all(0.0 <= share <= 1.0 for share in record["zero_shot_accuracy"].values())
    assert math.isfinite(record["loss"])
