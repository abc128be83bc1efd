"""What an anchor is worth: how doubtful its picture is, times how far it is from the nearest one of its class.

In whole numbers, so that all workers come to the same whatever their processors: components of vectors become multiples
of 1/4000 (an error of about 1e-4 in a cosine), and no partial sum of a product of two such vectors exceeds 2^24, up to
which float32 holds every whole number and sums are exact in any order. Doubt is rounded to 1/1024.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from stream_adapter.adapter.store import AnchorStore

NOTHING_LEFT = np.iinfo(np.int64).max
"""More than any anchor is worth."""

_FIXED_POINT = 4_000.0
_DOUBT_STEPS = 1_024.0
_LEAST_DOUBT = 0.1  # f: what nobody doubts still takes part, by its distance alone
# Nearest ones are looked for among a class's oldest anchors. In a larger class that bounds the cost, and everything
# young is spared.
_WINDOW = 1_024


class Doubt:
    """1 + f minus the untouched model's largest probability.

    Args:
        text_vectors: float32 (C, d), unit.
        logit_scale: τ.
    """

    def __init__(self, text_vectors: NDArray[np.float32], logit_scale: float) -> None:
        self._texts = fixed_point(text_vectors)
        self._scale = logit_scale / _FIXED_POINT**2

    def of(self, points: NDArray[np.float32]) -> NDArray[np.int64]:
        """Int64 (n,), in units of 1/1024, of vectors (n, d) in fixed point."""
        cosines = products(points, self._texts).astype(np.float64)  # (n, C)
        below = self._scale * (cosines - cosines.max(axis=1, keepdims=True))
        confidence = 1.0 / np.exp(below).sum(axis=1)  # (n,)
        doubt: NDArray[np.float64] = np.rint(_DOUBT_STEPS * (1.0 + _LEAST_DOUBT - confidence))
        return doubt.astype(np.int64)


class Points:
    """Vectors in fixed point, of one class at a time, in memory that is used again and again: at most 2 MB.

    Args:
        store: where the anchors are.
    """

    def __init__(self, store: AnchorStore) -> None:
        self._store = store
        self._memory = np.empty((0, store.vectors.shape[1]), np.float32)
        self._rows: NDArray[np.int64] | None = None  # what is there now

    def of(self, rows: NDArray[np.int64], slots: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Float32 (m, d), good until others are asked for: anchors by row ids (m,) and, where known, slots (m,)."""
        if self._rows is not rows:
            if len(self._memory) < len(rows):
                self._memory = np.empty((min(2 * len(rows), _WINDOW), self._memory.shape[1]), np.float32)
            slots = self._store.slots_of(rows) if slots is None else slots
            points = self._memory[: len(rows)]
            np.take(self._store.vectors, slots, axis=0, out=points, mode="clip")
            points *= np.float32(_FIXED_POINT)
            np.rint(points, out=points)
            self._rows = rows
        return self._memory[: len(rows)]


class ClassWorth:
    """Worths of one class's anchors, oldest first; what was found out is kept from one look to the next.

    Args:
        store: where the anchors are.
        doubt: of vectors.
        points: of anchors; those of several classes may share it.
    """

    def __init__(self, store: AnchorStore, doubt: Doubt, points: Points) -> None:
        self._store = store
        self._doubt = doubt
        self._points = points
        self._rows = np.empty(0, np.int64)  # (m,)
        self._nearest = np.empty(0, np.int64)  # (m,) row ids, -1 where there is no other
        self._cosines = np.empty(0, np.float32)  # (m,) with the nearest, in units of `_FIXED_POINT` squared
        self._doubts = np.empty(0, np.int64)  # (m,)
        self._left = np.empty(0, np.bool_)  # (m,)
        self._worths = np.empty(0, np.int64)  # (m,)
        self._waiting = np.empty(0, np.int64)  # row ids of the younger ones, beyond the window

    @property
    def least(self) -> int:
        """The smallest worth."""
        return int(self._worths.min(initial=NOTHING_LEFT))

    def look(self, slots: NDArray[np.int64]) -> None:
        """Go over to these anchors: int64 (n,), oldest first; only what is new, or lost its nearest one, costs."""
        rows = self._store.rows[slots]
        self._go_over(rows[:_WINDOW], slots[:_WINDOW])
        self._waiting = rows[_WINDOW:]

    def take(self) -> int:
        """Let the anchor go that is worth least, of equals the oldest; its row."""
        victim = int(self._worths.argmin())
        self._left[victim], self._worths[victim] = False, NOTHING_LEFT
        self._search(np.flatnonzero(self._left & (self._nearest == self._rows[victim])))
        row = int(self._rows[victim])
        # At most half of the window goes before younger anchors come in: not for each one a search.
        if self._waiting.size and 2 * self._left.sum() < _WINDOW:
            by_age = np.concatenate([self._rows[self._left], self._waiting])
            self._go_over(by_age[:_WINDOW], self._store.slots_of(by_age[:_WINDOW]))
            self._waiting = by_age[_WINDOW:]
        return row

    @property
    def is_partial(self) -> bool:
        """Whether the class has more anchors than are looked at."""
        return bool(self._waiting.size)

    def _go_over(self, rows: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        before = _places(rows, self._rows)  # (m,)
        known = before >= 0
        known[known] = self._left[before[known]]
        there = before[known]
        nearest, cosines = np.full(len(rows), -1, np.int64), np.full(len(rows), -np.inf, np.float32)
        doubts = np.zeros(len(rows), np.int64)
        nearest[known], cosines[known], doubts[known] = self._nearest[there], self._cosines[there], self._doubts[there]
        self._rows, self._nearest, self._cosines, self._doubts = rows, nearest, cosines, doubts
        self._left, self._worths = np.ones(len(rows), np.bool_), np.empty(len(rows), np.int64)
        new, lost = np.flatnonzero(~known), _places(nearest, rows) < 0  # the new ones have lost theirs, too
        if lost.any():
            self._doubts[new] = self._doubt.of(self._points.of(rows, slots)[new])
        self._search(np.flatnonzero(lost))
        self._offer(new, np.flatnonzero(~lost))
        self._worths = self._worth_of(np.arange(len(rows)))

    def _search(self, which: NDArray[np.int64]) -> None:
        """Find the nearest of some anchors anew: int64 (s,) places."""
        if not which.size:
            return
        points = self._points.of(self._rows)
        cosines = products(points[which], points)  # (s, m)
        cosines[:, ~self._left] = -np.inf
        cosines[np.arange(len(which)), which] = -np.inf
        best = cosines.argmax(axis=1)
        self._cosines[which] = cosines[np.arange(len(which)), best]
        self._nearest[which] = np.where(np.isneginf(self._cosines[which]), -1, self._rows[best])
        self._worths[which] = self._worth_of(which)

    def _offer(self, new: NDArray[np.int64], kept: NDArray[np.int64]) -> None:
        """Let those whose nearest one is still there know of new ones: int64 (s,) and (p,) places, disjoint."""
        if not new.size or not kept.size:
            return
        points = self._points.of(self._rows)
        cosines = products(points[kept], points[new])  # (p, s)
        best = cosines.argmax(axis=1)
        closest = cosines[np.arange(len(kept)), best]
        nearer = closest > self._cosines[kept]
        self._cosines[kept[nearer]] = closest[nearer]
        self._nearest[kept[nearer]] = self._rows[new[best[nearer]]]

    def _worth_of(self, which: NDArray[np.int64]) -> NDArray[np.int64]:
        distances = _FIXED_POINT**2 - np.maximum(self._cosines[which], -(_FIXED_POINT**2))
        # Rounding may bring near copies closer than identity; what is left then is doubt.
        return self._doubts[which] * np.maximum(distances, 1.0).astype(np.int64)


def _places(rows: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Int64 (n,): where each of these row ids is among others (m,), -1 where it is not."""
    if not len(among):
        return np.full(len(rows), -1, np.int64)
    order = np.argsort(among)
    at = order[np.minimum(np.searchsorted(among, rows, sorter=order), len(among) - 1)]
    return np.where(among[at] == rows, at, -1)


def fixed_point(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Whole numbers, as float32, in place of components in [−1, 1]."""
    points: NDArray[np.float32] = np.rint(vectors * np.float32(_FIXED_POINT))
    return points


def products(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """All inner products of fixed-point vectors (s, d) and (m, d): (s, m), exact. In torch, see `ExactNeighbours`."""
    found: NDArray[np.float32] = (torch.from_numpy(some) @ torch.from_numpy(others).T).numpy()
    return found
