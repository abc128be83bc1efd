from pathlib import Path

import pytest
import torch
from open_clip.transform import PreprocessCfg
from safetensors.torch import load_file, save_file

from stream_adapter.config import EncoderConfig
from stream_adapter.encode.clip import ClipEncoder
from stream_adapter.encode.fingerprint import fingerprint
from stream_adapter.encode.loading import load_encoder
from stream_adapter.encode.towers import load_towers
from tests.tiny_clip import CONFIG, write_tiny_clip

PREPROCESS = PreprocessCfg(size=32)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    return load_towers(write_tiny_clip(tmp_path_factory.mktemp("clip")), text=False).visual.state_dict()


def test_the_same_model_from_two_places_has_one_fingerprint(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path)
    checkpoint = tmp_path / "same.pt"
    torch.save(load_file(config.pretrained or ""), checkpoint)
    alone = {"pretrained": None, "pretrained_image": Path(config.pretrained or "")}
    encoders = [
        load_encoder(config),
        load_encoder(config),
        load_encoder(config.model_copy(update={"pretrained": str(checkpoint)})),
        load_encoder(config.model_copy(update=alone)),
    ]
    assert len({encoder.fingerprint for encoder in encoders}) == 1
    assert len(encoders[0].fingerprint) == 16


def test_precision_does_not_enter(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path)
    rounded = load_encoder(config.model_copy(update={"precision": "bfloat16"}))
    assert rounded.precision == "bfloat16"
    assert rounded.fingerprint == load_encoder(config).fingerprint


def test_it_is_the_same_tomorrow(tmp_path: Path) -> None:
    weights = {"weight": torch.arange(12, dtype=torch.float32).reshape(3, 4), "bias": torch.zeros(3)}
    assert fingerprint(weights, CONFIG, PREPROCESS) == "69cb6b85102aceda"


def test_one_bit_of_one_weight_changes_it(state: dict[str, torch.Tensor]) -> None:
    before = fingerprint(state, CONFIG, PREPROCESS)
    changed = {name: tensor.clone() for name, tensor in state.items()}
    changed["ln_post.bias"].view(torch.int32)[5] ^= 1
    assert fingerprint(changed, CONFIG, PREPROCESS) != before


def test_another_checkpoint_changes_it(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    configs = write_tiny_clip(tmp_path, seed=1), write_tiny_clip(tmp_path / "other", seed=2)
    one, other = (load_encoder(config).fingerprint for config in configs)
    assert one != other


def test_renaming_or_reshaping_a_tensor_changes_it(state: dict[str, torch.Tensor]) -> None:
    prints = {
        fingerprint({"a": torch.zeros(2, 3), "b": torch.ones(6)}, CONFIG, PREPROCESS),
        fingerprint({"a": torch.zeros(3, 2), "b": torch.ones(6)}, CONFIG, PREPROCESS),
        fingerprint({"b": torch.zeros(2, 3), "a": torch.ones(6)}, CONFIG, PREPROCESS),
        fingerprint({"a": torch.zeros(2, 3, dtype=torch.float64), "b": torch.ones(6)}, CONFIG, PREPROCESS),
    }
    assert len(prints) == 4


@pytest.mark.parametrize(
    "other",
    [
        {"size": 64},
        {"size": 32, "mean": (0.5, 0.5, 0.5)},
        {"size": 32, "std": (0.5, 0.5, 0.5)},
        {"size": 32, "interpolation": "bilinear"},
        {"size": 32, "resize_mode": "squash"},
        {"size": 32, "fill_color": 1},
    ],
)
def test_preprocessing_enters(state: dict[str, torch.Tensor], other: dict[str, object]) -> None:
    assert fingerprint(state, CONFIG, PreprocessCfg(**other)) != fingerprint(state, CONFIG, PREPROCESS)


def test_turning_by_exif_enters(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    assert fingerprint(state, CONFIG, PREPROCESS, exif_orientation=False) != fingerprint(state, CONFIG, PREPROCESS)
    config = write_tiny_clip(tmp_path)
    lying = load_encoder(config.model_copy(update={"exif_orientation": False}))
    assert lying.fingerprint != load_encoder(config).fingerprint


def test_the_activation_enters_though_no_tensor_shows_it(state: dict[str, torch.Tensor]) -> None:
    quick = {**CONFIG, "quick_gelu": True}
    assert fingerprint(state, quick, PREPROCESS) != fingerprint(state, CONFIG, PREPROCESS)
    vision = {**CONFIG["vision_cfg"], "act_kwargs": {"approximate": "tanh"}}
    assert fingerprint(state, {**CONFIG, "vision_cfg": vision}, PREPROCESS) != fingerprint(state, CONFIG, PREPROCESS)


def test_what_has_no_influence_on_a_vector_does_not_enter(state: dict[str, torch.Tensor]) -> None:
    before = fingerprint(state, CONFIG, PREPROCESS)
    vision = {**CONFIG["vision_cfg"], "patch_dropout": 0.5, "timm_model_pretrained": True, "mlp_ratio": 4.0}
    text = {**CONFIG["text_cfg"], "layers": 7}
    same = {**CONFIG, "vision_cfg": vision, "text_cfg": text, "quick_gelu": False}
    assert fingerprint(state, same, PREPROCESS) == before
    assert fingerprint(state, CONFIG, PreprocessCfg(size=(32, 32), mean=list(PREPROCESS.mean))) == before


def test_the_text_tower_does_not_enter(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path)
    other = {
        name: tensor if name.startswith("visual.") else tensor + 1.0
        for name, tensor in load_file(config.pretrained or "").items()
    }
    save_file(other, tmp_path / "other.safetensors")
    other_config = config.model_copy(update={"pretrained": str(tmp_path / "other.safetensors")})
    assert load_encoder(other_config).fingerprint == load_encoder(config).fingerprint


def test_encoding_does_not_change_it(tmp_path: Path) -> None:
    config: EncoderConfig = write_tiny_clip(tmp_path)
    encoder = ClipEncoder(load_towers(config, text=False), config)
    before = encoder.fingerprint
    encoder.warm_up(2)
    assert encoder.fingerprint == before
