"""Which classes are in the traffic, as the traffic itself tells: labelled, present or dormant.

Mistakes go to dormant names and harm is done to present ones; labels alone cannot tell the two apart, unlabelled
traffic can. Over a window of zero-shot probabilities p0:

- shares of the traffic, by expectation maximisation for shifted priors (Saerens, Latinne, Decaestecker, *Adjusting the
  outputs of a classifier to new a priori probabilities*, Neural Computation 14, 2002): r_ic ∝ p0_ic π_c,
  π_c = (Σ_i r_ic + 1) / (n + C);
- evidence for a class without anchors: e_c = max(0, mean of r_c − mean of r_c over the labelled events). What the
  labelled events put on such a class is known to be false, so only the excess speaks for it.

What follows from the evidence is in `presence_evidence.py`.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.presence_evidence import ClassKind, PresenceEvidence

__all__ = ["ClassKind", "ClassPresence", "PresenceEvidence"]


class ClassPresence:
    """The window of zero-shot probabilities, and what it says. Memory: window · C float32.

    Args:
        n_classes: C.
        window: events remembered.
        rounds: of expectation maximisation.

    Example:
        >>> presence = ClassPresence(n_classes=3, window=100)
        >>> beliefs = np.array([[0.9, 0.05, 0.05]] * 6 + [[0.05, 0.05, 0.9]] * 4, dtype=np.float32)
        >>> presence.observe(beliefs, labelled=np.arange(10) < 3)
        >>> evidence = presence.evidence()
        >>> evidence.kinds(has_anchor=np.array([True, False, False]), kappa=0.1)
        ['labelled', 'dormant', 'present']
        >>> [round(float(events), 1) for events in evidence.excess]
        [0.0, 0.0, 3.5]
    """

    def __init__(self, n_classes: int, window: int = 2_000, rounds: int = 20) -> None:
        if n_classes < 1 or window < 1 or rounds < 1:
            raise ValueError(f"needs classes, a window and rounds, got {n_classes}, {window} and {rounds}")
        self._beliefs = np.zeros((window, n_classes), dtype=np.float32)
        self._labelled = np.zeros(window, dtype=np.bool_)
        self._seen = 0
        self._rounds = rounds

    @property
    def seen(self) -> int:
        """Events observed since the start; the next one gets this number."""
        return self._seen

    def observe(self, zero_shot: NDArray[np.float32], labelled: NDArray[np.bool_]) -> None:
        """Take in events, in order.

        Args:
            zero_shot: float32 (B, C), probabilities.
            labelled: bool (B,), whether the event's label is known.
        """
        window = len(self._beliefs)
        slots = (self._seen + np.arange(len(zero_shot)))[-window:] % window  # of a larger batch the newest remain
        self._beliefs[slots] = zero_shot[-window:]
        self._labelled[slots] = labelled[-window:]
        self._seen += len(zero_shot)

    def mark_labelled(self, numbers: NDArray[np.int64]) -> None:
        """Labels that came late: the events' numbers as counted by `seen`; those that left the window are ignored."""
        held = numbers[(numbers < self._seen) & (numbers >= self._seen - len(self._beliefs))]
        self._labelled[held % len(self._beliefs)] = True

    def evidence(self) -> PresenceEvidence:
        """What the window says now; a function of the window alone. Costs 2 · rounds · n · C multiplications."""
        events = min(self._seen, len(self._beliefs))
        beliefs = self._beliefs[:events]  # (n, C); the order does not matter
        n_classes = beliefs.shape[1]
        shares = np.full(n_classes, 1.0 / n_classes, dtype=np.float32)
        before = shares
        for _ in range(self._rounds):
            before = shares
            # Σ_i r_ic = π_c Σ_i p0_ic / (p0_i · π): two products instead of n × C responsibilities.
            shares = ((before * (_weights(beliefs, before) @ beliefs) + 1.0) / (events + n_classes)).astype(np.float32)
        labelled = beliefs[self._labelled[:events]]  # (n_labelled, C)
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
        return PresenceEvidence(events, len(labelled), shares.astype(np.float64), excess, confusion, witnesses)

    def arrays(self) -> dict[str, NDArray[np.float32] | NDArray[np.bool_]]:
        """The window, oldest event first, for a snapshot."""
        events = min(self._seen, len(self._beliefs))
        order = (self._seen - events + np.arange(events)) % len(self._beliefs)
        return {"beliefs": self._beliefs[order], "labelled": self._labelled[order]}

    def restore(self, beliefs: NDArray[np.float32], labelled: NDArray[np.bool_]) -> None:
        """Start over with a window that `arrays` handed out.

        Raises:
            ValueError: the arrays do not fit this vocabulary or each other.
        """
        expected = (len(labelled), self._beliefs.shape[1])
        if beliefs.shape != expected:
            raise ValueError(f"beliefs have shape {beliefs.shape}, expected {expected}: one row for each of `labelled`")
        self._seen = 0
        self.observe(beliefs, labelled)


def _weights(beliefs: NDArray[np.float32], shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (p0_i · π) for each event, float32 (n,)."""
    return np.asarray(1.0 / np.maximum(beliefs @ shares, np.finfo(np.float32).tiny), dtype=np.float32)
