"""Whatever happens to a file: it is refused with a reason, or it is what was written."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from stream_adapter.errors import SnapshotError
from stream_adapter.snapshots import file
from stream_adapter.snapshots.file import Content, read, write

CONTENT = Content(
    {"name": "Grüße", "numbers": [1, 2.5, None], "nested": {"a": True}},
    {
        "vectors": np.random.default_rng(0).normal(size=(20, 8)).astype(np.float16),
        "empty": np.empty((0, 8), np.float32),
        "rows": np.arange(20, dtype=np.int64),
        "flags": np.array([True, False]),
        "scalar": np.array(3.5),
    },
)


def same(one: Content, other: Content) -> bool:
    return (
        one.facts == other.facts
        and one.arrays.keys() == other.arrays.keys()
        and all(
            a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
            for a, b in ((one.arrays[name], other.arrays[name]) for name in one.arrays)
        )
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "file", "test", CONTENT)
    return tmp_path / "file"


def outcome(path: Path, data: bytes) -> str:
    """What reading these bytes comes to: the reason of the refusal, or nothing if it is what was written."""
    path.write_bytes(data)
    try:
        content = read(path, "test")
    except SnapshotError as error:
        assert str(path) in str(error)
        return str(error)
    assert same(content, CONTENT), "a silently wrong state"
    return ""


def test_what_is_written_is_read(path: Path) -> None:
    assert same(read(path, "test"), CONTENT)
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.sampled_from(["bool", "<f2", ">f4", "<f8", "<i4", ">i8", "<u8", "u1"]).flatmap(
            lambda dtype: arrays_of.arrays(dtype, arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4))
        ),
        max_size=4,
    ),
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())),
)
def test_any_arrays_and_facts_come_back(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, NDArray[Any]], facts: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("files") / "file"
    assert write(path, "test", Content(facts, arrays)) == path.stat().st_size
    found = read(path, "test")
    assert found.facts == facts
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype.newbyteorder("<")


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_damaged_byte_is_found_wherever_it_is(path: Path, flip: int) -> None:
    data = path.read_bytes()
    unnoticed = [
        position
        for position in range(len(data))
        if not outcome(path, data[:position] + bytes([data[position] ^ flip]) + data[position + 1 :])
    ]
    # What was read is the same all the same (`outcome`): spaces after the header that no reader looks at.
    header = 8 + int.from_bytes(data[:8], "little")
    assert all(header - 8 <= position < header for position in unnoticed)


def test_a_file_that_was_cut_short_or_goes_on_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for length in range(len(data)):
        assert outcome(path, data[:length])
    assert outcome(path, data + b"\0")
    assert outcome(path, data + data)


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 64))
def test_any_damage_is_found(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random, bytes_changed: int
) -> None:
    path = tmp_path_factory.mktemp("files") / "file"
    write(path, "test", CONTENT)
    data = bytearray(path.read_bytes())
    for _ in range(bytes_changed):
        data[chance.randrange(len(data))] = chance.randrange(256)
    outcome(path, bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_foreign_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, with_length: bool) -> None:
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(len(data).to_bytes(8, "little") + data if with_length else data)
    with pytest.raises(SnapshotError, match=str(path)):
        read(path, "test")


def test_a_newer_version_says_that_it_is_newer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "VERSION", "0")
    with pytest.raises(SnapshotError, match=r"it is '1', this package reads '0'; if a newer package"):
        read(path, "test")


def test_an_announced_length_is_not_allocated_before_it_is_checked(path: Path) -> None:
    data = path.read_bytes()
    for length in (2**26, 2**32 - 1, 2**64 - 1):
        assert outcome(path, length.to_bytes(8, "little") + data[8:])


@pytest.mark.parametrize("facts", [b"", b"[1]", b"{", b'{"a":' + 10_000 * b"["])
def test_facts_that_are_no_object_are_refused_though_their_digest_matches(path: Path, facts: bytes) -> None:
    tensors = {"facts": np.frombuffer(facts, np.uint8)} if facts else {}
    metadata = {"kind": "test", "version": file.VERSION}
    save_file(tensors, path, metadata | {"digest": file._digest(metadata, tensors)})
    with pytest.raises(SnapshotError, match="its facts are not as this version writes them"):
        read(path, "test")


def test_another_file_of_safetensors_is_refused(path: Path) -> None:
    save_file(dict(CONTENT.arrays), path)
    with pytest.raises(SnapshotError, match="version: it is None"):
        read(path, "test")


def test_any_reader_of_safetensors_reads_it(path: Path) -> None:
    found = load_file(path)
    assert found.keys() == {"facts", *(f"arrays/{name}" for name in CONTENT.arrays)}
    np.testing.assert_array_equal(found["arrays/vectors"], CONTENT.arrays["vectors"])


def test_another_kind_of_file_is_refused(path: Path) -> None:
    with pytest.raises(SnapshotError, match="holds 'test', expected 'other'"):
        read(path, "other")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"none: cannot be read: No such file"):
        read(tmp_path / "none", "test")


@pytest.mark.parametrize("array", [np.array(["text"]), np.array([object()]), np.array([1j])])
def test_what_is_not_plain_numbers_is_never_written(tmp_path: Path, array: NDArray[Any]) -> None:
    with pytest.raises(TypeError, match="array `a` is of type"):
        write(tmp_path / "file", "test", Content({}, {"a": array}))
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_file_that_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SnapshotError, match=r"cannot be written: No space left"):
        write(path, "test", Content({}, {}))
    assert same(read(path, "test"), CONTENT)
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
