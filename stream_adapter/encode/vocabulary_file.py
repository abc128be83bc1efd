"""The vocabulary as a file: an .npz of class names and vectors, so that no text tower is needed at run time.

Keys: `class_names` (C,), `text_vectors` (C, d), and optionally `logit_scale` and `fingerprint`, the encoder that the
vectors belong to. `stream-adapter classes build` writes all four; any .npz with the first two can be read.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from stream_adapter.encode.base import Vectors
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.errors import FingerprintMismatch, VocabularyError
from stream_adapter.events.names import canonical_name
from stream_adapter.numpy_files import read_npz
from stream_adapter.output_file import open_output

_REBUILD = "make it again with `stream-adapter classes build`"


@dataclass(frozen=True, slots=True)
class VocabularyFile:
    """What a vocabulary file holds, before it is known whether it fits an encoder.

    Attributes:
        path: where it was read, for messages.
        class_names: C names.
        text_vectors: float32 (C, d), as stored.
        logit_scale: None where the file does not say.
        fingerprint: of the encoder that it was made for; None where the file does not say.
    """

    path: Path
    class_names: tuple[str, ...]
    text_vectors: Vectors = field(repr=False)
    logit_scale: float | None
    fingerprint: str | None

    @classmethod
    def read(cls, path: Path) -> "VocabularyFile":
        """Read a file; nothing in it is unpickled.

        Raises:
            VocabularyError: it cannot be read, or lacks names or vectors.
        """
        try:
            arrays = read_npz(path, _KEYS)
        except (OSError, ValueError) as error:
            raise VocabularyError(
                f"`vocabulary.vectors` {path} cannot be read as .npz: {error}; {_REBUILD}, or save it with "
                "numpy.savez(path, class_names=numpy.array(names), text_vectors=vectors)"
            ) from error
        missing = [name for name in ("class_names", "text_vectors") if name not in arrays]
        if missing:
            raise VocabularyError(f"`vocabulary.vectors` {path} lacks {' and '.join(missing)}; {_REBUILD}")
        names, vectors = arrays["class_names"], arrays["text_vectors"]
        if names.dtype.kind != "U" or names.ndim != 1:
            raise VocabularyError(f"{path}: class_names must be texts (C,), found {names.dtype} {names.shape}")
        if vectors.dtype.kind != "f":
            raise VocabularyError(f"{path}: text_vectors must be floating point (C, d), found {vectors.dtype}")
        logit_scale, fingerprint = arrays.get("logit_scale"), arrays.get("fingerprint")
        if logit_scale is not None and (logit_scale.size != 1 or logit_scale.dtype.kind not in "fiu"):
            raise VocabularyError(
                f"{path}: logit_scale must be one number, found {logit_scale.dtype} {logit_scale.shape}"
            )
        return cls(
            path,
            tuple(canonical_name(str(name)) for name in names),
            vectors.astype(np.float32),
            None if logit_scale is None else float(logit_scale.reshape(())),
            None if fingerprint is None else str(fingerprint),
        )

    def fitted(self, *, d: int, fingerprint: str, logit_scale: float) -> Vocabulary:
        """The vocabulary, once it is known to fit the encoder.

        Args:
            d: length of the encoder's vectors.
            fingerprint: the encoder's.
            logit_scale: the model's own, for a file that does not say.

        Raises:
            FingerprintMismatch: the file was made for another encoder.
            VocabularyError: the vectors are of another length, or do not make a vocabulary.
        """
        if self.fingerprint is not None and self.fingerprint != fingerprint:
            raise FingerprintMismatch(
                f"the class vectors in {self.path} were made for encoder {self.fingerprint}, this is {fingerprint}; "
                f"{_REBUILD}, or configure the encoder they were made for"
            )
        if self.text_vectors.ndim == 2 and self.text_vectors.shape[1] != d:
            raise VocabularyError(
                f"the class vectors in {self.path} have length {self.text_vectors.shape[1]}, the encoder's have {d}; "
                f"they are of another model: {_REBUILD}"
            )
        scale = logit_scale if self.logit_scale is None else self.logit_scale
        return Vocabulary(self.class_names, self.text_vectors, scale)


_KEYS = ("class_names", "text_vectors", "logit_scale", "fingerprint")


def save_vocabulary(path: Path, vocabulary: Vocabulary, *, fingerprint: str) -> None:
    """Write a vocabulary file in one step: readers see the old file or the new one, never a part.

    Raises:
        VocabularyError: the file cannot be written.
    """
    try:
        with open_output(path) as file:
            np.savez(
                file,
                class_names=np.array(vocabulary.class_names),
                text_vectors=vocabulary.text_vectors,
                logit_scale=np.float32(vocabulary.logit_scale),
                fingerprint=np.array(fingerprint),
            )
    except OSError as error:
        raise VocabularyError(f"the vocabulary cannot be written to {path}: {error}") from error
