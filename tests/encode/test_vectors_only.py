"""A stream of vectors: no model is loaded, and what does not fit is said."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stream_adapter.config import EncoderConfig, VocabularyConfig
from stream_adapter.encode.loading import ClassTexts, load_models
from stream_adapter.errors import EncoderError, ForeignVector, UndecodableImage, VocabularyError

CONFIG = EncoderConfig.model_validate(
    {"type": "vectors", "options": {"d": 4, "fingerprint": "theirs", "logit_scale": 50}}
)


@pytest.fixture
def vocabulary(tmp_path: Path) -> VocabularyConfig:
    path = tmp_path / "classes.npz"
    np.savez(path, class_names=np.array(["cat", "dog"]), text_vectors=np.eye(2, 4, dtype=np.float32))
    return VocabularyConfig(vectors=path)


def test_vectors_pass_and_all_else_is_refused(vocabulary: VocabularyConfig) -> None:
    encoder, classes = load_models(CONFIG, vocabulary)
    assert (encoder.d, encoder.fingerprint, classes.logit_scale) == (4, "theirs", 50.0)
    vector = np.array([0.6, 0.8, 0, 0], np.float32)
    np.testing.assert_array_equal(encoder.encode([encoder.check_vector(vector.tobytes(), "theirs")]), vector[None])
    assert encoder.encode([]).shape == (0, 4)
    with pytest.raises(ForeignVector, match="made by encoder 'others'"):
        encoder.check_vector(vector.tobytes(), "others")
    with pytest.raises(UndecodableImage, match=r"only vectors are read here .*'image/png'"):
        encoder.prepare(b"\x89PNG", "image/png")


def test_names_need_a_file_of_vectors(vocabulary: VocabularyConfig) -> None:
    with pytest.raises(EncoderError, match=r"set `vocabulary\.vectors`"):
        load_models(CONFIG, VocabularyConfig(classes=("cat",)))
    with pytest.raises(EncoderError, match="cannot embed the names"):
        ClassTexts(CONFIG, vocabulary)([("zebra", None)])


def test_a_vocabulary_of_another_length_is_refused(vocabulary: VocabularyConfig) -> None:
    longer = CONFIG.model_copy(update={"options": CONFIG.options.model_copy(update={"d": 5})})
    with pytest.raises(VocabularyError, match="have length 4, the encoder's have 5"):
        load_models(longer, vocabulary)


def test_no_torch_is_loaded_by_a_worker_of_vectors(tmp_path: Path, vocabulary: VocabularyConfig) -> None:
    config = tmp_path / "worker.yaml"
    config.write_text(
        f"""
transport: files
encoder: {{type: vectors, options: {{d: 4, fingerprint: theirs}}}}
vocabulary: {{vectors: {vocabulary.vectors}}}
files: {{input: in, output: out}}
service: {{http: false}}
"""
    )
    (tmp_path / "in" / "cat").mkdir(parents=True)
    (tmp_path / "in" / "cat" / "1.jpg").write_bytes(b"no picture")
    program = (
        "import sys; from pathlib import Path; from stream_adapter.config import load\n"
        "from stream_adapter.service.build import open_worker\n"
        "with open_worker(load(Path(sys.argv[1]))) as worker:\n    worker.run()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(config)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines()[-1:] == ["False"], done.stdout + done.stderr
