"""How pictures are prepared for a checkpoint file, held against open_clip's own table of models and tags."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
from open_clip.pretrained import get_pretrained_cfg
from safetensors.torch import load_file, save_file

from stream_adapter.config import EncoderConfig, PreprocessConfig, VocabularyConfig
from stream_adapter.demo import small_clip
from stream_adapter.encode.loading import load_encoder, load_models
from stream_adapter.encode.preprocessing import OWN_FILE, preprocessing
from stream_adapter.encode.towers import load_towers
from stream_adapter.errors import EncoderError
from tests.picture_files import picture
from tests.tiny_clip import CONFIG, OPENAI_PREPROCESS, write_tiny_clip

SIGLIP = PreprocessConfig(mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic", resize_mode="squash")
KEYS = ("mean", "std", "interpolation", "resize_mode")
Way = tuple[Any, ...]


def way_of(prepare: dict[str, Any]) -> Way:
    """Preprocessing in a form that can be compared: mean, std, interpolation, resize mode."""
    return tuple(tuple(prepare[key]) if key in ("mean", "std") else prepare[key] for key in KEYS)


def file_of(model: str, folder: Path, **more: Any) -> EncoderConfig:
    return EncoderConfig(model=model, pretrained=str(folder / "weights.safetensors"), **more)


def prepared(config: EncoderConfig) -> dict[str, Any]:
    known = None if ":" in config.model else open_clip.get_model_config(config.model.replace("/", "-"))
    return preprocessing(config, known or CONFIG)


def refused(config: EncoderConfig, message: str) -> str:
    with pytest.raises(EncoderError, match=message) as error:
        prepared(config)
    return str(error.value)


TABLE: dict[str, dict[str, Way]] = {}
for _model, _tag in open_clip.list_pretrained():
    TABLE.setdefault(_model, {})[_tag] = way_of(get_pretrained_cfg(_model, _tag))


def test_the_table_is_worth_the_walk() -> None:
    assert len(TABLE) > 100
    assert len({way for ways in TABLE.values() for way in ways.values()}) >= 6


@pytest.mark.parametrize("model", TABLE)
@pytest.mark.parametrize("key", ["pretrained", "pretrained_image"])
def test_a_file_of_every_architecture_is_prepared_as_all_its_tags_are_or_refused(
    model: str, key: str, tmp_path: Path
) -> None:
    config = EncoderConfig(**{"model": model, key: str(tmp_path / "weights.safetensors")})
    ways = set(TABLE[model].values())
    if len(ways) == 1:
        assert way_of(prepared(config)) == ways.pop()
    else:
        message = refused(config, f"made in {len(ways)} ways.*`encoder.preprocess")
        assert any(tag in message for tag in TABLE[model])


@pytest.mark.parametrize(("model", "tag"), open_clip.list_pretrained())
def test_every_tag_is_prepared_as_open_clip_prepares_it(model: str, tag: str) -> None:
    assert way_of(prepared(EncoderConfig(model=model, pretrained=tag))) == TABLE[model][tag]


@pytest.mark.parametrize("model", TABLE)
def test_every_way_can_be_given(model: str, tmp_path: Path) -> None:
    for way in TABLE[model].values():
        given = PreprocessConfig(**dict(zip(KEYS, way, strict=True)))
        assert way_of(prepared(file_of(model, tmp_path, preprocess=given))) == way


@pytest.mark.parametrize("model", sorted(set(open_clip.list_models()) - TABLE.keys() - {"tiny-clip", "small-clip"}))
def test_an_architecture_without_published_weights_is_refused(model: str, tmp_path: Path) -> None:
    refused(file_of(model, tmp_path), f"weights.safetensors, without {OWN_FILE} beside it, .*no weights of '{model}'")


def test_known_families(tmp_path: Path) -> None:
    """By name, so that a change of open_clip's table is noticed."""
    squashed = (0.5,) * 3, (0.5,) * 3, "bicubic", "squash"
    assert way_of(prepared(file_of("ViT-B-16-SigLIP", tmp_path))) == squashed
    assert way_of(prepared(file_of("ViT-B-16-SigLIP2", tmp_path))) == squashed
    assert way_of(prepared(file_of("MobileCLIP-S1", tmp_path))) == ((0.0,) * 3, (1.0,) * 3, "bilinear", "shortest")
    assert way_of(prepared(file_of("ViT-H-14-CLIPA", tmp_path)))[2:] == ("bilinear", "squash")
    assert way_of(prepared(file_of("PE-Core-B-16", tmp_path)))[:2] == ((0.5,) * 3, (0.5,) * 3)
    openai = tuple(open_clip.OPENAI_DATASET_MEAN), tuple(open_clip.OPENAI_DATASET_STD), "bicubic", "shortest"
    assert way_of(prepared(file_of("ViT-B-16-quickgelu", tmp_path))) == openai
    assert way_of(prepared(file_of("ViT-B/32", tmp_path))) == openai
    assert "laion2b_s32b_b82k: mean [0.5, 0.5, 0.5]" in refused(file_of("ViT-L-14", tmp_path), "made in 2 ways")
    assert "dfn5b: mean [0.481455," in refused(file_of("ViT-H-14", tmp_path), "resize_mode squash")


def write_own(folder: Path, **content: Any) -> None:
    (folder / OWN_FILE).write_text(json.dumps(content))


def test_what_lies_beside_the_file_comes_before_the_table(tmp_path: Path) -> None:
    write_own(tmp_path, preprocess_cfg={**SIGLIP.model_dump(exclude_none=True), "mode": "RGB", "size": [9, 9]})
    for model in ("ViT-L-14", "ViT-B-32"):
        assert way_of(prepared(file_of(model, tmp_path))) == way_of(SIGLIP.model_dump())


def test_a_file_of_an_older_model_names_mean_and_std_alone(tmp_path: Path) -> None:
    write_own(tmp_path, preprocess_cfg={"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]})
    found = prepared(file_of("ViT-L-14", tmp_path))
    assert way_of(found) == ((0.1, 0.2, 0.3), (1.0,) * 3, "bicubic", "shortest")
    squash = OPENAI_PREPROCESS.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": (1.0,) * 3, "resize_mode": "squash"})
    with_key = file_of("ViT-L-14", tmp_path, preprocess=squash)
    assert way_of(prepared(with_key))[3] == "squash", "what the file leaves open the key may say"


def test_a_fill_colour_beside_the_file_is_kept(tmp_path: Path) -> None:
    write_own(tmp_path, preprocess_cfg={**SIGLIP.model_dump(exclude_none=True), "fill_color": 127})
    assert prepared(file_of("ViT-L-14", tmp_path))["fill_color"] == 127


@pytest.mark.parametrize(
    "content", [{}, {"model_cfg": {}}, {"preprocess_cfg": {"mean": [0.5] * 3}}, {"preprocess_cfg": 7}]
)
def test_a_file_beside_it_that_says_nothing_is_none(tmp_path: Path, content: dict[str, Any]) -> None:
    write_own(tmp_path, **content)
    refused(file_of("ViT-L-14", tmp_path), f"{OWN_FILE} does not say how its pictures are prepared.*made in 2 ways")
    assert way_of(prepared(file_of("ViT-B-32", tmp_path)))[3] == "shortest"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        (
            '{"preprocess_cfg": {"mean": [123.7, 116.3, 103.5], "std": [1, 1, 1]}}',
            "cannot be used: mean.0: .*equal to 1",
        ),
        ('{"preprocess_cfg": {"mean": [0.5], "std": [1, 1, 1]}}', "cannot be used: mean"),
        ('{"preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 0]}}', "cannot be used: std.2: .*equal to 0.001"),
        (
            '{"preprocess_cfg": {"mean": [0, 0, 0], "std": [1, 1, 1], "resize_mode": "cover"}}',
            "cannot be used: resize_mode",
        ),
    ],
)
def test_a_broken_file_beside_it_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / OWN_FILE).write_text(text)
    assert str(tmp_path / OWN_FILE) in refused(file_of("ViT-B-32", tmp_path), message)


def test_a_file_beside_it_of_another_model_is_refused(tmp_path: Path) -> None:
    other = {"embed_dim": 768, "vision_cfg": {"image_size": 384}}
    write_own(tmp_path, model_cfg=other, preprocess_cfg=SIGLIP.model_dump())
    refused(file_of("ViT-B-32", tmp_path), r"describes another model \(vectors of length 768, pictures of 384 pixels\)")


def test_the_key_may_not_contradict_what_the_weights_say(tmp_path: Path) -> None:
    tagged = EncoderConfig(model="ViT-B-32", pretrained="openai", preprocess=SIGLIP)
    refused(
        tagged, r"contradicts the tag 'openai': mean \[0.5, 0.5, 0.5\], there \[0.481455.*resize_mode squash, there"
    )
    agreeing = EncoderConfig(model="ViT-B-32", pretrained="openai", preprocess=OPENAI_PREPROCESS)
    assert way_of(prepared(agreeing)) == way_of(OPENAI_PREPROCESS.model_dump())
    write_own(tmp_path, preprocess_cfg=SIGLIP.model_dump(exclude_none=True))
    refused(file_of("ViT-L-14", tmp_path, preprocess=OPENAI_PREPROCESS), f"contradicts .*{OWN_FILE}: mean")


def test_the_key_comes_before_the_table_for_a_file_may_be_of_ones_own(tmp_path: Path) -> None:
    assert way_of(prepared(file_of("ViT-B-32", tmp_path, preprocess=SIGLIP))) == way_of(SIGLIP.model_dump())


def test_an_own_architecture_shares_no_more_than_its_name_with_the_table(tmp_path: Path) -> None:
    own = file_of("ViT-B-32", tmp_path, model_config_file=tmp_path / "ViT-B-32.json")
    refused(own, "no weights of 'ViT-B-32' to go by")


def test_a_model_in_a_folder_must_say_it_too(tmp_path: Path) -> None:
    write_own(tmp_path, model_cfg=CONFIG)
    refused(EncoderConfig(model=f"local-dir:{tmp_path}"), f"{OWN_FILE} does not say how its pictures are prepared")
    write_own(tmp_path, model_cfg=CONFIG, preprocess_cfg=SIGLIP.model_dump())
    assert way_of(prepared(EncoderConfig(model=f"local-dir:{tmp_path}"))) == way_of(SIGLIP.model_dump())


def test_a_model_on_the_hub_must_say_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    content: dict[str, Any] = {"model_cfg": CONFIG}
    monkeypatch.setattr(open_clip.factory, "_get_hf_config", lambda identifier: content)
    refused(EncoderConfig(model="hf-hub:someone/clip"), "hf-hub:someone/clip does not say how")
    content["preprocess_cfg"] = SIGLIP.model_dump()
    assert way_of(prepared(EncoderConfig(model="hf-hub:someone/clip"))) == way_of(SIGLIP.model_dump())


@pytest.mark.parametrize("alone", [False, True])
def test_what_is_chosen_is_what_the_tower_gets_and_enters_the_fingerprint(tmp_path: Path, alone: bool) -> None:
    config = write_tiny_clip(tmp_path)
    if alone:
        config = config.model_copy(update={"pretrained": None, "pretrained_image": Path(config.pretrained or "")})
    as_siglip = config.model_copy(update={"preprocess": SIGLIP})
    towers = load_towers(as_siglip, text=False)
    assert (towers.preprocess.resize_mode, tuple(towers.preprocess.mean)) == ("squash", (0.5,) * 3)
    assert towers.preprocess.size in (32, (32, 32))
    one, other = load_encoder(config), load_encoder(as_siglip)
    assert one.fingerprint != other.fingerprint
    data = picture("JPEG", 100, 300)
    vectors = [encoder.encode([encoder.prepare(data, "")])[0] for encoder in (one, other)]
    assert float(vectors[0] @ vectors[1]) < 0.999
    beside = as_siglip.model_copy(update={"preprocess": None})
    write_own(tmp_path, preprocess_cfg=SIGLIP.model_dump())
    assert load_encoder(beside).fingerprint == other.fingerprint


def test_without_any_word_an_own_file_does_not_start(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path).model_copy(update={"preprocess": None})
    with pytest.raises(EncoderError, match=r"tiny-clip.safetensors, without .*`encoder.preprocess"):
        load_encoder(config)
    alone = config.model_copy(update={"pretrained": None, "pretrained_image": Path(config.pretrained or "")})
    with pytest.raises(EncoderError, match=r"tiny-clip.safetensors, without .*`encoder.preprocess"):
        load_encoder(alone)


def test_a_size_of_ones_own_resizes_the_tower_that_was_trained_with_another(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path)
    larger = config.model_copy(update={"preprocess": OPENAI_PREPROCESS.model_copy(update={"size": 48})})
    encoder = load_encoder(larger)
    assert encoder.prepare(picture("PNG"), "").shape == (3, 48, 48)
    assert np.isfinite(encoder.encode([encoder.prepare(picture("PNG"), "")])).all()
    assert encoder.fingerprint != load_encoder(config).fingerprint
    alone = larger.model_copy(update={"pretrained": None, "pretrained_image": Path(config.pretrained or "")})
    with pytest.raises(EncoderError, match=r"positional_embedding is \(17, 32\), expected \(37, 32\)"):
        load_encoder(alone)


def test_the_small_clip_brings_its_own() -> None:
    config = EncoderConfig(
        model=small_clip.MODEL_NAME, model_config_file=small_clip.CONFIG, pretrained=str(small_clip.WEIGHTS)
    )
    encoder, _ = load_models(config, VocabularyConfig(classes=("red circle", "blue star")))
    way = {key: getattr(load_towers(config, text=False).preprocess, key) for key in KEYS}
    assert way_of(way) == way_of(OPENAI_PREPROCESS.model_dump())
    assert encoder.d == 128


def test_the_small_clips_weights_elsewhere_need_a_word(tmp_path: Path) -> None:
    save_file(load_file(small_clip.WEIGHTS), tmp_path / "small-clip.safetensors")
    moved = EncoderConfig(
        model=small_clip.MODEL_NAME,
        model_config_file=small_clip.CONFIG,
        pretrained=str(tmp_path / "small-clip.safetensors"),
    )
    with pytest.raises(EncoderError, match="does not say how its pictures are prepared"):
        load_encoder(moved)
