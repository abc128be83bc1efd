"""b: how far labelled classes are held back, so that those that nobody labels keep what is theirs; formula (4).

Each anchor says how surely its event would have gone to a labelled class, with its own label (x₁) and without (x₀).
Where the untouched model gives such events away to unlabelled names, nothing holds labelled classes back; where it is
sure of them, they need no more than they have.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.mixture.backend import Backend
from stream_adapter.adapter.mixture.constants import LEAST_ODDS, ODDS_LIMIT, WORTH
from stream_adapter.adapter.mixture.other_classes import over_other_classes

# Anchors that are asked, those whose ids hash lowest: the same on all workers. Fewer where there are many classes.
_MOST_ANCHORS = 2_048
_MOST_CELLS = 8_000_000


class LabelledOdds:
    """Remembers what the untouched model says about a sample of the anchors.

    Args:
        anchors: the anchors.
        backend: computes.
    """

    def __init__(self, anchors: Anchors, backend: Backend) -> None:
        self._anchors = anchors
        self._backend = backend
        self._rows = np.zeros(0, np.int64)
        self._beliefs: NDArray[np.float32] | None = None  # (m, C)

    def set_classes(self, classes: Classes, same: NDArray[np.int64]) -> None:
        """Go over to other classes: int64 (C,), the former one with the same text, −1 where there is none."""
        if self._beliefs is None:
            return
        slots = self._anchors.slots_of(self._rows)
        live, put = np.flatnonzero(slots >= 0), self._backend.put
        before, vectors = put(self._beliefs[live]), put(self._anchors.vectors[slots[live]])
        self._rows = self._rows[live]
        self._beliefs = self._backend.get(over_other_classes(before, vectors, classes, same, self._backend))

    def bias(
        self,
        presence: NDArray[np.float32],
        labelled: NDArray[np.bool_],
        texts: NDArray[np.float32],
        scale: float,
        protection: float,
    ) -> float:
        """B ≤ 0, for presences (C,), labelled classes (C,), texts (C, d), logit scale and protection in nats."""
        if not labelled.any() or labelled.all():
            return 0.0
        slots = self._sample(len(labelled))
        beliefs = self._beliefs_of(slots, texts, scale)  # (m, C)
        classes, weights = self._anchors.classes[slots], self._anchors.weights[slots]
        inside = (beliefs @ (presence * labelled)).astype(np.float64)  # (m,)
        outside = (beliefs @ (presence * ~labelled)).astype(np.float64)
        own = beliefs[np.arange(len(slots)), classes].astype(np.float64)
        odds = _log_odds(inside, outside) + _log_odds(inside - own, outside + own)
        return min(-0.5 * float((odds + 2.0 * protection) @ weights) / (float(weights.sum()) + WORTH), 0.0)

    def _sample(self, n_classes: int) -> NDArray[np.int64]:
        most = max(64, min(_MOST_ANCHORS, _MOST_CELLS // n_classes))
        if len(self._anchors) <= most:
            return np.arange(len(self._anchors))
        return np.argpartition(self._anchors.keys, most)[:most]

    def _beliefs_of(self, slots: NDArray[np.int64], texts: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
        rows = self._anchors.rows[slots]
        beliefs = np.empty((len(rows), len(texts)), np.float32)
        order = np.argsort(self._rows)
        place = np.searchsorted(self._rows, rows, sorter=order)
        known = np.zeros(len(rows), np.bool_)
        if len(self._rows):
            place = order[np.minimum(place, len(order) - 1)]
            known = self._rows[place] == rows
        if self._beliefs is not None:
            beliefs[known] = self._beliefs[place[known]]
        new = slots[~known]
        if new.size:
            vectors = self._backend.put(self._anchors.vectors[new])
            logits = scale * (vectors @ self._backend.put(texts).T)
            beliefs[~known] = self._backend.get(self._backend.softmax(logits))
        self._rows, self._beliefs = rows, beliefs
        return beliefs


def _log_odds(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> NDArray[np.float64]:
    odds = np.log(np.maximum(inside, LEAST_ODDS) / np.maximum(outside, LEAST_ODDS))
    return np.asarray(np.clip(odds, -ODDS_LIMIT, ODDS_LIMIT))
