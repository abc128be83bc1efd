"""One safetensors file of named arrays and facts, of which nothing is believed before its digest matched.

Tensors are `facts` (JSON, as bytes) and `arrays/<name>`; the file's metadata are `kind`, `version` of this layout,
`package` and `digest`: BLAKE2b over all of it, 16 bytes. Whatever reads safetensors reads it, and there is no pickle.
safetensors itself checks that the tensors fill the file exactly, before anything is allocated.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from stream_adapter import __version__
from stream_adapter.errors import SnapshotError
from stream_adapter.output_file import open_output

VERSION = "1"

_FACTS = "facts"
_ARRAYS = "arrays/"


class LaterVersion(SnapshotError):
    """A newer version of this package wrote the file."""


@dataclass(frozen=True, eq=False, slots=True)
class Content:
    """What is in a file: facts are whatever JSON can hold, arrays are of booleans and numbers."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[np.generic]]


def write(path: Path, kind: str, content: Content) -> int:
    """Write a file in one step: whatever happens meanwhile, `path` is what it was or complete and on the disk.

    Returns:
        The size of the file in bytes.

    Raises:
        SnapshotError: it cannot be written; nothing of it is left.
        TypeError: an array is not of plain numbers, or a fact is nothing for JSON.
    """
    tensors = {_ARRAYS + name: _plain(name, array) for name, array in content.arrays.items()}
    tensors[_FACTS] = np.frombuffer(json.dumps(dict(content.facts), separators=(",", ":")).encode(), np.uint8)
    metadata = {"kind": kind, "version": VERSION, "package": __version__}
    metadata["digest"] = _digest(metadata, tensors)
    try:
        with open_output(path) as file:
            return file.write(save(tensors, metadata))
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be written: {error.strerror or error}") from error


def read(path: Path, kind: str) -> Content:
    """Read a file back."""
    try:
        with safe_open(path, framework="np") as file:
            metadata = dict(file.metadata() or {})
            if metadata.get("version") != VERSION:
                later = metadata.get("version", "").isdigit() and int(metadata["version"]) > int(VERSION)
                raise (LaterVersion if later else SnapshotError)(
                    f"{path}: version: it is {metadata.get('version')!r}, this package reads {VERSION!r}; if a newer "
                    "package wrote the file, use that one"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        raise SnapshotError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    digest = metadata.pop("digest", "")
    if _digest(metadata, tensors) != digest:
        raise SnapshotError(f"{path}: its checksum does not match: the file is damaged")
    if metadata.get("kind") != kind:
        raise SnapshotError(f"{path}: holds {metadata.get('kind')!r}, expected {kind!r}")
    try:
        facts = dict(json.loads(tensors.pop(_FACTS).tobytes()))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise SnapshotError(f"{path}: its facts are not as this version writes them: {error!r}") from error
    return Content(facts, {name.removeprefix(_ARRAYS): array for name, array in tensors.items()})


def _plain(name: str, array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The array, contiguous and little-endian."""
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"array `{name}` is of type {array.dtype}, not of booleans or numbers of at most 64 bits")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(array.shape)


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, NDArray[np.generic]]) -> str:
    """Of all that `read` gives, in an order that does not depend on the file's."""
    digest = hashlib.blake2b(json.dumps(metadata, sort_keys=True).encode(), digest_size=16)
    for name, array in sorted(tensors.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
