import json
import pickle
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from stream_adapter.config import EncoderConfig
from stream_adapter.encode.towers import load_towers
from stream_adapter.errors import EncoderError
from tests.tiny_clip import CONFIG, OPENAI_PREPROCESS, write_tiny_clip


def refused(config: EncoderConfig, message: str, *, text: bool = False) -> None:
    with pytest.raises(EncoderError, match=message):
        load_towers(config, text=text)


def same_tower(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def test_an_own_architecture_loads_as_open_clip_loads_it(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path)
    towers = load_towers(config, text=True)
    model = open_clip.create_model("tiny-clip", config.pretrained)
    assert same_tower(towers.visual, model.visual)
    assert towers.d == 16
    assert towers.preprocess.size in (32, (32, 32))
    assert towers.logit_scale == pytest.approx(model.logit_scale.exp().item())
    assert towers.text is not None
    assert not towers.visual.training


def test_without_text_no_text_tower_is_kept(tmp_path: Path) -> None:
    towers = load_towers(write_tiny_clip(tmp_path), text=False)
    assert towers.text is None
    assert towers.tokenizer is None


def test_a_torch_checkpoint_loads(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path)
    checkpoint = tmp_path / "epoch.pt"
    torch.save({"state_dict": load_file(config.pretrained or ""), "epoch": 3}, checkpoint)
    from_torch = load_towers(config.model_copy(update={"pretrained": str(checkpoint)}), text=False)
    assert same_tower(from_torch.visual, load_towers(config, text=False).visual)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_checkpoint_is_never_unpickled(tmp_path: Path, save: Any) -> None:
    config = write_tiny_clip(tmp_path)
    hostile, proof = tmp_path / "hostile.pt", tmp_path / "ran"
    save({"state_dict": {"x": Payload(proof)}}, hostile)
    refused(config.model_copy(update={"pretrained": str(hostile)}), "not unpickled; save its state dict as safetensors")
    assert not proof.exists()


def test_a_folder_loads_with_its_own_tokenizer(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    text_cfg = {**CONFIG["text_cfg"], "tokenizer_kwargs": {"bpe_path": "merges.txt.gz"}}
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "resize_mode": "squash"}
    content = {"model_cfg": {**CONFIG, "text_cfg": text_cfg}, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    Path(config.pretrained or "").rename(folder / "open_clip_model.safetensors")
    merges = Path(open_clip.tokenizer.default_bpe())
    (folder / "merges.txt.gz").write_bytes(merges.read_bytes())
    towers = load_towers(EncoderConfig(model=f"local-dir:{folder}"), text=True)
    assert towers.preprocess.resize_mode == "squash"
    assert list(towers.preprocess.mean) == [0.5, 0.5, 0.5]
    assert towers.tokenizer is not None
    assert towers.tokenizer(["a cat"]).shape == (1, 16)


def test_a_folder_without_weights_is_refused_not_filled_at_random(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG}))
    config = EncoderConfig(model=f"local-dir:{tmp_path}", preprocess=OPENAI_PREPROCESS)
    refused(config, "cannot load local-dir:.*could not be loaded")


def test_an_own_tokenizer_is_found_beside_the_architecture(tmp_path: Path) -> None:
    text_cfg = {**CONFIG["text_cfg"], "tokenizer_kwargs": {"bpe_path": "words/merges.txt.gz"}}
    config = write_tiny_clip(tmp_path, text_cfg=text_cfg)
    refused(config, "merges.txt.gz", text=True)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "merges.txt.gz").write_bytes(Path(open_clip.tokenizer.default_bpe()).read_bytes())
    towers = load_towers(config, text=True)
    assert towers.tokenizer is not None
    assert torch.equal(towers.tokenizer(["a cat"]), open_clip.SimpleTokenizer(context_length=16)(["a cat"]))


def image_tower_file(config: EncoderConfig, path: Path, prefix: str) -> EncoderConfig:
    weights = load_file(config.pretrained or "")
    tower = {name.removeprefix("visual."): tensor for name, tensor in weights.items() if name.startswith("visual.")}
    save_file({prefix + name: tensor.half() for name, tensor in tower.items()}, path)
    return config.model_copy(update={"pretrained": None, "pretrained_image": path})


@pytest.mark.parametrize("prefix", ["visual.", ""])
def test_an_image_tower_alone_loads(tmp_path: Path, prefix: str) -> None:
    config = write_tiny_clip(tmp_path)
    towers = load_towers(image_tower_file(config, tmp_path / "tower.safetensors", prefix), text=False)
    whole = load_towers(config, text=False)
    rounded = {name: tensor.half().float() for name, tensor in whole.visual.state_dict().items()}
    assert all(torch.equal(tensor, rounded[name]) for name, tensor in towers.visual.state_dict().items())
    assert towers.logit_scale == 100.0
    assert towers.preprocess.size in (32, (32, 32))


def test_of_a_whole_model_the_image_tower_is_taken(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path)
    alone = config.model_copy(update={"pretrained": None, "pretrained_image": Path(config.pretrained or "")})
    assert same_tower(load_towers(alone, text=False).visual, load_towers(config, text=False).visual)


def test_an_image_tower_has_no_texts(tmp_path: Path) -> None:
    config = image_tower_file(write_tiny_clip(tmp_path), tmp_path / "tower.safetensors", "visual.")
    refused(config, "image tower alone.*vocabulary.vectors", text=True)


def test_an_image_tower_must_fit_to_the_last_tensor(tmp_path: Path) -> None:
    config = image_tower_file(write_tiny_clip(tmp_path), tmp_path / "tower.safetensors", "visual.")
    assert config.pretrained_image is not None
    tensors = load_file(config.pretrained_image)
    dropped = {name: tensor for name, tensor in tensors.items() if name != "visual.ln_post.bias"}
    save_file(dropped, config.pretrained_image)
    refused(config, r"tower.safetensors does not fit .*'tiny-clip'.*1 do not agree: ln_post.bias is missing")
    save_file({**tensors, "visual.extra": torch.zeros(1)}, config.pretrained_image)
    refused(config, "extra is not in the architecture")
    save_file({**tensors, "visual.class_embedding": torch.zeros(33)}, config.pretrained_image)
    refused(config, r"class_embedding is \(33,\), expected \(32,\)")


def test_an_image_tower_file_that_is_none(tmp_path: Path) -> None:
    config = image_tower_file(write_tiny_clip(tmp_path), tmp_path / "tower.safetensors", "visual.")
    (tmp_path / "tower.safetensors").write_bytes(b"not safetensors")
    refused(config, "cannot be read as safetensors")
    (tmp_path / "tower.safetensors").unlink()
    refused(config, "cannot be read as safetensors")


def test_an_unknown_model_is_refused_with_near_names() -> None:
    refused(EncoderConfig(model="vit-b32", pretrained="openai"), "knows no model 'vit-b32'; did you mean .*ViT-B-32")
    refused(EncoderConfig(model="zzzz", pretrained="openai"), "known: ")


def test_an_unknown_tag_is_refused_with_near_tags() -> None:
    refused(
        EncoderConfig(model="ViT-B-32", pretrained="openia"), "no weights with the tag 'openia'; did you mean openai"
    )


def test_a_missing_checkpoint_is_named() -> None:
    refused(EncoderConfig(model="ViT-B-32", pretrained="missing.safetensors"), "no checkpoint file missing.safetensors")


@pytest.mark.parametrize("model", ["ViT-B-32", "hf-hub:someone/some-clip"])
def test_without_network_a_download_says_what_to_do(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError("name resolution failed")

    for place in ("open_clip.factory.download_pretrained", "open_clip.factory.download_pretrained_from_hf"):
        monkeypatch.setattr(place, offline)
    pretrained = None if ":" in model else "openai"
    config = EncoderConfig(model=model, pretrained=pretrained)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    refused(config, f"cannot load {model}.*resolution failed; without.*HF_HOME")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(config, "to allow downloads set HF_HUB_OFFLINE=0; without.*HF_HOME")


def test_weights_of_another_architecture_are_refused_in_a_few_lines(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    wide = {**CONFIG["vision_cfg"], "width": 48}
    other = write_tiny_clip(tmp_path / "other", name="tiny-wide", vision_cfg=wide)
    config = write_tiny_clip(tmp_path).model_copy(update={"pretrained": other.pretrained})
    refused(config, "weights are of another architecture")
    with pytest.raises(EncoderError) as error:
        load_towers(config, text=False)
    assert len(str(error.value)) < 800


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "lacks embed_dim, vision_cfg, text_cfg"),
        ('{"embed_dim": 2}', "lacks vision_cfg"),
    ],
)
def test_a_broken_architecture_file(tmp_path: Path, content: str, message: str) -> None:
    config = write_tiny_clip(tmp_path, name="tiny-broken")
    assert config.model_config_file is not None
    config.model_config_file.write_text(content)
    refused(config, message)


def test_the_architecture_files_name_is_the_models_name(tmp_path: Path) -> None:
    config = write_tiny_clip(tmp_path).model_copy(update={"model": "ViT-B-32"})
    refused(config, "defines the model 'tiny-clip', but `encoder.model` is 'ViT-B-32'; set `model: tiny-clip`")


def test_two_architectures_of_one_name_do_not_get_mixed_up(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    first = write_tiny_clip(tmp_path)
    second = write_tiny_clip(tmp_path / "other", embed_dim=24)
    assert [load_towers(config, text=False).d for config in (first, second, first)] == [16, 24, 16]


def test_open_clips_warning_about_quick_gelu_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_tiny_clip(tmp_path)
    load_towers(config, text=False)  # registers the architecture
    tag = {"file": config.pretrained, "quick_gelu": True}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", {"quick": tag})
    with pytest.warns(UserWarning, match="QuickGELU mismatch"):
        load_towers(config.model_copy(update={"pretrained": "quick"}), text=False)
