"""Prequential accuracy: every label is a test before it is a lesson.

Reference: Gama, Sebastião, Rodrigues, *On evaluating stream learning algorithms*, Machine Learning 90, 2013.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Group = Literal["labelled", "unlabelled", "canary"]


class PrequentialAccuracy:
    """Accuracy of predictions made before their label was learned, zero-shot and adapted side by side, by group.

    - `canary`: the class is never taught, it stands for everything that nobody labels.
    - `labelled`: the class had anchors when the event was predicted.
    - `unlabelled`: it had none: its first label, or those of a class whose anchors were forgotten.

    Args:
        canary: bool (C,), which classes are canaries.
        window: newest events of each group that count.

    Example:
        >>> accuracy = PrequentialAccuracy(canary=np.array([False, True]), window=100)
        >>> accuracy.update(
        ...     labels=np.array([0, 1]), zero_shot=np.array([1, 1]), adapted=np.array([0, 1]),
        ...     has_anchor=np.array([True, False]),
        ... ).tolist()
        ['labelled', 'canary']
        >>> accuracy.of("labelled"), accuracy.of("canary"), accuracy.of("unlabelled")
        ((0.0, 1.0), (1.0, 1.0), None)
    """

    def __init__(self, canary: NDArray[np.bool_], window: int = 1_000) -> None:
        if window < 1:
            raise ValueError(f"window must hold at least one event, got {window}")
        self._window = window
        self.set_canaries(canary)
        self._hits = {str(group): np.zeros((0, 2), np.bool_) for group in get_args(Group)}  # zero-shot, adapted

    def update(
        self,
        labels: NDArray[np.int64],
        zero_shot: NDArray[np.int64],
        adapted: NDArray[np.int64],
        has_anchor: NDArray[np.bool_],
    ) -> NDArray[np.str_]:
        """Count labelled events that were predicted together.

        Args:
            labels: int (B,), true class indices.
            zero_shot: int (B,), the class that zero-shot ranks first.
            adapted: int (B,), the class that the adapted model ranks first.
            has_anchor: bool (C,), which classes had anchors when they were predicted.

        Returns:
            Str (B,), the group in which each counts.
        """
        seen = np.where(has_anchor[labels], "labelled", "unlabelled")
        groups: NDArray[np.str_] = np.where(self._canary[labels], "canary", seen)
        hits = np.stack([zero_shot == labels, adapted == labels], axis=1)  # (B, 2)
        for group, before in self._hits.items():
            self._hits[group] = np.concatenate([before, hits[groups == group]])[-self._window :]
        return groups

    def set_canaries(self, canary: NDArray[np.bool_]) -> None:
        """Go over to other classes: bool (C,), those that are never taught; what was counted stays."""
        self._canary = canary.astype(np.bool_, copy=True)

    def of(self, group: Group) -> tuple[float, float] | None:
        """What share of the group's newest events zero-shot and the adapted model got right; None before the first."""
        hits = self._hits[group]
        return (float(hits[:, 0].mean()), float(hits[:, 1].mean())) if len(hits) else None

    def state(self) -> dict[str, Any]:
        """The windows, JSON, for a snapshot."""
        return {group: hits.astype(int).tolist() for group, hits in self._hits.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            ValueError: it is no such state; nothing has changed.
        """
        try:
            hits = {group: np.array(state[group], np.bool_).reshape(-1, 2)[-self._window :] for group in self._hits}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not the state of prequential accuracy: {error!r}") from error
        self._hits = hits
