"""What the adapter says about a batch, and what explains it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.learner import Standing

_NEARNESS_DECAY = 10.0  # γ of the paper: how fast nearness falls with cosine distance


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """What a learner says about B events over C classes, and the k nearest anchors that explain it.

    Arrays with a row for each event are the caller's.

    Attributes:
        zero_shot: float32 (B, C), probabilities of the untouched model.
        undamped: float32 (B, C), the learner's own.
        adapted: float32 (B, C), what is published.
        gate: float32 (B,) in [0, 1], nearness: exp(−γ · cosine distance to the nearest anchor); 0 without anchors.
        novelty: float32 (B,) in [0, 1]; 0 where the vocabulary or an anchor explains the picture, 1 where neither does.
        none_of_these: float32 (B,) in [0, 1], how far it is held to be of no class of the vocabulary; see `unknown.py`.
        unknown: bool (B,), whether it is called so; None while there are too few labels to tell.
        neighbour_rows: int64 (B, k), the nearest anchors' row ids, nearest first; −1 pads where there are fewer.
        neighbour_ids: object (B, k), their anchor ids (str), None where padded.
        neighbour_classes: int64 (B, k), their class indices, −1 where padded.
        neighbour_cosines: float32 (B, k), their cosines with the picture, −inf where padded.
        has_anchor: bool (C,), which classes had anchors when this was predicted.
        standing: what each class was taken for. Shared between predictions: not to be changed.
        version: the adapter's version when this was predicted.
    """

    zero_shot: NDArray[np.float32]
    undamped: NDArray[np.float32]
    adapted: NDArray[np.float32]
    gate: NDArray[np.float32]
    novelty: NDArray[np.float32]
    none_of_these: NDArray[np.float32]
    unknown: NDArray[np.bool_] | None
    neighbour_rows: NDArray[np.int64]
    neighbour_ids: NDArray[np.object_]
    neighbour_classes: NDArray[np.int64]
    neighbour_cosines: NDArray[np.float32]
    has_anchor: NDArray[np.bool_]
    standing: Standing
    version: str

    def at(self, rows: Sequence[int]) -> "Prediction":
        """What was said about these events of the batch, in its order."""
        if len(rows) == len(self.zero_shot):
            return self
        chosen = np.asarray(rows, np.int64)
        columns = ("zero_shot", "undamped", "adapted", "gate", "novelty", "none_of_these")
        neighbours = ("neighbour_rows", "neighbour_ids", "neighbour_classes", "neighbour_cosines")
        of_rows: dict[str, Any] = {name: getattr(self, name)[chosen] for name in (*columns, *neighbours)}
        return replace(self, unknown=None if self.unknown is None else self.unknown[chosen], **of_rows)


def nearness_of(nearest: NDArray[np.floating]) -> NDArray[np.float32]:
    """exp(−γ · distance), clamped to [0, 1], of cosines (B,) with the nearest anchor; 0 where there is none, −inf."""
    distance = np.clip(1.0 - nearest, 0.0, 1.0)
    return np.where(np.isfinite(nearest), np.exp(-_NEARNESS_DECAY * distance), 0.0).astype(np.float32)
