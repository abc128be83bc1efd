from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_adapter.adapter.packing import array_of, pack_repeated, pack_strings, unpack_repeated, unpack_strings

# What UTF-8 cannot hold (half of a surrogate pair) cannot come out of decoded UTF-8 either.
TEXTS = st.lists(st.text(st.characters(exclude_categories=("Cs",))))


@given(TEXTS)
def test_strings_come_back(strings: list[str]) -> None:
    assert unpack_strings("s", pack_strings("s", strings)) == strings
    assert unpack_repeated("s", pack_repeated("s", strings)) == strings


def test_a_repeated_string_is_held_once() -> None:
    packed = pack_repeated("s", ["cat", "dog", "cat"])
    assert packed["s.text"].tobytes() == b"catdog"
    assert packed["s.codes"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"s.ends": np.array([2, 1, 6])}, "do not rise"),
        ({"s.ends": np.array([-1, 3, 6])}, "do not rise"),
        ({"s.ends": np.array([3, 5])}, "do not rise from 0 to 6"),
        ({"s.ends": np.array([3.0, 6.0])}, "float64"),
        ({"s.text": np.array([0xFF] * 6, np.uint8)}, "UTF-8"),
        ({"s.text": np.zeros((2, 3), np.uint8)}, "1 dimensions"),
        ({"s.codes": np.array([0, 2])}, "below 2"),
        ({"s.codes": np.array([-1])}, "below 2"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(changes: dict[str, NDArray[Any]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        unpack_repeated("s", {**pack_repeated("s", ["cat", "dog"]), **changes})


def test_a_missing_array_is_named() -> None:
    with pytest.raises(ValueError, match=r"no array `s\.text`"):
        unpack_strings("s", {})
    with pytest.raises(ValueError, match="expected float16 or float32 in 2 dimensions"):
        array_of({"v": np.zeros(3, np.float16)}, "v", np.float16, np.float32, dimensions=2)
