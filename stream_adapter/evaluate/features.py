"""Feature files: image vectors with labels and the class vectors of their vocabulary, in one .npz."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.encode.vocabulary import DEFAULT_LOGIT_SCALE, Vocabulary
from stream_adapter.errors import EvaluationError, VocabularyError
from stream_adapter.numpy_files import read_npz
from stream_adapter.output_file import open_output

UNKNOWN = -1
"""The label of an event whose class the vocabulary lacks, or that has none: predicted, not scored, not learned."""

_REQUIRED = ("vectors", "labels", "class_names", "text_vectors")
_OPTIONAL = ("logit_scale", "domains")

# Float16 moves the length of a unit vector by up to about 1e-3; vectors that nobody normalised are off by far more.
_UNIT_TOLERANCE = 5e-3


@dataclass(frozen=True, eq=False)
class Features:
    """Labelled image vectors and the classes that they are to be told apart by.

    Attributes:
        vectors: float32 (N, d), unit (given within 0.5 %, kept renormalised).
        labels: int64 (N,), indices into the vocabulary, or `UNKNOWN`.
        domains: N names of where an event comes from; all the same where there are no domains.
        name: what the data is called in reports.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    domains: NDArray[np.str_] = field(repr=False)
    vocabulary: Vocabulary
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", _checked_vectors(self.vectors, self.vocabulary.d))
        object.__setattr__(self, "labels", _checked_labels(self.labels, len(self), len(self.vocabulary.class_names)))
        if self.domains.shape != (len(self),):
            raise EvaluationError(f"domains have shape {self.domains.shape}, expected ({len(self)},): one per vector")

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The distinct domains, in the order in which they first occur."""
        names, first = np.unique(self.domains, return_index=True)
        return tuple(str(name) for name in names[np.argsort(first)])

    @property
    def occurring(self) -> NDArray[np.int64]:
        """The classes that at least one event has, ascending."""
        return np.unique(self.labels[self.labels != UNKNOWN])


def read_features(path: Path) -> Features:
    """Read a feature file; nothing in it is unpickled.

    Arrays: `vectors` (N, d), `labels` (N,) with −1 for a class that the vocabulary lacks, `class_names` (C,),
    `text_vectors` (C, d), and optionally `logit_scale` (100 where it is absent) and `domains` (N,). Others are ignored.
    """
    try:
        arrays = read_npz(path, (*_REQUIRED, *_OPTIONAL))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"{path} cannot be read as a feature file: {error}; expected an .npz with the arrays {', '.join(_REQUIRED)}"
        ) from error
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise EvaluationError(f"{path} lacks the array {' and '.join(missing)}; needed are {', '.join(_REQUIRED)}")
    try:
        return _assembled(arrays, path.name)
    except (EvaluationError, VocabularyError) as error:
        raise EvaluationError(f"{path}: {error}") from error


def save_features(path: Path, features: Features) -> None:
    """Write a feature file in one step: readers see the old file or the new one, never a part. Vectors are float16."""
    try:
        with open_output(path) as file:
            np.savez_compressed(
                file,
                vectors=features.vectors.astype(np.float16),
                labels=features.labels,
                domains=features.domains,
                class_names=np.array(features.vocabulary.class_names),
                text_vectors=features.vocabulary.text_vectors,
                logit_scale=np.float32(features.vocabulary.logit_scale),
            )
    except OSError as error:
        raise EvaluationError(f"the features cannot be written to {path}: {error.strerror}") from error


def _assembled(arrays: dict[str, NDArray[Any]], name: str) -> Features:
    names = arrays["class_names"]
    if names.dtype.kind != "U" or names.ndim != 1:
        raise EvaluationError(f"class_names must be texts (C,), found {names.dtype} {names.shape}")
    scale = arrays.get("logit_scale", np.array(DEFAULT_LOGIT_SCALE))
    if scale.size != 1 or scale.dtype.kind not in "fiu":
        raise EvaluationError(f"logit_scale must be one number, found {scale.dtype} {scale.shape}")
    labels, texts = arrays["labels"], arrays["text_vectors"]
    if texts.dtype.kind != "f":
        raise EvaluationError(f"text_vectors must be floating point (C, d), found {texts.dtype}")
    domains = arrays.get("domains", np.full(len(labels) if labels.ndim else 0, "all"))
    if domains.dtype.kind != "U":
        raise EvaluationError(f"domains must be texts (N,), found {domains.dtype}")
    vocabulary = Vocabulary(tuple(str(text) for text in names), texts, float(scale.reshape(())))
    return Features(arrays["vectors"], labels, domains, vocabulary, name)


def _checked_vectors(vectors: NDArray[Any], dimension: int) -> NDArray[np.float32]:
    if vectors.dtype.kind != "f" or vectors.ndim != 2 or vectors.shape[1] != dimension or not len(vectors):
        raise EvaluationError(
            f"vectors must be floating point (N, {dimension}) like the text vectors, found {vectors.dtype} "
            f"{vectors.shape}; were both made by the same model?"
        )
    wide = vectors.astype(np.float32)  # the lengths of float16 rows overflow where they are not unit
    norms = np.linalg.norm(wide, axis=1)  # (N,), not finite where a value is not
    off = np.flatnonzero(~(np.abs(norms - 1.0) <= _UNIT_TOLERANCE))
    if off.size:
        raise EvaluationError(
            f"{off.size} of {len(vectors)} vectors are not unit vectors, the first is row {off[0]} with length "
            f"{norms[off[0]]:.6g}; divide each by its length"
        )
    unit: NDArray[np.float32] = wide / norms[:, None]  # (N, d)
    return unit


def _checked_labels(labels: NDArray[Any], events: int, classes: int) -> NDArray[np.int64]:
    if labels.dtype.kind not in "iu" or labels.shape != (events,):
        raise EvaluationError(f"labels must be integers ({events},), found {labels.dtype} {labels.shape}")
    whole = labels.astype(np.int64)
    wrong = np.flatnonzero((whole < UNKNOWN) | (whole >= classes))
    if wrong.size:
        raise EvaluationError(
            f"{wrong.size} labels are neither −1 nor an index of one of the {classes} classes; the first is "
            f"{whole[wrong[0]]} in row {wrong[0]}"
        )
    return whole
