"""Which classes are in the traffic, as the traffic itself tells: labelled, present or dormant.

Mistakes go to dormant names and harm is done to present ones; labels alone cannot tell the two apart, unlabelled
traffic can. Over a window of zero-shot probabilities p0:

- shares of the traffic, by expectation maximisation for shifted priors (Saerens, Latinne, Decaestecker, *Adjusting the
  outputs of a classifier to new a priori probabilities*, Neural Computation 14, 2002): r_ic ∝ p0_ic π_c,
  π_c = (Σ_i r_ic + 1) / (n + C);
- evidence for a class without anchors: e_c = max(0, mean of r_c − mean of r_c over the labelled events). What the
  labelled events put on such a class is known to be false, so only the excess speaks for it.

What follows from the evidence is in `presence_evidence.py`. Where the classes' events lie is in `traffic_means.py`.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.presence_evidence import ClassKind, PresenceEvidence
from stream_adapter.adapter.traffic_means import TrafficMeans
from stream_adapter.adapter.traffic_window import TrafficWindow

__all__ = ["ClassKind", "ClassPresence", "PresenceEvidence"]


class ClassPresence:
    """The window of traffic, and what it says. Memory: window · (C + d) float32.

    Args:
        n_classes: C.
        dimension: d.
        window: events remembered.
        rounds: of expectation maximisation.

    Example:
        >>> presence = ClassPresence(n_classes=3, dimension=2, window=100)
        >>> beliefs = np.array([[0.9, 0.05, 0.05]] * 6 + [[0.05, 0.05, 0.9]] * 4, dtype=np.float32)
        >>> vectors = np.array([[1, 0]] * 6 + [[0, 1]] * 4, dtype=np.float32)
        >>> presence.observe(TrafficWindow.of(beliefs, np.arange(10) < 3, beliefs, vectors))
        >>> evidence = presence.evidence()
        >>> evidence.kinds(has_anchor=np.array([True, False, False]), kappa=0.1)
        ['labelled', 'dormant', 'present']
        >>> [round(float(events), 1) for events in evidence.excess]
        [0.0, 0.0, 3.5]
    """

    def __init__(self, n_classes: int, dimension: int, window: int = 2_000, rounds: int = 20) -> None:
        if n_classes < 1 or window < 1 or rounds < 1:
            raise ValueError(f"needs classes, a window and rounds, got {n_classes}, {window} and {rounds}")
        self._ring = TrafficWindow.zeros(window, n_classes, dimension)
        self._seen = 0
        self._rounds = rounds

    @property
    def seen(self) -> int:
        """Events observed since the start; the next one gets this number."""
        return self._seen

    def observe(self, events: TrafficWindow) -> None:
        """Take in events, in order."""
        size, count = len(self._ring.labelled), len(events.labelled)
        places = (self._seen + np.arange(count))[-size:] % size  # of a larger batch the newest remain
        for column, new in zip(self._ring, events, strict=True):
            column[places] = new[-size:]
        self._seen += count

    def mark_labelled(self, numbers: NDArray[np.int64]) -> None:
        """Labels that came late: the events' numbers as counted by `seen`; those that left the window are ignored."""
        size = len(self._ring.labelled)
        held = numbers[(numbers < self._seen) & (numbers >= self._seen - size)]
        self._ring.labelled[held % size] = True

    def evidence(self) -> PresenceEvidence:
        """What the window says now; a function of the window alone. Costs 2 · rounds · n · C multiplications."""
        events = min(self._seen, len(self._ring.labelled))
        window = self._ring.at(slice(events))  # the order does not matter
        beliefs = window.zero_shot  # (n, C)
        n_classes = beliefs.shape[1]
        shares = np.full(n_classes, 1.0 / n_classes, dtype=np.float32)
        before = shares
        for _ in range(self._rounds):
            before = shares
            # Σ_i r_ic = π_c Σ_i p0_ic / (p0_i · π): two products instead of n × C responsibilities.
            shares = ((before * (_weights(beliefs, before) @ beliefs) + 1.0) / (events + n_classes)).astype(np.float32)
        labelled = beliefs[window.labelled]  # (n_labelled, C)
        responsibilities = labelled * (before * _weights(labelled, before)[:, None])
        scale = events / max(len(labelled), 1)
        known_false = responsibilities.sum(axis=0, dtype=np.float64) * scale  # (C,)
        confusion = np.square(responsibilities, dtype=np.float64).sum(axis=0) / max(len(labelled), 1)
        of_all = shares.astype(np.float64) * (events + n_classes) - 1.0
        excess = np.maximum(of_all - known_false, 0.0)
        witnesses = np.zeros(n_classes, dtype=np.int64)
        weights = _weights(beliefs, before)
        for index in np.flatnonzero(excess >= 1.0):
            of_class = beliefs[:, index]
            convinced = of_class * before[index] * weights >= 0.5
            witnesses[index] = len(np.unique(of_class[convinced]))  # the same picture has the same probability
        means = TrafficMeans.of(window.vectors, window.adapted, window.believed, window.labelled, n_classes)
        return PresenceEvidence(events, len(labelled), shares.astype(np.float64), excess, confusion, witnesses, means)

    def window(self) -> TrafficWindow:
        """A copy of the window, oldest event first."""
        size = len(self._ring.labelled)
        events = min(self._seen, size)
        return self._ring.at((self._seen - events + np.arange(events)) % size)

    def restore(self, window: TrafficWindow) -> None:
        """Start over with a window that `window` handed out.

        Raises:
            ValueError: its arrays do not fit this vocabulary, the encoder or each other.
        """
        window.check(self._ring.zero_shot.shape[1], self._ring.vectors.shape[1])
        self._seen = 0
        self.observe(window)


def _weights(beliefs: NDArray[np.float32], shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (p0_i · π) for each event, float32 (n,)."""
    return np.asarray(1.0 / np.maximum(beliefs @ shares, np.finfo(np.float32).tiny), dtype=np.float32)
