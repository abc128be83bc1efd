from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.encode.vocabulary_file import VocabularyFile, save_vocabulary
from stream_adapter.errors import FingerprintMismatch, VocabularyError
from tests.shared_data import shared

VECTORS = np.eye(3, 4, dtype=np.float32)
NAMES = np.array(["cat", "hot dog", "Kätzchen"])


def write(path: Path, **arrays: object) -> Path:
    np.savez(path, **{"class_names": NAMES, "text_vectors": VECTORS, **arrays})
    return path


def fitted(path: Path, d: int = 4, fingerprint: str = "ours", logit_scale: float = 42.0) -> Vocabulary:
    return VocabularyFile.read(path).fitted(d=d, fingerprint=fingerprint, logit_scale=logit_scale)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.npz"
    saved = Vocabulary(tuple(NAMES.tolist()), VECTORS, 61.5)
    save_vocabulary(path, saved, fingerprint="ours")
    read = fitted(path)
    assert read.class_names == saved.class_names
    np.testing.assert_array_equal(read.text_vectors, saved.text_vectors)
    assert read.logit_scale == 61.5
    assert read.hash == saved.hash
    assert all(type(name) is str for name in read.class_names)


def test_the_scale_of_a_file_that_does_not_say_is_the_models(tmp_path: Path) -> None:
    assert fitted(write(tmp_path / "v.npz")).logit_scale == 42.0
    assert fitted(write(tmp_path / "v.npz", logit_scale=np.array([7.0]))).logit_scale == 7.0


def test_another_encoders_file_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    path = write(tmp_path / "v.npz", fingerprint="theirs")
    with pytest.raises(FingerprintMismatch, match="for encoder theirs, this is ours; make it again"):
        fitted(path)
    assert fitted(path, fingerprint="theirs").d == 4


def test_vectors_of_another_length_are_refused_with_both(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="have length 4, the encoder's have 512"):
        fitted(write(tmp_path / "v.npz"), d=512)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"class_names": np.array([1, 2, 3])}, "class_names must be texts"),
        ({"class_names": NAMES[None]}, r"class_names must be texts .* \(1, 3\)"),
        ({"class_names": np.array(["a", None, "b"], dtype=object)}, "cannot be read as .npz.*allow_pickle"),
        ({"text_vectors": np.ones((3, 4), np.int64)}, "must be floating point"),
        ({"logit_scale": np.ones(3)}, r"must be one number, found float64 \(3,\)"),
        ({"logit_scale": "100"}, "must be one number"),
    ],
)
def test_arrays_of_the_wrong_kind_are_named(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        VocabularyFile.read(write(tmp_path / "v.npz", **arrays))


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", vectors=VECTORS)
    with pytest.raises(VocabularyError, match="lacks class_names and text_vectors"):
        VocabularyFile.read(tmp_path / "v.npz")


def test_a_single_array_is_no_vocabulary(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS)
    with pytest.raises(VocabularyError, match=r"cannot be read as \.npz"):
        VocabularyFile.read(tmp_path / "v.npy")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"missing\.npz cannot be read"):
        VocabularyFile.read(tmp_path / "missing.npz")


@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write(tmp_path_factory.mktemp("vocabulary") / "v.npz")
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        vocabulary = fitted(path)
    except VocabularyError:
        return
    np.testing.assert_array_equal(vocabulary.text_vectors, VECTORS)  # the archive's checksums see to that


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "v.npz")
    before = path.read_bytes()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(VocabularyError, match=r"cannot be written to .*v\.npz: no space left"):
        save_vocabulary(path, Vocabulary(("a",), VECTORS[:1]), fingerprint="ours")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="cannot be written"):
        save_vocabulary(tmp_path / "no" / "v.npz", Vocabulary(("a",), VECTORS[:1]), fingerprint="ours")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "classes"),
    [("vocabulary_clip_vitb16.npz", 171), ("pacs_clip_vitb16.npz", 171), ("whurs19_clip_vitb32.npz", 19)],
)
def test_published_files_are_read(name: str, classes: int) -> None:
    vocabulary = fitted(shared(name), d=512)
    assert len(vocabulary.class_names) == classes
    assert vocabulary.logit_scale == 100.0
