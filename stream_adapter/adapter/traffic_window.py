"""The newest events of a worker's own traffic, as far as classes without labels are judged by them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MOST_BELIEVED = 8  # classes remembered of an event's adapted distribution


class TrafficWindow(NamedTuple):
    """n events, in order.

    Attributes:
        zero_shot: float32 (n, C), probabilities of the untouched model.
        labelled: bool (n,), whether the event's label is known.
        believed: int32 (n, k), the classes of its largest adapted probabilities.
        adapted: float32 (n, k), those probabilities.
        vectors: float32 (n, d), unit.
    """

    zero_shot: NDArray[np.float32]
    labelled: NDArray[np.bool_]
    believed: NDArray[np.int32]
    adapted: NDArray[np.float32]
    vectors: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        zero_shot: NDArray[np.float32],
        labelled: NDArray[np.bool_],
        adapted: NDArray[np.float32],
        vectors: NDArray[np.float32],
    ) -> "TrafficWindow":
        """A batch: float32 (B, C), bool (B,), float32 (B, C), float32 (B, d)."""
        k = min(MOST_BELIEVED, adapted.shape[1])
        believed = np.argpartition(-adapted, k - 1, axis=1)[:, :k].astype(np.int32)  # (B, k)
        return cls(zero_shot, labelled, believed, np.take_along_axis(adapted, believed, axis=1), vectors)

    @classmethod
    def zeros(cls, events: int, n_classes: int, dimension: int) -> "TrafficWindow":
        """Room for so many events."""
        k = min(MOST_BELIEVED, n_classes)
        return cls(
            np.zeros((events, n_classes), np.float32),
            np.zeros(events, np.bool_),
            np.zeros((events, k), np.int32),
            np.zeros((events, k), np.float32),
            np.zeros((events, dimension), np.float32),
        )

    def at(self, rows: NDArray[np.int64] | slice) -> "TrafficWindow":
        """Some of the events: copies for indices, views for a slice."""
        return TrafficWindow(
            self.zero_shot[rows], self.labelled[rows], self.believed[rows], self.adapted[rows], self.vectors[rows]
        )

    def check(self, n_classes: int, dimension: int) -> None:
        """Whether it fits a vocabulary of C classes and an encoder of d numbers.

        Raises:
            ValueError: it does not, or its arrays do not fit each other.
        """
        events = len(self.labelled)
        for name, found, fitting in zip(self._fields, self, self.zeros(0, n_classes, dimension), strict=True):
            if found.shape != (events, *fitting.shape[1:]) or found.dtype != fitting.dtype:
                raise ValueError(
                    f"the window's `{name}` is {found.dtype} {found.shape}, expected {fitting.dtype} "
                    f"{(events, *fitting.shape[1:])}: one row for each of `labelled`"
                )
        if self.believed.size and not 0 <= self.believed.min() <= self.believed.max() < n_classes:
            raise ValueError(f"the window's `believed` names classes that are not below {n_classes}")
