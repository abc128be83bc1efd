"""The classes: names, text vectors, and the model's logit scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchor import check_vectors
from stream_adapter.errors import AnchorError, VocabularyError


@dataclass(frozen=True, eq=False, slots=True)
class Classes:
    """C classes, checked when they are made.

    Attributes:
        names: C distinct names.
        texts: float32 (C, d), unit text vectors.
        logit_scale: the model's logit scale τ (100 for CLIP).

    Raises:
        VocabularyError: names and vectors do not fit together.
    """

    names: Sequence[str]
    texts: NDArray[np.float32]
    logit_scale: float

    def __post_init__(self) -> None:
        if self.texts.ndim != 2 or len(self.texts) != len(self.names) or not len(self.names):
            raise VocabularyError(
                f"text vectors have shape {self.texts.shape}, expected ({len(self.names)}, d): one per class"
            )
        if len(set(self.names)) < len(self.names):
            twice = sorted({name for name in self.names if list(self.names).count(name) > 1})
            raise VocabularyError(f"class names must be distinct; more than once: {', '.join(twice)}")
        try:
            check_vectors(self.texts, self.texts.shape[1], lambda index: f"class {self.names[index]!r}")
        except AnchorError as error:
            raise VocabularyError(str(error)) from error

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dimension(self) -> int:
        """d, the length of vectors."""
        return int(self.texts.shape[1])

    def former(self, before: "Classes", renamed: Mapping[str, str]) -> NDArray[np.int64]:
        """Int64 (C,): which class of `before` each one is, by its name or its former one; −1 where it is new."""
        if not renamed and self.names[: len(before)] == before.names:  # classes were only added, if any
            return np.pad(np.arange(len(before)), (0, len(self) - len(before)), constant_values=-1)
        index = {renamed.get(name, name): number for number, name in enumerate(before.names)}
        # Of classes that were merged the one that had the name already goes before those that come to it.
        index |= {name: number for number, name in enumerate(before.names) if name not in renamed}
        return np.array([index.get(name, -1) for name in self.names], np.int64)
