"""Prequential accuracy: every label is a test before it is a lesson.

Reference: Gama, Sebastião, Rodrigues, *On evaluating stream learning algorithms*, Machine Learning 90, 2013.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Group = Literal["labelled", "unlabelled", "canary"]


@dataclass(frozen=True, slots=True)
class GroupAccuracy:
    """Accuracy of one group of events, the adapted model beside the untouched one.

    Attributes:
        events: how many were counted since the start.
        zero_shot: share that zero-shot got right; None before the first event.
        adapted: share that the adapted model got right; None before the first event.
        window_events: how many are in the window, at most its length.
    """

    events: int = 0
    zero_shot: float | None = None
    adapted: float | None = None
    window_events: int = 0
    window_zero_shot: float | None = None
    window_adapted: float | None = None


class PrequentialAccuracy:
    """Accuracy of predictions made before their label was learned, adapted and zero-shot side by side, by group.

    - `canary`: the class is never taught, it stands for everything that nobody labels.
    - `labelled`: the class had anchors when the event was predicted.
    - `unlabelled`: it had none: its first label, or those of a class whose anchors were forgotten.

    Over the whole stream (how good was it) and over the newest `window` events of each group (how good is it now).

    Args:
        canary: bool (C,), which classes are canaries.
        window: events per group in the window.

    Example:
        >>> accuracy = PrequentialAccuracy(canary=np.array([False, True]), window=100)
        >>> accuracy.update(
        ...     labels=np.array([0, 1]), zero_shot=np.array([1, 1]), adapted=np.array([0, 1]),
        ...     has_anchor=np.array([True, False]),
        ... )
        >>> accuracy.of("labelled").adapted, accuracy.of("labelled").zero_shot, accuracy.of("canary").adapted
        (1.0, 0.0, 1.0)
    """

    def __init__(self, canary: NDArray[np.bool_], window: int = 1_000) -> None:
        if window < 1:
            raise ValueError(f"window must hold at least one event, got {window}")
        self._canary = canary.astype(np.bool_, copy=True)
        self._groups = {group: _Counts(window) for group in get_args(Group)}

    def group_of(self, label: int, has_anchor: NDArray[np.bool_]) -> Group:
        """The group in which an event of class `label` counts; `has_anchor` (C,) is as of its prediction."""
        if self._canary[label]:
            return "canary"
        return "labelled" if has_anchor[label] else "unlabelled"

    def update(
        self,
        labels: NDArray[np.int64],
        zero_shot: NDArray[np.int64],
        adapted: NDArray[np.int64],
        has_anchor: NDArray[np.bool_],
    ) -> None:
        """Count labelled events that were predicted together.

        Args:
            labels: int (B,), true class indices.
            zero_shot: int (B,), the class that zero-shot ranks first.
            adapted: int (B,), the class that the adapted model ranks first.
            has_anchor: bool (C,), which classes had anchors when they were predicted.
        """
        for label, first, second in zip(labels.tolist(), zero_shot.tolist(), adapted.tolist(), strict=True):
            self._groups[self.group_of(label, has_anchor)].count(first == label, second == label)

    def set_canaries(self, canary: NDArray[np.bool_]) -> None:
        """Go over to other classes: bool (C,), those that are never taught; what was counted stays."""
        self._canary = canary.astype(np.bool_, copy=True)

    def state(self) -> dict[str, Any]:
        """All counts and windows, JSON, for a snapshot."""
        return {group: counts.state() for group, counts in self._groups.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            ValueError: it is no such state; nothing has changed.
        """
        window = next(iter(self._groups.values())).window
        self._groups |= {group: _Counts.of(state[group], window) for group in self._groups if group in state}

    def of(self, group: Group) -> GroupAccuracy:
        """The figures of one group as of now."""
        return self._groups[group].figures()


class _Counts:
    """Hits of one group: totals, and a ring of the newest ones."""

    def __init__(self, window: int) -> None:
        self._newest: deque[tuple[bool, bool]] = deque(maxlen=window)
        self._events = 0
        self._hits = [0, 0]  # zero-shot, adapted
        self._newest_hits = [0, 0]  # of those in the ring

    @property
    def window(self) -> int:
        return self._newest.maxlen or 0

    def state(self) -> dict[str, Any]:
        newest = "".join(str(zero_shot + 2 * adapted) for zero_shot, adapted in self._newest)
        return {"events": self._events, "hits": list(self._hits), "newest": newest}

    @classmethod
    def of(cls, state: Mapping[str, Any], window: int) -> "_Counts":
        counts = cls(window)
        try:
            newest = [int(digit) for digit in state["newest"]]
            events, hits = int(state["events"]), [int(hits) for hits in state["hits"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not the state of prequential accuracy: {error!r}") from error
        for digit in newest:
            counts.count(bool(digit & 1), bool(digit & 2))
        counts._events, counts._hits = events, hits
        return counts

    def count(self, zero_shot: bool, adapted: bool) -> None:
        left = self._newest[0] if len(self._newest) == self._newest.maxlen else (False, False)
        self._newest.append((zero_shot, adapted))
        self._events += 1
        for model, hit in enumerate((zero_shot, adapted)):
            self._hits[model] += hit
            self._newest_hits[model] += hit - left[model]

    def figures(self) -> GroupAccuracy:
        if not self._events:
            return GroupAccuracy()
        held = len(self._newest)
        zero_shot, adapted = (hits / self._events for hits in self._hits)
        newest_zero_shot, newest_adapted = (hits / held for hits in self._newest_hits)
        return GroupAccuracy(self._events, zero_shot, adapted, held, newest_zero_shot, newest_adapted)
