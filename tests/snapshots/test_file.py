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

from stream_adapter.errors import SnapshotError
from stream_adapter.snapshots.file import FORMAT_VERSION, Content, read, write

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
        and list(one.arrays) == list(other.arrays)
        and all(
            a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
            for a, b in zip(one.arrays.values(), other.arrays.values(), strict=True)
        )
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "file", "test", CONTENT)
    return tmp_path / "file"


def regions(data: bytes) -> dict[str, tuple[int, int]]:
    """First byte and first byte after it of every region of the file that `CONTENT` makes."""
    header = 32 + int.from_bytes(data[12:16], "little")
    bounds = {"magic": (0, 8), "version": (8, 12), "length": (12, 16), "digest": (16, 32), "header": (32, header)}
    for name, array in CONTENT.arrays.items():
        bounds[name] = (header, header + array.nbytes)
        header += array.nbytes
    assert header == len(data)
    return bounds


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
    assert list(found.arrays) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype.newbyteorder("<")


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_damaged_byte_is_found_wherever_it_is(path: Path, flip: int) -> None:
    data = path.read_bytes()
    for name, (start, end) in regions(data).items():
        for position in range(start, end):
            damaged = data[:position] + bytes([data[position] ^ flip]) + data[position + 1 :]
            reason = outcome(path, damaged)
            assert reason, f"a flip at {position} in {name} went unnoticed"
            if name in ("magic", "version") or name in CONTENT.arrays:
                assert name in reason


def test_a_file_that_was_cut_short_or_goes_on_is_refused(path: Path) -> None:
    data = path.read_bytes()
    bounds = {bound for region in regions(data).values() for bound in region}
    for length in sorted({near for bound in bounds for near in (bound - 1, bound, bound + 1)} & set(range(len(data)))):
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
def test_foreign_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, with_magic: bool) -> None:
    path = tmp_path_factory.mktemp("files") / "file"
    path.write_bytes(b"\x89SADP\r\n\x1a" + data if with_magic else data)
    with pytest.raises(SnapshotError, match=str(path)):
        read(path, "test")


def test_a_newer_format_says_that_it_is_newer(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8] = FORMAT_VERSION + 1
    assert "newer package" in outcome(path, bytes(data))


def test_an_announced_length_is_not_allocated_before_it_is_checked(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[12:16] = (2**32 - 1).to_bytes(4, "little")
    assert "4294967295 bytes announced" in outcome(path, bytes(data))


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
