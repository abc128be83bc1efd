"""Files of NumPy's that are none, or hold what they should not."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_adapter.encode.vocabulary_file import VocabularyFile
from stream_adapter.errors import EvaluationError, TransportError, VocabularyError
from stream_adapter.evaluate.features import read_features
from stream_adapter.numpy_files import read_npy, read_npz
from stream_adapter.transport.files.vectors import VectorsInput


def npz(tmp_path: Path, **members: bytes) -> Path:
    """An archive of files, whatever they are."""
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in members.items():
            archive.writestr(f"{name}.npy", value)
    return path


def test_what_is_in_the_archive_and_no_array_is_refused_by_name(tmp_path: Path) -> None:
    """NumPy hands such a file out as bytes."""
    names = ("class_names", "text_vectors", "vectors", "labels", "fingerprint")
    path = npz(tmp_path, **dict.fromkeys(names, b"none of NumPy's"))
    with pytest.raises(ValueError, match="vectors is no array"):
        read_npz(path, ["vectors"])
    assert read_npz(path, ["others"]) == {}
    for read, error in (
        (read_features, EvaluationError),
        (VocabularyFile.read, VocabularyError),
        (lambda at: VectorsInput(at, labels=True), TransportError),
    ):
        with pytest.raises(error, match=f"{re.escape(str(path))}.* is no array"):
            read(path)  # type: ignore[no-untyped-call]


def test_several_arrays_are_not_one(tmp_path: Path) -> None:
    path = tmp_path / "one.npy"
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(2))
    with pytest.raises(ValueError, match="several"):
        read_npy(path)


@given(st.binary(max_size=200), st.integers(0, 2))
def test_whatever_it_holds_a_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int
) -> None:
    path = tmp_path_factory.mktemp("npy") / "one.npy"
    buffer = io.BytesIO()
    (np.save if at else np.savez)(buffer, np.zeros(3))
    path.write_bytes((b"", buffer.getvalue()[: at * 40], buffer.getvalue())[at] + data)
    for read in (read_npy, lambda path: read_npz(path, ["arr_0"])):
        try:
            read(path)
        except ValueError as error:
            assert str(error)


def test_a_file_that_is_not_there_is_said_as_the_system_says_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_npy(tmp_path / "none.npy")
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "none.npz", [])
