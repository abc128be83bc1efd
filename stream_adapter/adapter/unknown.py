"""Is an event of no class of the vocabulary? A score, and a verdict whose rate of false alarms the user sets; pure.

**Score.** An event is explained by a class name as far as the best name stands out from all names, and by a labelled
picture as far as that is near:

    s(z) = exp(−τ (z·t_best − z·t̄) / 5) · (1 − nearness(z))        0..1, t̄ the mean of the text vectors

The first factor is the maximum concept matching score (Ming et al., *Delving into out-of-distribution detection with
vision-language representations*, NeurIPS 2022, arXiv 2211.13445) up to what is nearly constant, at a temperature that
makes it comparable with the second, `nearness_of`. The 5 was chosen on the vectors that docs/evaluation.md reports on.

**Verdict.** Unknown where s exceeds a quantile of what the newest labelled events score without themselves:

    the smallest q with  Σ_i w_i [s_i ≤ q]  ≥  (1 − rate) (Σ_i w_i + 1)

over 512 of the newest anchors i, w_i their weights, by which copies count once. This is split conformal prediction
(Vovk, Gammerman, Shafer, *Algorithmic Learning in a Random World*, 2005) with the scores of the jackknife: where
labelled events and other events of known classes are exchangeable, an event of a known class is called unknown with a
probability of at most `rate`. Leaving itself out is what keeps that true though anchors serve twice: were the event
among the anchors, s_i could only be smaller, so the quantile is too large rather than too small. While
(1 − rate) (Σ w + 1) > Σ w, which is with fewer than 1 / rate − 1 labels, nothing is said.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.classes import Classes
from stream_adapter.adapter.prediction import nearness_of

_TEMPERATURE = 5.0
_WINDOW = 512
_SPARSE = 3  # of many anchors every 2nd, 4th or, at most, 8th is among them, so that fewer are searched for
_SEARCHED_ANEW = 4_096  # new anchors, from which on a search costs less than to compare with each


class UnknownRule:
    """Belongs to whoever owns the anchors, and is thrown away with them: it remembers their row ids.

    Args:
        rate: of events of known classes, how many may be called unknown, 0..1; 0: nothing is ever said.
    """

    def __init__(self, classes: Classes, anchors: Anchors, rate: float) -> None:
        self._anchors, self._rate = anchors, rate
        self._known_up_to = -1  # the largest row id that `_others` knows of
        self._rows = np.zeros(0, np.int64)  # (m,), of the window
        self._by_name = np.zeros(0, np.float32)  # (m,), the score's first factor, NaN where it is to be worked out
        self._others = np.zeros((0, 2))  # (m, 2), cosine and row id of the nearest other anchor; −inf and −1
        self.set_classes(classes)

    def set_classes(self, classes: Classes) -> None:
        """Go over to other classes; which anchors are near to which does not depend on them."""
        self._classes, self._mean = classes, classes.texts.mean(axis=0)  # (d,)
        self._by_name[:] = np.nan
        self._threshold: tuple[tuple[str, str], float | None] | None = None

    def scores(
        self, vectors: NDArray[np.float32], best: NDArray[np.int64], nearness: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The score, float32 (B,), of unit vectors (B, d), zero-shot's best classes (B,) and nearness (B,)."""
        return self._unnamed(vectors, best) * (np.float32(1.0) - nearness)

    def threshold(self, version: str) -> float | None:
        """What a score must exceed; None while there are too few labels.

        Args:
            version: the learner's: weights depend on it.
        """
        of = self._anchors.digest, version
        if self._threshold is None or self._threshold[0] != of:
            self._threshold = of, self._quantile(self._follow()) if self._rate else None
        return self._threshold[1]

    def _quantile(self, slots: NDArray[np.int64]) -> float | None:
        weights = self._anchors.weights[slots]
        enough = (1.0 - self._rate) * (weights.sum() + 1.0)
        scores = self._by_name * (np.float32(1.0) - nearness_of(self._others[:, 0]))
        order = np.argsort(scores, kind="stable")
        place = int(np.searchsorted(np.cumsum(weights[order]), enough - 1e-9))
        return float(scores[order[place]]) if place < len(order) else None

    def _follow(self) -> NDArray[np.int64]:
        """Bring what is remembered of the window level with the anchors; returns its slots."""
        anchors = self._anchors
        apart = 1 << min(_SPARSE, max(0, (len(anchors) // _WINDOW).bit_length() - 1))
        slots = np.flatnonzero(anchors.keys % np.uint64(apart) == 0)
        if len(slots) > _WINDOW:
            times = anchors.times[slots]
            slots = slots[times >= np.partition(times, -_WINDOW)[-_WINDOW]]
            slots = slots[np.lexsort((anchors.keys[slots], -anchors.times[slots]))[:_WINDOW]]
        rows, vectors = anchors.rows[slots], anchors.vectors[slots]
        by_name, others = np.full(len(rows), np.nan, np.float32), np.full((len(rows), 2), -1.0)
        _, here, there = np.intersect1d(rows, self._rows, assume_unique=True, return_indices=True)
        by_name[here], others[here] = self._by_name[there], self._others[there]
        fresh = np.flatnonzero(anchors.rows > self._known_up_to)
        if len(here) and len(fresh) and len(fresh) <= _SEARCHED_ANEW:
            cosines = vectors[here] @ anchors.vectors[fresh].T  # (known, fresh)
            best = cosines.argmax(axis=1)
            cosine = cosines[np.arange(len(here)), best]
            nearer = cosine > others[here, 0]
            others[here[nearer]] = np.stack([cosine[nearer], anchors.rows[fresh[best[nearer]]]], axis=1)
        new = np.flatnonzero(np.isnan(by_name))
        if new.size:
            by_name[new] = self._unnamed(vectors[new], (vectors[new] @ self._classes.texts.T).argmax(axis=1))
        gone = (anchors.slots_of(others[:, 1].astype(np.int64)) < 0) | (len(fresh) > _SEARCHED_ANEW)
        search = np.flatnonzero(gone)
        if search.size:
            near = anchors.nearest(np.ascontiguousarray(vectors[search]), 2)
            itself = near.rows[:, 0] == rows[search]
            at, column = np.arange(len(search)), itself.astype(np.int64)
            others[search] = np.stack([near.cosines[at, column], near.rows[at, column]], axis=1)
        self._rows, self._by_name, self._others = rows, by_name, others
        self._known_up_to = int(anchors.rows.max(initial=-1))
        return slots

    def _unnamed(self, vectors: NDArray[np.float32], best: NDArray[np.int64]) -> NDArray[np.float32]:
        """How little the best name says more than all: float32 (n,)."""
        above = np.einsum("nd,nd->n", vectors, self._classes.texts[best] - self._mean)
        scale = np.float32(-self._classes.logit_scale / _TEMPERATURE)
        return np.asarray(np.exp(scale * np.maximum(above, 0.0)), np.float32)
