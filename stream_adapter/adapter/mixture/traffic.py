"""From a window of traffic to evidence: whose its events are believed to be, and what labelled ones explain."""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.anchors import Anchors
from stream_adapter.adapter.confidence import histogram
from stream_adapter.adapter.mixture.backend import Array, Backend
from stream_adapter.adapter.mixture.class_means import ClassMeans
from stream_adapter.adapter.mixture.constants import FEW, LEAST_MASS, OWN_TRAFFIC, WORTH
from stream_adapter.adapter.mixture.evidence import Evidence
from stream_adapter.adapter.mixture.label_shift import Shift, responsibilities
from stream_adapter.adapter.mixture.window import Window

_MOST_ASKED = 512  # labelled events that `moves` asks, those whose keys are lowest: the same wherever they are asked


class Traffic:
    """A window at one moment, seen with the anchors of that moment: which of its events are labelled.

    An event is labelled where there is an anchor of its key: once the anchor is gone, it never was.

    Args:
        window: not empty.
        shift: what the window gives to each class.
    """

    def __init__(self, window: Window, anchors: Anchors, shift: Shift, backend: Backend) -> None:
        self._window = window
        self._backend = backend
        self._shift = shift
        self._weights = window.weights
        self._taught = np.flatnonzero(anchors.counts > 0)
        order = np.argsort(anchors.keys)
        keys = anchors.keys[order]
        place = np.minimum(np.searchsorted(keys, window.keys), len(keys) - 1)
        self._labelled = keys[place] == window.keys if len(keys) else np.zeros(len(window), np.bool_)  # (n,)
        classes = anchors.classes[order[place[self._labelled]]] if len(keys) else np.zeros(0, np.int64)
        # Labelled events by class, for sums over each class's.
        self._by_class = np.argsort(classes, kind="stable")
        self._classes = classes[self._by_class]
        self._known, self._starts = np.unique(self._classes, return_index=True)
        self._labelled_slots = np.flatnonzero(self._labelled)[self._by_class]

    def shifted(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """E and how much of it labelled events explain: float64 (C,) each."""
        belief = responsibilities(self._backend.get(self._window.zero_shot)[self._labelled_slots], self._shift)
        given = self._shift.events
        return given, self._explained(belief, given, float(self._weights.sum()))

    @property
    def any_labelled(self) -> bool:
        """Whether any event of the window is labelled."""
        return len(self._known) > 0

    def moves(self, model: ClassMeans) -> NDArray[np.float64]:
        """Right answers that labelled events would lose to a model that knows no label, less those that they would win.

        Returns:
            float64 (2, BINS), Σ w and Σ w² over them (a win's w being negative), by how sure the model is that
            zero-shot's class is not theirs.
        """
        slots, classes = self._labelled_slots, self._classes
        if len(slots) > _MOST_ASKED:
            some = np.argpartition(self._window.keys[slots], _MOST_ASKED)[:_MOST_ASKED]
            slots, classes = slots[some], classes[some]
        zero_shot = self._window.zero_shot[slots]
        answer = self._backend.get(model.product(self._window.vectors[slots], zero_shot))
        top, named = self._backend.get(zero_shot).argmax(axis=1), answer.argmax(axis=1)
        moved = np.flatnonzero(named != top)
        lost = (self._weights[slots] * ((top == classes).astype(np.float64) - (named == classes)))[moved]
        sure = 1.0 - answer[moved, top[moved]]
        return np.stack([histogram(sure, lost), histogram(sure, np.square(lost))])

    def evidence(
        self,
        belief: Array,
        shifted: tuple[NDArray[np.float64], NDArray[np.float64]],
        spread: tuple[float, float] | None,
    ) -> Evidence:
        """What the window says under a belief, float32 (n, C), about whose its events are.

        Args:
            belief: rows sum to 1.
            shifted: from `shifted`.
            spread: as an earlier evidence of the same window has it; None: of this belief.
        """
        backend, weights = self._backend, self._weights
        free = np.where(self._labelled, 0.0, weights)  # (n,)
        mine = belief * backend.put(free.astype(np.float32))[:, None]
        mass = backend.get(backend.xp.sum(mine, axis=0)).astype(np.float64)  # (C,)
        classes = np.flatnonzero(mass >= LEAST_MASS)
        if len(classes) < len(mass):
            mine = mine[:, classes]
        sums = backend.get(mine.T @ self._window.vectors).astype(np.float64)  # (m, d)
        labelled = backend.get(belief)[self._labelled_slots]
        vectors = backend.get(backend.put(weights.astype(np.float32)) @ self._window.vectors)
        taught = backend.get(backend.xp.sum(belief[:, self._taught], axis=1))
        surest = backend.xp.max(self._window.zero_shot, axis=0)
        return Evidence(
            events=len(self._window),
            weight=float(weights.sum()),
            labelled=float(weights[self._labelled].sum()),
            total=vectors.astype(np.float64),
            given=shifted[0],
            explained=shifted[1],
            mass=mass,
            mass_explained=self._explained(labelled, mass, float(free.sum())),
            spread=spread or _spread(mass[classes], sums),
            classes=classes,
            sums=sums,
            sure=histogram(backend.get(backend.xp.max(self._window.zero_shot, axis=1)), weights * taught),
            surest=backend.get(surest).astype(np.float64),
        )

    def _explained(self, belief: NDArray[np.float32], mass: NDArray[np.float64], weight: float) -> NDArray[np.float64]:
        """What of the traffic's mass (C,) labelled events explain: what a class's own give to others.

        Labelled events are taken for a sample of all, but a labelled class explains at most twice its own traffic:
        labels of one class are no sample of all traffic. And a class with one label, or with copies of one, is believed
        by half: a single wrong label would otherwise explain a whole class away.

        Args:
            belief: float32 (l, C), about the labelled events, by class.
            mass: of the traffic.
            weight: the mass's sum.
        """
        if not len(self._known):
            return np.zeros(len(mass))
        weights = self._weights[self._labelled_slots]
        given = np.add.reduceat(belief * weights[:, None], self._starts, axis=0)  # (known, C)
        most = weight / (float(weights.sum()) + WORTH)
        own = OWN_TRAFFIC * mass[self._known] / (given[np.arange(len(given)), self._known] + FEW)
        labelled = np.add.reduceat(weights, self._starts)  # (known,)
        return np.asarray(np.minimum(most, own) * labelled / (labelled + 1.0) @ given)


def _spread(mass: NDArray[np.float64], sums: NDArray[np.float64]) -> tuple[float, float]:
    """Σ N² / (N − 1) · (1 − |T / N|²) and Σ N, over classes of at least two events' worth."""
    several = mass >= 2.0
    n, sums = mass[several], sums[several]
    within = 1.0 - np.square(sums).sum(axis=1) / np.square(n)
    return max(float(np.square(n) / (n - 1.0) @ within), 0.0), float(n.sum())
