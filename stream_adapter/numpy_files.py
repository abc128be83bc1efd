"""Files of NumPy's, read without unpickling anything."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a .npy file, as `numpy.save` writes it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file.
    """
    try:
        given = np.load(path, allow_pickle=False)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # zip, header and pickle errors of all kinds
        raise ValueError(str(error)) from error
    if not isinstance(given, np.ndarray):  # an .npz under another name
        given.close()
        raise ValueError("expected one array, found several")
    return given


def read_npz(path: Path, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Those of these arrays that an .npz file has, as `numpy.savez` writes it.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in names if name in stored}
    except (OSError, MemoryError):
        raise
    except Exception as error:  # zip, zlib, header and pickle errors of all kinds
        raise ValueError(str(error)) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # a file in the archive that is none of NumPy's, as bytes
            raise ValueError(f"{name} is no array")
    return arrays
