"""What is written about each event: the best classes under both models, and the anchors that explain the answer."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.prediction import Prediction
from stream_adapter.encode.vocabulary import Vocabulary
from stream_adapter.events import ImageEvent, PredictionDocument, prediction_record
from stream_adapter.events.headers import format_time
from stream_adapter.transport.base import OutRecord

Explain = Literal["full", "top", "none"]


class Explained(NamedTuple):
    """What is written about one event, and the record that it becomes."""

    prediction: PredictionDocument
    record: OutRecord


class Explaining:
    """Makes prediction events of a batch's prediction. Pure.

    Args:
        vocabulary: the classes.
        fingerprint: the encoder's.
        top_k: classes named in a prediction.
        explain: `full`; `top`: without the nearest anchors; `none`: without them, and with the best class alone.
    """

    def __init__(self, vocabulary: Vocabulary, fingerprint: str, top_k: int, explain: Explain = "full") -> None:
        self.set_classes(vocabulary.class_names, vocabulary.hash)
        self._encoder = fingerprint
        self._top_k = 1 if explain == "none" else top_k
        self._explain = explain

    def set_classes(self, names: Sequence[str], vocabulary: str) -> None:
        """Go over to other classes, and the hash of theirs."""
        self._names, self._vocabulary = names, vocabulary

    def explain(
        self, events: Sequence[ImageEvent], prediction: Prediction, timings_ms: Mapping[str, float]
    ) -> list[Explained]:
        """What is written about each of B events.

        Args:
            events: B events.
            prediction: what was said about them.
            timings_ms: milliseconds by stage, of the batch.

        Raises:
            ValueError: a number is not finite.
        """
        timings = {stage: round(milliseconds, 3) for stage, milliseconds in timings_ms.items()}
        explained = []
        for event, said in zip(events, self.describe(prediction), strict=True):
            origin = {"source": event.source, "id": event.id, "time": format_time(event.time_ms)}
            document = {"event": origin, "label": event.label, **said, "timings_ms": timings}
            explained.append(Explained(document, prediction_record(event, document)))
        return explained

    def describe(self, prediction: Prediction) -> list[PredictionDocument]:
        """What is said about each of B pictures, whatever event it may belong to.

        Raises:
            ValueError: a number is not finite.
        """
        names, kinds = self._names, prediction.standing.kinds
        best = best_classes(prediction.adapted, self._top_k)  # (B, k)
        adapted = _rounded(np.take_along_axis(prediction.adapted, best, axis=1))
        zero_shot = _rounded(np.take_along_axis(prediction.zero_shot, best, axis=1))
        presence = _rounded(np.asarray(prediction.standing.presence)[best])
        zero_shot_best = prediction.zero_shot.argmax(axis=1).tolist()  # (B,)
        top_has_anchors = prediction.has_anchor[best[:, 0]].tolist()
        gate, novelty = _rounded(prediction.gate), _rounded(prediction.novelty)
        none_of_these = _rounded(prediction.none_of_these)
        unknown = [None] * len(best) if prediction.unknown is None else prediction.unknown.tolist()
        shared: dict[str, Any] = {
            "versions": {"encoder": self._encoder, "vocabulary": self._vocabulary, "adapter": prediction.version}
        }
        if self._explain != "full":
            shared["explain"] = self._explain  # what is missing is missing on purpose
        anchors = self._anchors(prediction) if self._explain == "full" else [[]] * len(best)
        described = []
        for row, classes in enumerate(best.tolist()):
            scores = zip(classes, adapted[row], zero_shot[row], presence[row], strict=True)
            described.append(
                {
                    "top": [
                        {"label": names[c], "adapted": after, "zero_shot": before, "kind": kinds[c], "presence": there}
                        for c, after, before, there in scores
                    ],
                    "zero_shot_label": names[zero_shot_best[row]],
                    "gate": gate[row],
                    "anchors": anchors[row],
                    "top_has_anchors": top_has_anchors[row],
                    "novelty": novelty[row],
                    "none_of_these": none_of_these[row],
                    "unknown": unknown[row],
                    **shared,
                }
            )
        return described

    def _anchors(self, prediction: Prediction) -> list[list[dict[str, Any]]]:
        """The nearest anchors of each event, nearest first."""
        names = self._names
        columns = zip(
            prediction.neighbour_ids.tolist(),
            prediction.neighbour_classes.tolist(),
            _rounded(prediction.neighbour_cosines, missing=prediction.neighbour_ids == None),  # noqa: E711 - an array
            strict=True,
        )
        return [
            [
                {"id": id, "label": names[c], "cosine": cosine}
                for id, c, cosine in zip(*found, strict=True)
                if id is not None
            ]
            for found in columns
        ]


def best_classes(probabilities: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """The k most probable classes of each event, best first, of equals the first: (B, C) -> int64 (B, k)."""
    n_classes = probabilities.shape[1]
    if not len(probabilities) or k >= n_classes:
        return np.argsort(-probabilities, axis=1, kind="stable")[:, :k].astype(np.int64, copy=False)
    least = np.partition(probabilities, n_classes - k, axis=1)[:, n_classes - k, None]  # (B, 1), the k-th largest
    candidates = probabilities >= least
    for row in np.flatnonzero(candidates.sum(axis=1) > k).tolist():  # some are equal: the first of those
        equal = np.flatnonzero(probabilities[row] == least[row])
        candidates[row, equal[k - int((probabilities[row] > least[row]).sum()) :]] = False
    columns = np.nonzero(candidates)[1].reshape(-1, k)  # in the order of the classes
    order = np.argsort(-np.take_along_axis(probabilities, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _rounded(numbers: NDArray[Any], missing: NDArray[np.bool_] | None = None) -> list[Any]:
    """Six decimals, enough for a probability and half the bytes of a double, as Python's floats.

    Raises:
        ValueError: one that is not `missing` is not finite; JSON has no word for it.
    """
    wide = np.round(numbers.astype(np.float64), 6)
    if not (np.isfinite(wide) if missing is None else np.isfinite(wide) | missing).all():
        raise ValueError("a number of a prediction is not finite")
    rounded: list[Any] = wide.tolist()
    return rounded
