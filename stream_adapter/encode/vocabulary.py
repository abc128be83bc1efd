"""The classes as the adapter needs them: names, one unit text vector each, and the logit scale."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stream_adapter.encode.base import Vectors
from stream_adapter.errors import VocabularyError
from stream_adapter.events.names import canonical_name, has_control_characters

DEFAULT_LOGIT_SCALE = 100.0
"""What CLIP's training clips its logit scale to, and where OpenAI's and most other models end."""

# Float16 rounding moves the length of a unit vector by up to about 1e-3; the mean of several prompts that nobody
# renormalised is off by far more.
_UNIT_TOLERANCE = 5e-3

_SHOWN = 10


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The classes: names, vectors, and the scale of the logits.

    Attributes:
        class_names: C distinct, non-empty names.
        text_vectors: float32 (C, d), unit length (given within 0.5 %, kept renormalised), read-only.
        logit_scale: τ, by which cosines are multiplied to make logits.
        hash: 16 hex digits over all three.

    Raises:
        VocabularyError: names are empty or repeated, or vectors do not fit the names, are not finite or not unit.
    """

    class_names: tuple[str, ...]
    text_vectors: Vectors = field(repr=False)
    logit_scale: float = DEFAULT_LOGIT_SCALE
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        vectors = _checked_vectors(self.class_names, self.text_vectors)
        if not (np.isfinite(self.logit_scale) and self.logit_scale > 0):
            raise VocabularyError(f"the logit scale is {self.logit_scale}; expected a positive number, 100 for CLIP")
        object.__setattr__(self, "text_vectors", vectors)
        digests = [class_digest(*one) for one in zip(self.class_names, vectors, strict=True)]
        object.__setattr__(self, "hash", hash_of(digests, self.logit_scale))

    @property
    def d(self) -> int:
        """Length of the text vectors."""
        return int(self.text_vectors.shape[1])


def check_names(names: tuple[str, ...]) -> None:
    """Refuse an empty vocabulary, names that are empty or not text, and names that a label could not tell apart.

    Raises:
        VocabularyError: naming the offenders.
    """
    if not names:
        raise VocabularyError("the vocabulary has no classes; at least one is needed")
    blank = [index for index, name in enumerate(names) if not name.strip()]
    if blank:
        raise VocabularyError(f"class names at positions {blank[:_SHOWN]} are empty (of {len(names)})")
    odd = [name for name in names if has_control_characters(name)]
    if odd:
        shown = ", ".join(map(repr, odd[:_SHOWN]))
        raise VocabularyError(f"{len(odd)} class names hold control characters: {shown}; is this a list of names?")
    written: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        written[canonical_name(name)].append(name)
    repeated = {name: forms for name, forms in written.items() if len(forms) > 1}
    if repeated:
        shown = ", ".join(map(repr, list(repeated)[:_SHOWN]))
        forms = {form for of_name in repeated.values() for form in of_name}
        alike = f", written {', '.join(map(ascii, sorted(forms)[:_SHOWN]))}" if len(forms) > len(repeated) else ""
        raise VocabularyError(
            f"{len(repeated)} class names occur more than once: {shown}{alike}; a label must name one class"
        )


def _checked_vectors(names: tuple[str, ...], given: Vectors) -> Vectors:
    check_names(names)
    vectors = np.asarray(given, dtype=np.float64)
    if vectors.ndim != 2 or len(vectors) != len(names) or vectors.shape[1] == 0:
        raise VocabularyError(f"{len(names)} class names need text vectors ({len(names)}, d), found {vectors.shape}")
    norms = np.linalg.norm(vectors, axis=1)  # (C,); not finite where a value is not
    off = ~(np.abs(norms - 1.0) <= _UNIT_TOLERANCE)
    if off.any():
        shown = ", ".join(f"{names[i]!r}: {norms[i]:.4g}" for i in np.flatnonzero(off)[:5])
        raise VocabularyError(
            f"{int(off.sum())} of {len(names)} text vectors are not unit vectors (length by class: {shown}); "
            "divide each by its length, after the mean over its prompts"
        )
    unit: Vectors = (vectors / norms[:, None]).astype(np.float32)  # (C, d)
    unit.flags.writeable = False
    return unit


def class_digest(name: str, vector: Vectors) -> bytes:
    """What a class, with its vector (d,), adds to the hash of a vocabulary."""
    encoded = name.encode()
    digest = hashlib.blake2b(len(encoded).to_bytes(4, "little") + encoded, digest_size=8)
    digest.update(np.round(vector * 1e3).astype("<i2").tobytes())
    return digest.digest()


def hash_of(digests: Sequence[bytes], logit_scale: float) -> str:
    """Hash of a vocabulary, from its classes' digests.

    Vectors are rounded to three decimals, so float noise rarely shows; rarely is not never: workers that must agree
    on the hash across kinds of machine should load one vocabulary file (`stream-adapter classes build`).
    """
    return hashlib.blake2b(b"".join(digests) + f"{logit_scale:.4f}".encode(), digest_size=8).hexdigest()
