"""The way from configuration to encoder and classes, with the texts against open_clip's own classifier."""

import gc
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch

from stream_adapter.config import EncoderConfig, VocabularyConfig
from stream_adapter.encode.loading import load_encoder, load_models
from stream_adapter.encode.vocabulary_file import save_vocabulary
from stream_adapter.errors import EncoderError, FingerprintMismatch, NotInstalled, VocabularyError
from tests.tiny_clip import write_tiny_clip

CLASSES = ("cat", "hot dog", "fire engine", "house")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EncoderConfig:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.mark.parametrize("templates", ["openai", "simple"])
def test_class_vectors_are_those_of_open_clips_classifier(config: EncoderConfig, templates: str) -> None:
    _, vocabulary = load_models(config, VocabularyConfig(classes=CLASSES, templates=templates))
    model = open_clip.create_model(config.model, config.pretrained).eval()
    tokenizer = open_clip.get_tokenizer(config.model)
    theirs = open_clip.OPENAI_IMAGENET_TEMPLATES if templates == "openai" else open_clip.SIMPLE_IMAGENET_TEMPLATES
    expected = open_clip.build_zero_shot_classifier(model, tokenizer, CLASSES, theirs).T.numpy()
    np.testing.assert_allclose(vocabulary.text_vectors, expected, atol=1e-5)
    assert vocabulary.class_names == CLASSES
    assert vocabulary.logit_scale == pytest.approx(model.logit_scale.exp().item())


def test_classes_with_different_numbers_of_prompts(config: EncoderConfig) -> None:
    prompts = {"cat": ("a kitten", "a tomcat", "a {}"), "house": ("a cottage",)}
    _, mixed = load_models(config, VocabularyConfig(classes=CLASSES, templates="none", prompts=prompts))
    _, plain = load_models(config, VocabularyConfig(classes=CLASSES, templates="none"))
    same = np.isclose(mixed.text_vectors, plain.text_vectors, atol=1e-6).all(axis=1)
    assert same.tolist() == [False, True, True, False]
    single = VocabularyConfig(classes=("a kitten", "a tomcat", "a cat", "a cottage"), templates="none")
    _, alone = load_models(config, single)
    mean = alone.text_vectors[:3].mean(axis=0)
    np.testing.assert_allclose(mixed.text_vectors[0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(mixed.text_vectors[3], alone.text_vectors[3], atol=1e-6)


def test_a_built_vocabulary_replaces_the_text_tower(config: EncoderConfig, tmp_path: Path) -> None:
    encoder, built = load_models(config, VocabularyConfig(classes=CLASSES))
    path = tmp_path / "vocabulary.npz"
    save_vocabulary(path, built, fingerprint=encoder.fingerprint)
    again, read = load_models(config, VocabularyConfig(vectors=path))
    assert again.fingerprint == encoder.fingerprint
    assert read.hash == built.hash
    assert read.logit_scale == pytest.approx(built.logit_scale)


def text_towers_alive() -> int:
    gc.collect()
    return sum(type(thing) is torch.nn.Embedding for thing in gc.get_objects())


def test_no_text_tower_stays_in_memory(config: EncoderConfig) -> None:
    before = text_towers_alive()
    kept = load_models(config, VocabularyConfig(classes=CLASSES, templates="none"))
    assert text_towers_alive() == before
    assert kept[0].d == kept[1].d


def test_an_image_tower_alone_with_a_file_of_vectors(config: EncoderConfig, tmp_path: Path) -> None:
    _, built = load_models(config, VocabularyConfig(classes=CLASSES))
    path = tmp_path / "plain.npz"
    np.savez(path, class_names=np.array(CLASSES), text_vectors=built.text_vectors)
    tower = config.model_copy(update={"pretrained": None, "pretrained_image": Path(config.pretrained or "")})
    encoder, read = load_models(tower, VocabularyConfig(vectors=path))
    assert read.logit_scale == 100.0
    assert encoder.fingerprint == load_encoder(config).fingerprint
    with pytest.raises(EncoderError, match="image tower alone"):
        load_models(tower, VocabularyConfig(classes=CLASSES))


def test_vectors_of_another_encoder_are_refused(config: EncoderConfig, tmp_path: Path) -> None:
    encoder, built = load_models(config, VocabularyConfig(classes=CLASSES, templates="none"))
    path = tmp_path / "vocabulary.npz"
    save_vocabulary(path, built, fingerprint=encoder.fingerprint)
    other = write_tiny_clip(tmp_path, seed=5, name="tiny-other")
    with pytest.raises(FingerprintMismatch, match=encoder.fingerprint):
        load_models(other, VocabularyConfig(vectors=path))


def test_a_slip_in_the_classes_is_found_before_the_model_is_loaded(tmp_path: Path) -> None:
    absent = EncoderConfig(model="no-such-model", pretrained="openai")
    with pytest.raises(VocabularyError, match="more than once"):
        load_models(absent, VocabularyConfig(classes=("cat", "cat")))
    with pytest.raises(VocabularyError, match="cannot be read"):
        load_models(absent, VocabularyConfig(vectors=tmp_path / "missing.npz"))


def test_without_open_clip_the_extra_is_named(config: EncoderConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(NotInstalled, match=r"stream-adapter\[worker\]"):
        load_models(config, VocabularyConfig(classes=CLASSES))
