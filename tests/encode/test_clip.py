from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from stream_adapter.config import EncoderConfig
from stream_adapter.encode.base import Encoder
from stream_adapter.encode.clip import ClipEncoder
from stream_adapter.encode.loading import load_encoder
from stream_adapter.encode.towers import load_towers
from stream_adapter.errors import EncoderError, ForeignVector, UndecodableImage
from tests.picture_files import picture, soft_shapes
from tests.shared_data import shared
from tests.tiny_clip import CONFIG, write_tiny_clip

MULTIMODAL = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EncoderConfig:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def encoder(config: EncoderConfig) -> ClipEncoder:
    return load_encoder(config)


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def test_it_is_an_encoder(encoder: ClipEncoder) -> None:
    as_protocol: Encoder = encoder
    assert as_protocol.d == 16


def test_vectors_are_open_clips_own(config: EncoderConfig, encoder: ClipEncoder) -> None:
    model, _, transform = open_clip.create_model_and_transforms("tiny-clip", config.pretrained)
    image = soft_shapes(32, 32)  # the model's size: no resize, so equal to the last bits
    with torch.inference_mode():
        expected = model.eval().encode_image(transform(image)[None], normalize=True).numpy()
    ours = encoder.encode([np.asarray(image).transpose(2, 0, 1)])
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_a_batch_is_its_pictures_one_by_one(encoder: ClipEncoder) -> None:
    batch = pixels(5)
    vectors = encoder.encode(list(batch))
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    one_by_one = np.concatenate([encoder.encode([picture]) for picture in batch])
    np.testing.assert_allclose(vectors, one_by_one, atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    np.testing.assert_array_equal(encoder.encode(batch), vectors)  # a stacked batch will do as well


def test_an_empty_batch_gives_no_vectors(encoder: ClipEncoder) -> None:
    assert encoder.encode([]).shape == (0, 16)


def test_vectors_among_the_pictures_pass_through_in_their_place(encoder: ClipEncoder) -> None:
    first, second = pixels(2)
    vector = encoder.check_vector(encoder.encode([second]).astype("<f4").tobytes(), encoder.fingerprint)
    mixed = encoder.encode([vector, first, vector])
    np.testing.assert_array_equal(mixed[0], vector)
    np.testing.assert_array_equal(mixed[2], vector)
    np.testing.assert_allclose(mixed[1], encoder.encode([first])[0], atol=1e-6)
    np.testing.assert_array_equal(encoder.encode([vector]), vector[None])


def test_a_foreign_vector_is_refused(encoder: ClipEncoder) -> None:
    with pytest.raises(ForeignVector, match=encoder.fingerprint):
        encoder.check_vector(bytes(64), "0123456789abcdef")


def test_prepare_gives_the_models_size_and_keeps_the_limits(config: EncoderConfig) -> None:
    encoder = load_encoder(config.model_copy(update={"max_pixels": 12_287, "max_bytes": 100_000}))
    assert encoder.prepare(picture("JPEG", 95, 128), "image/jpeg").shape == (3, 32, 32)
    with pytest.raises(UndecodableImage, match="max_pixels"):
        encoder.prepare(picture("JPEG", 96, 128), "image/jpeg")
    with pytest.raises(UndecodableImage, match="max_bytes"):
        encoder.prepare(bytes(100_001), "image/jpeg")


def test_preprocessing_is_the_models_own(config: EncoderConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_adapter.encode.clip.traced", lambda visual, *_: visual)  # what is traced has no hooks
    towers = load_towers(config, text=False)
    towers.preprocess.mean, towers.preprocess.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    towers.preprocess.size = (32, 32)
    seen = {}
    towers.visual.register_forward_pre_hook(lambda _, args: seen.update(images=args[0].clone()))
    ClipEncoder(towers, config).encode(np.full((1, 3, 32, 32), 255, np.uint8))
    assert torch.equal(seen["images"], torch.ones(1, 3, 32, 32))


def test_bfloat16_weights_give_nearly_the_same_vectors(config: EncoderConfig, encoder: ClipEncoder) -> None:
    rounded = load_encoder(config.model_copy(update={"precision": "bfloat16"}))
    assert rounded.precision == "bfloat16"
    assert encoder.precision == "float32"
    batch = pixels(8)
    exact, near = encoder.encode(batch), rounded.encode(batch)
    assert (exact * near).sum(axis=1).min() > 0.995
    assert not np.array_equal(exact, near)


def test_a_coca_image_tower_works(tmp_path: Path) -> None:
    vision = {**CONFIG["vision_cfg"], "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    text = {**CONFIG["text_cfg"], "embed_cls": True, "output_tokens": True}
    coca = {"vision_cfg": vision, "text_cfg": text, "multimodal_cfg": MULTIMODAL, "custom_text": True}
    config = write_tiny_clip(tmp_path, name="tiny-coca", **coca)
    assert isinstance(load_towers(config, text=False).visual(torch.zeros(1, 3, 32, 32)), tuple)
    assert load_encoder(config).encode(pixels(2)).shape == (2, 16)


def test_warm_up_takes_any_batch(encoder: ClipEncoder) -> None:
    encoder.warm_up()
    encoder.warm_up(1)


def test_a_result_that_is_not_finite_stops_with_what_to_do(config: EncoderConfig) -> None:
    towers = load_towers(config, text=False)
    towers.visual.state_dict()["ln_post.bias"][3] = float("nan")
    with pytest.raises(EncoderError, match=r"not finite in float32.*encoder\.precision"):
        ClipEncoder(towers, config).encode(pixels(1))


def short_of_memory(encoder: ClipEncoder, room: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the tower fail for more than so many pictures, as CUDA would; the sizes that it was asked for."""
    asked, tower = [], encoder._visual

    def embed(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        if len(images) > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return tower(images)

    monkeypatch.setattr(encoder, "_visual", embed)
    return asked


def test_a_batch_for_which_the_device_has_no_room_is_halved(
    config: EncoderConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load_encoder(config)
    expected = encoder.encode(list(pixels(7)))
    asked = short_of_memory(encoder, 3, monkeypatch)
    np.testing.assert_allclose(encoder.encode(list(pixels(7))), expected, atol=1e-6)
    assert asked == [7, 3, 3, 1]
    asked.clear()
    assert len(encoder.encode(list(pixels(7)))) == 7
    assert asked == [3, 3, 1], "it is not tried again and again"


def test_a_device_without_room_for_one_picture_is_named(config: EncoderConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load_encoder(config)
    short_of_memory(encoder, 0, monkeypatch)
    with pytest.raises(EncoderError, match=r"no memory for a single picture.*encoder\.device"):
        encoder.encode(list(pixels(5)))


def test_cuda_that_is_not_there_is_named(config: EncoderConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EncoderError, match=r"encoder\.device.*no CUDA device"):
        load_encoder(config.model_copy(update={"device": "cuda"}))
    assert load_encoder(config.model_copy(update={"device": "auto"})).d == 16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16", "float16"])
def test_cuda_gives_the_cpus_vectors(config: EncoderConfig, encoder: ClipEncoder, precision: str) -> None:
    on_gpu = load_encoder(config.model_copy(update={"device": "cuda", "precision": precision}))
    batch = pixels(8)
    assert on_gpu.fingerprint == encoder.fingerprint
    assert (encoder.encode(batch) * on_gpu.encode(batch)).sum(axis=1).min() > 0.995


@pytest.fixture(scope="module")
def real() -> ClipEncoder:
    tower = shared("clip_vitb16_image_tower_fp16.safetensors")
    config = EncoderConfig(model="ViT-B-16-quickgelu", pretrained_image=tower, device="cpu", precision="float32")
    return load_encoder(config)


@pytest.mark.data
def test_a_real_tower_reproduces_published_vectors_and_zero_shot_accuracy(real: ClipEncoder) -> None:
    """The published vectors were made in bfloat16: a few pictures are 0.01 off in cosine, the mean 0.001."""
    pictures = shared("pacs_images")
    with np.load(shared("pacs_clip_vitb16.npz")) as features:
        rows = [row for row, name in enumerate(features["files"]) if (pictures / name).exists()]
        rows = [row for row in rows if features["domains"][row] == "photo" and features["labels"][row] >= 0][::16]
        expected, labels = features["vectors"][rows].astype(np.float32), features["labels"][rows]
        files, text_vectors = features["files"][rows], features["text_vectors"]
    assert len(rows) >= 12
    prepared = [real.prepare((pictures / name).read_bytes(), "image/jpeg") for name in files]
    vectors = np.concatenate([real.encode(prepared[start : start + 8]) for start in range(0, len(prepared), 8)])
    cosines = (vectors * expected).sum(axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.99
    assert cosines.mean() > 0.998
    accuracy = ((vectors @ text_vectors.T).argmax(axis=1) == labels).mean()
    assert accuracy > 0.90  # 96.8 % over all of them
    other = real.encode([np.asarray(Image.new("RGB", (224, 224))).transpose(2, 0, 1)])
    assert (other * expected).sum(axis=1).max() < 0.95
