"""Lists of strings as arrays: what a file of arrays without pickle needs to hold them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]


def pack_strings(name: str, strings: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Different strings, such as ids, as two arrays.

    Args:
        name: what the arrays are called: `name.text`, `name.ends`.
        strings: n strings.

    Returns:
        uint8 (bytes,), the strings in UTF-8 one after another, and int64 (n,), where each of them ends.
    """
    encoded = [string.encode() for string in strings]
    ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)  # (n,)
    return {f"{name}.text": np.frombuffer(b"".join(encoded), np.uint8), f"{name}.ends": ends}


def unpack_strings(name: str, arrays: Arrays) -> list[str]:
    """The strings that `pack_strings` packed.

    Raises:
        ValueError: the arrays are missing, of another type, or do not fit together.
    """
    text, ends = array_of(arrays, f"{name}.text", np.uint8), array_of(arrays, f"{name}.ends", np.int64)
    bounds = np.concatenate(([0], ends))  # (n + 1,)
    if (np.diff(bounds) < 0).any() or bounds[-1] != len(text):
        raise ValueError(f"the ends of `{name}` do not rise from 0 to {len(text)}")
    whole = text.tobytes()
    try:
        return [whole[start:end].decode() for start, end in zip(bounds[:-1].tolist(), ends.tolist(), strict=True)]
    except UnicodeDecodeError as error:
        raise ValueError(f"`{name}` is not UTF-8: {error}") from error


def pack_repeated(name: str, strings: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Strings of which many are the same, such as labels: each different one once, and int64 (n,) which of them."""
    distinct = {string: code for code, string in enumerate(dict.fromkeys(strings))}
    codes = np.fromiter((distinct[string] for string in strings), np.int64, len(strings))
    return {**pack_strings(name, list(distinct)), f"{name}.codes": codes}


def unpack_repeated(name: str, arrays: Arrays) -> list[str]:
    """The strings that `pack_repeated` packed.

    Raises:
        ValueError: the arrays are missing, of another type, or do not fit together.
    """
    distinct = unpack_strings(name, arrays)
    codes = array_of(arrays, f"{name}.codes", np.int64)
    if codes.size and not 0 <= codes.min() <= codes.max() < len(distinct):
        raise ValueError(f"the codes of `{name}` are not all below {len(distinct)}")
    return [distinct[code] for code in codes.tolist()]


def array_of(arrays: Arrays, name: str, *dtypes: type[np.generic], dimensions: int = 1) -> NDArray[Any]:
    """The array of this name, if it is of one of these types and has so many dimensions.

    Raises:
        ValueError: it is missing, of another type, or has another number of dimensions.
    """
    array = arrays.get(name)
    if array is None:
        raise ValueError(f"there is no array `{name}`")
    if array.ndim != dimensions or array.dtype.type not in dtypes:
        expected = " or ".join(dtype.__name__ for dtype in dtypes)
        raise ValueError(f"`{name}` is {array.dtype} {array.shape}, expected {expected} in {dimensions} dimensions")
    return array
