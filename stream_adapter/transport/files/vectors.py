"""Vectors of pictures that were embedded elsewhere: an .npz with a row an event."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.errors import TransportError
from stream_adapter.events import EMBEDDING, image_event_headers
from stream_adapter.events.image import id_of_vector
from stream_adapter.events.names import canonical_name
from stream_adapter.numpy_files import read_npz
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.files.pictures import source_name

SUFFIX = ".npz"
_ARRAYS = ("vectors", "fingerprint", "labels", "ids", "class_names")


class VectorsInput:
    """The rows of a file, in its order; nothing in it is unpickled.

    Arrays: `vectors` (N, d), numbers, and `fingerprint` (), a text, the encoder that made them; perhaps `labels` (N,),
    texts, empty where there is none, or indices into `class_names` (C,) with −1 for none; and `ids` (N,), texts or
    integers. Without them the vector itself is the id: a row's number would be that of another picture in tomorrow's
    file. Whether a vector can be used is for the encoder to say.
    """

    def __init__(self, path: Path, *, labels: bool) -> None:
        self.partition = Partition(path.name, 0)
        try:
            arrays = read_npz(path, _ARRAYS)
            self._time_ms = int(path.stat().st_mtime * 1000)
        except (OSError, ValueError) as error:
            raise TransportError(f"{path} cannot be read as vectors: {error}") from error
        problem = _problem(arrays)
        if problem:
            raise TransportError(f"{path}: {problem}")
        self._vectors = arrays["vectors"]
        try:
            self._fingerprint = _texts(arrays["fingerprint"].reshape(1))[0]
            self._ids = _texts(arrays["ids"]) if "ids" in arrays else list(map(id_of_vector, self._vectors))
            self._labels = _names(arrays) if labels else [""] * len(self._vectors)
        except (UnicodeError, SystemError) as error:  # the latter for what is no character at all
            raise TransportError(f"{path}: labels, ids or fingerprint hold what is no text: {error}") from error

    def __len__(self) -> int:
        return len(self._vectors)

    def records(self, start: int) -> Iterator[Record]:
        """The events from row `start` on (the first one is 0)."""
        for row in range(start, len(self)):
            headers = image_event_headers(
                source=source_name(self.partition.topic),
                id=self._ids[row],
                content_type=EMBEDDING,
                time_ms=self._time_ms,
                label=canonical_name(self._labels[row]) or None,
                fingerprint=self._fingerprint,
            )
            with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused as such
                value = self._vectors[row].astype("<f4").tobytes()
            yield Record(self.partition, row, self._time_ms, self._ids[row].encode(), value, headers)

    def mark(self, offset: int) -> str | None:
        """The id of the last row before `offset`, by which the file is known again."""
        return self._ids[offset - 1] if 0 < offset <= len(self) else None

    def place(self, offset: int, mark: str | None) -> int:
        """The row at which a run goes on that stopped at `offset`: the first one where the file is another by now."""
        return offset if mark is not None and self.mark(offset) == mark else 0


def _problem(arrays: dict[str, NDArray[Any]]) -> str | None:
    """What is wrong with the arrays, or None."""
    missing = [name for name in ("vectors", "fingerprint") if name not in arrays]
    if missing:
        return f"lacks {' and '.join(missing)}; needed are vectors (N, d), and the fingerprint of their encoder, a text"
    vectors, fingerprint = arrays["vectors"], arrays["fingerprint"]
    if vectors.dtype.kind not in "fiu" or vectors.ndim != 2 or not len(vectors):
        return f"vectors must be numbers (N, d), found {vectors.dtype} {vectors.shape}"
    if fingerprint.dtype.kind != "U" or fingerprint.ndim:
        return f"fingerprint must be one text, found {fingerprint.dtype} {fingerprint.shape}"
    for name in ("labels", "ids"):
        given = arrays.get(name)
        if given is not None and (given.dtype.kind not in "Uiu" or given.shape != (len(vectors),)):
            return f"{name} must be texts or integers ({len(vectors)},), found {given.dtype} {given.shape}"
    labels, names = arrays.get("labels"), arrays.get("class_names")
    if labels is not None and labels.dtype.kind != "U":
        if names is None or names.dtype.kind != "U" or names.ndim != 1:
            return "labels are numbers; then class_names (C,), texts, must say what they mean"
        if not ((labels >= -1) & (labels < len(names))).all():
            return f"labels must be −1 or an index of one of the {len(names)} class_names"
    return None


def _names(arrays: dict[str, NDArray[Any]]) -> list[str]:
    """For each row the name of its class, empty where it has none."""
    labels = arrays.get("labels")
    if labels is None:
        return [""] * len(arrays["vectors"])
    if labels.dtype.kind == "U":
        return _texts(labels)
    names = [*_texts(arrays["class_names"]), ""]  # at −1
    return [names[index] for index in labels.tolist()]


def _texts(array: NDArray[Any]) -> list[str]:
    """Numbers as texts, and texts; a `UnicodeError` or `SystemError` where they cannot be written."""
    texts = [str(one) for one in array.tolist()]
    "".join(texts).encode()
    return texts
