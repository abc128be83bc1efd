"""Names classes of the vocabulary that turn up in the traffic although nobody labelled them: dormant → present.

The evidence is the adapter's own (`adapter/class_presence.py`): n e_c, the events' worth of probability that the window
puts on c beyond what its labelled events, which are known not to be c, lead to expect. The labelled events are a sample
of the window, so where c is only what other classes are mistaken for, n e_c errs around zero with the variance

    s_c² = n² (1/n_l − 1/n) q_c ,      q_c = E[r_c²] over events known not to be c ,

n_l labelled events among n. A class is named when n e_c ≥ T + z s_c and at least three different events say so. q_c is
the larger of the window's and the long-run value: a rare confusion may be missing among one window's labels and still
come in clusters. T guards against what labels cannot tell, confusions too rare to be among them; there is no proof for
it, only the study in benchmarks/drift_study.py. Labels that are not drawn at random (a person labels what looks odd)
weaken the argument.
"""

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.class_presence import PresenceEvidence
from stream_adapter.drift.detector import Signal, State, pack, unpack

_MEMORY = 20_000  # events that the long-run confusion is averaged over


class NewClassNamer:
    """Names each class once, and again only after it was gone or had anchors in between.

    Memory: two numbers per class.

    Args:
        n_classes: C.
        least_excess: T, events' worth of evidence.
        deviations: z.
        min_witnesses: different events that must say so; one picture that is sent again and again is no class.
        min_labelled: labelled events in the window without which nothing is named; with few of them nothing is known
            about confusions.

    Example:
        >>> namer = NewClassNamer(n_classes=2)
        >>> evidence = PresenceEvidence(
        ...     events=2_000, labelled_events=600, shares=np.array([0.99, 0.01]),
        ...     excess=np.array([0.0, 12.0]), confusion=np.array([0.9, 0.0004]),
        ...     witnesses=np.array([500, 9]),
        ... )
        >>> [(signal.subject, signal.details["excess"]) for signal in namer.observe(evidence, np.array([True, False]))]
        [(1, 12.0)]
        >>> namer.observe(evidence, np.array([True, False]))
        []
    """

    def __init__(
        self,
        n_classes: int,
        least_excess: float = 3.5,
        deviations: float = 4.0,
        min_witnesses: int = 3,
        min_labelled: int = 100,
    ) -> None:
        self._least_excess = least_excess
        self._deviations = deviations
        self._min_witnesses = min_witnesses
        self._min_labelled = min_labelled
        self._confusion = np.zeros(n_classes)
        self._weight = 0.0  # events behind the long-run confusion
        self._named = np.zeros(n_classes, dtype=np.bool_)

    @property
    def named(self) -> NDArray[np.bool_]:
        """Bool (C,): the classes that were named and are still there without anchors."""
        return self._named.copy()

    def enough(self, evidence: PresenceEvidence) -> bool:
        """Whether there are labelled events enough to tell a class from a confusion."""
        return evidence.labelled_events >= self._min_labelled

    def observe(
        self, evidence: PresenceEvidence, has_anchor: NDArray[np.bool_], new_events: int | None = None
    ) -> list[Signal]:
        """Look at the window as of now.

        Args:
            evidence: what the window says.
            has_anchor: bool (C,); such classes are not news.
            new_events: events since the last look, by default the window's.

        Returns:
            A signal per class that turned up; `subject` is the class.
        """
        if not self.enough(evidence):
            return []
        confusion = np.maximum(evidence.confusion, self._confusion)
        n, n_labelled = evidence.events, evidence.labelled_events
        noise = np.sqrt(n * (n / n_labelled - 1.0) * confusion)  # s_c
        enough = evidence.excess >= self._least_excess + self._deviations * noise
        there = enough & (evidence.witnesses >= self._min_witnesses) & ~has_anchor
        self._remember(evidence, n if new_events is None else new_events)
        fresh = np.flatnonzero(there & ~self._named)
        # Named until the evidence is down to half: a class at the threshold must not be named at every look.
        still = self._named & ~has_anchor & (evidence.excess >= self._least_excess / 2.0)
        self._named = still | there
        return [
            Signal(
                row=-1,
                observed=n,
                subject=int(index),
                details={
                    "excess": float(evidence.excess[index]),
                    "noise": float(noise[index]),
                    "share": float(evidence.shares[index]),
                    "witnesses": float(evidence.witnesses[index]),
                    "labels": float(n_labelled),
                },
            )
            for index in fresh
        ]

    def state(self) -> State:
        """Everything needed to go on."""
        return {"confusion": pack(self._confusion), "weight": self._weight, "named": pack(self._named)}

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self._confusion, self._named = unpack(state["confusion"]), unpack(state["named"])
        self._weight = float(state["weight"])

    def _remember(self, evidence: PresenceEvidence, new_events: int) -> None:
        self._weight = min(self._weight + new_events, _MEMORY)
        if self._weight:
            self._confusion += (evidence.confusion - self._confusion) * min(new_events / self._weight, 1.0)
