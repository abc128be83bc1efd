"""What the adapter is given, checked: vocabulary and anchors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors import Anchor, check_vectors
from stream_adapter.errors import AnchorError, VocabularyError


def check_vocabulary(text_vectors: NDArray[np.float32], class_names: Sequence[str], canaries: Sequence[str]) -> None:
    """Refuse a vocabulary that cannot work.

    Args:
        text_vectors: should be float32 (C, d), unit.
        class_names: should be C distinct names.
        canaries: should be among them.

    Raises:
        VocabularyError: what does not fit.
    """
    if text_vectors.ndim != 2 or len(text_vectors) != len(class_names) or not len(class_names):
        raise VocabularyError(
            f"text vectors have shape {text_vectors.shape}, expected ({len(class_names)}, d): one per class"
        )
    if len(set(class_names)) < len(class_names):
        twice = sorted({name for name in class_names if list(class_names).count(name) > 1})
        raise VocabularyError(f"class names must be distinct; more than once: {', '.join(twice)}")
    missing = sorted(set(canaries) - set(class_names))
    if missing:
        raise VocabularyError(f"canaries that are not in the vocabulary: {', '.join(missing)}")
    try:
        check_vectors(text_vectors, text_vectors.shape[1], lambda index: f"class {class_names[index]!r}")
    except AnchorError as error:
        raise VocabularyError(str(error)) from error


def checked_vectors(anchors: Sequence[Anchor], dimension: int) -> NDArray[np.float32]:
    """The vectors of anchors, float32 (n, d).

    Args:
        anchors: at least one.
        dimension: d.

    Raises:
        AnchorError: a vector is not finite, not unit or of the wrong length.
    """
    for anchor in anchors:
        if anchor.vector.shape != (dimension,):
            raise AnchorError(
                f"anchor {anchor.anchor_id}: the vector has shape {anchor.vector.shape}, expected ({dimension},); "
                "was it made by this encoder?"
            )
    vectors = np.stack([anchor.vector for anchor in anchors]).astype(np.float32, copy=False)
    check_vectors(vectors, dimension, lambda index: f"anchor {anchors[index].anchor_id}")
    return vectors
