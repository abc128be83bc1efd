"""Every label is a test before it is learned: prequential accuracy, and what the metrics show of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.learner import Answer
from stream_adapter.adapter.prediction import Prediction
from stream_adapter.drift.prequential import PrequentialAccuracy
from stream_adapter.metrics import GROUPS, Metrics


class Scoring:
    """Scores what was predicted, by the labels that came with it.

    Args:
        canary: bool (C,), classes that are never learned.
        metrics: accuracy of the adapted model, of zero-shot, and of the method in the shadow.
    """

    def __init__(self, canary: NDArray[np.bool_], metrics: Metrics) -> None:
        self._accuracy = PrequentialAccuracy(canary)
        self._shadow = PrequentialAccuracy(canary)
        self._metrics = metrics

    def score(self, labels: NDArray[np.int64], prediction: Prediction, shadow: Answer | None) -> None:
        """Score a batch.

        Args:
            labels: int64 (B,), class indices of labels that are a test; −1 for all others.
            prediction: what was said.
            shadow: what the method in the shadow would have said, where there is one.
        """
        rows = np.flatnonzero(labels >= 0)  # (T,)
        if not len(rows):
            return
        labels, has_anchor = labels[rows], prediction.has_anchor
        unknown = prediction.unknown
        self._metrics.count_unknown("known", None if unknown is None else unknown[rows], len(rows))
        zero_shot = prediction.zero_shot[rows].argmax(axis=1)  # (T,)
        adapted = prediction.adapted[rows].argmax(axis=1)  # (T,)
        self.count(labels, zero_shot, adapted, has_anchor)
        if shadow is not None:
            self._score_shadow(labels, zero_shot, shadow.adapted[rows].argmax(axis=1), has_anchor)

    def count(
        self,
        labels: NDArray[np.int64],
        zero_shot: NDArray[np.int64],
        adapted: NDArray[np.int64],
        has_anchor: NDArray[np.bool_],
    ) -> None:
        """Score what was predicted, by the classes that the models put first.

        Args:
            labels: int64 (T,), class indices.
            zero_shot: int64 (T,).
            adapted: int64 (T,).
            has_anchor: bool (C,), which classes had anchors then.
        """
        groups = self._accuracy.update(labels, zero_shot, adapted, has_anchor)
        for group in np.unique(groups).tolist():
            rows = groups == group
            self._metrics.scored.labels(group=group).inc(int(rows.sum()))
            for model, classes in (("zero_shot", zero_shot), ("adapted", adapted)):
                self._metrics.correct.labels(group=group, model=model).inc(int((classes == labels)[rows].sum()))
        for group in GROUPS:
            if (accuracy := self._accuracy.of(group)) is not None:
                for model, value in zip(("zero_shot", "adapted"), accuracy, strict=True):
                    self._metrics.accuracy.labels(group=group, model=model).set(value)

    def set_canaries(self, canary: NDArray[np.bool_]) -> None:
        """Go over to other classes: bool (C,), those that are never learned."""
        self._accuracy.set_canaries(canary)
        self._shadow.set_canaries(canary)

    def state(self) -> dict[str, Any]:
        """Accuracy so far, JSON, for a snapshot; the shadow's begins anew with each start."""
        return self._accuracy.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            ValueError: it is no such state; nothing has changed.
        """
        self._accuracy.restore(state)

    def _score_shadow(
        self,
        labels: NDArray[np.int64],
        zero_shot: NDArray[np.int64],
        shadow: NDArray[np.int64],
        has_anchor: NDArray[np.bool_],
    ) -> None:
        groups = self._shadow.update(labels, zero_shot, shadow, has_anchor)
        for group in np.unique(groups).tolist():
            rows = groups == group
            self._metrics.shadow_scored.labels(group=group).inc(int(rows.sum()))
            self._metrics.shadow_correct.labels(group=group).inc(int((shadow == labels)[rows].sum()))
        for group in GROUPS:
            if (accuracy := self._shadow.of(group)) is not None:
                self._metrics.shadow_accuracy.labels(group=group).set(accuracy[1])
