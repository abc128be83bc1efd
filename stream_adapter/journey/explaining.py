"""What is written about each event: the best classes under both models, and the anchors that explain the answer."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.prediction import Prediction as BatchPrediction
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.events import ClassScore, ImageEvent, Neighbour, Prediction, Versions
from stream_adapter.transport.base import OutRecord


class Explained(NamedTuple):
    """What is written about one event, and the record that it becomes."""

    prediction: Prediction
    record: OutRecord


class Asked(NamedTuple):
    """What somebody asks about beside the stream, in place of an event."""

    source: str = ""
    id: str = ""
    time_ms: int = 0
    label: str | None = None


class Explaining:
    """Makes prediction events of a batch's prediction. Pure.

    Args:
        vocabulary: the classes.
        fingerprint: the encoder's.
        top_k: classes named in a prediction.
    """

    def __init__(self, vocabulary: Vocabulary, fingerprint: str, top_k: int) -> None:
        self._names = vocabulary.class_names
        self._vocabulary = vocabulary.hash
        self._encoder = fingerprint
        self._top_k = min(top_k, len(vocabulary.class_names))

    def explain(
        self, events: Sequence[ImageEvent], prediction: BatchPrediction, timings_ms: Mapping[str, float]
    ) -> list[Explained]:
        """What is written about each of B events.

        Args:
            events: B events.
            prediction: what was said about them.
            timings_ms: milliseconds by stage, of the batch.
        """
        described = self.describe(events, prediction, timings_ms)
        return [Explained(one, one.to_record(event)) for one, event in zip(described, events, strict=True)]

    def describe(
        self,
        asked: Sequence[ImageEvent | Asked],
        prediction: BatchPrediction,
        timings_ms: Mapping[str, float] | None = None,
    ) -> list[Prediction]:
        """What is said about each of B pictures; arguments as those of `explain`."""
        best = best_classes(prediction.adapted, self._top_k)  # (B, k)
        adapted = np.take_along_axis(prediction.adapted, best, axis=1).tolist()
        zero_shot = np.take_along_axis(prediction.zero_shot, best, axis=1).tolist()
        zero_shot_best = prediction.zero_shot.argmax(axis=1).tolist()  # (B,)
        kinds, presence = prediction.standing.kinds, prediction.standing.presence
        versions = Versions(self._encoder, self._vocabulary, prediction.version)
        shown = []
        for row, (event, classes) in enumerate(zip(asked, best.tolist(), strict=True)):
            scores = zip(classes, adapted[row], zero_shot[row], strict=True)
            one = Prediction(
                event_source=event.source,
                event_id=event.id,
                event_time_ms=event.time_ms,
                top=tuple(
                    ClassScore(self._names[c], after, before, kinds[c], float(presence[c]))
                    for c, after, before in scores
                ),
                zero_shot_label=self._names[zero_shot_best[row]],
                label=event.label,
                gate=float(prediction.gate[row]),
                anchors=self._neighbours(prediction, row),
                top_has_anchors=bool(prediction.has_anchor[classes[0]]),
                novelty=float(prediction.novelty[row]),
                versions=versions,
                timings_ms=timings_ms or {},
            )
            shown.append(one)
        return shown

    def _neighbours(self, prediction: BatchPrediction, row: int) -> tuple[Neighbour, ...]:
        columns = (prediction.neighbour_ids, prediction.neighbour_classes, prediction.neighbour_cosines)
        found = zip(*(column[row].tolist() for column in columns), strict=True)
        return tuple(Neighbour(id, self._names[c], cosine) for id, c, cosine in found if id is not None)


def best_classes(probabilities: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The k most probable classes of each event, best first, of equals the first: (B, C) -> int64 (B, k)."""
    n_classes = probabilities.shape[1]
    if not len(probabilities) or k >= n_classes:
        return np.argsort(-probabilities, axis=1, kind="stable")[:, :k].astype(np.int64, copy=False)
    least = -np.partition(-probabilities, k - 1, axis=1)[:, k - 1 : k]  # (B, 1), the k-th largest
    best = np.empty((len(probabilities), k), np.int64)
    for row, candidates in enumerate(probabilities >= least):  # more than k where some are equal
        columns = np.flatnonzero(candidates)
        best[row] = columns[np.argsort(-probabilities[row, columns], kind="stable")[:k]]
    return best
