"""Evidence of which classes are in the traffic: what it means, how workers add theirs up, how it travels.

A class is labelled (it has anchors), present (no anchors, but the traffic shows it) or dormant (neither). With n events
in the window, C classes and n e_c events' worth of evidence for class c, the aliveness of a class without anchors is

    a_c = min(1, (n e_c + 1) / (κ (n + C)))

and 1 for labelled classes: with κ = 0.002, about four events' worth in 2,000 make a class present.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.traffic_means import TrafficMeans

ClassKind = Literal["labelled", "present", "dormant"]
_KINDS: tuple[ClassKind, ...] = ("labelled", "present", "dormant")

# On the wire, classes that fall below all three are left out. A twentieth of an event changes nothing.
_LEAST_EXCESS = 0.05
_LEAST_CONFUSION = 1e-6
_LEAST_SHARE_EVENTS = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class PresenceEvidence:
    """What a window says about the classes; evidence of several workers adds up.

    Attributes:
        events: n, events in the window.
        labelled_events: how many of them have a label.
        shares: float64 (C,), π: each class's estimated share of the traffic.
        excess: float64 (C,), n e_c: events' worth of evidence that the class is there.
        confusion: float64 (C,), mean of r_c² over the labelled events: how often they are taken for c, wrongly where c
            has no anchors.
        witnesses: int64 (C,), different events that say c (r_c ≥ ½); the same picture sent again is one witness.
            Counted only where there is an event's worth of evidence, 0 elsewhere.
        means: where the unlabelled events of each class lie.
    """

    events: int
    labelled_events: int
    shares: NDArray[np.float64]
    excess: NDArray[np.float64]
    confusion: NDArray[np.float64]
    witnesses: NDArray[np.int64]
    means: TrafficMeans = field(default_factory=TrafficMeans.none)

    @classmethod
    def none(cls, n_classes: int) -> "PresenceEvidence":
        """Nothing seen."""
        zero = np.zeros(n_classes)
        return cls(0, 0, zero, zero, zero, np.zeros(n_classes, np.int64))

    def __add__(self, other: "PresenceEvidence") -> "PresenceEvidence":
        """Two windows' evidence together."""
        events = self.events + other.events
        weight = self.events / events if events else 0.5
        labelled_events = self.labelled_events + other.labelled_events
        labelled_weight = self.labelled_events / labelled_events if labelled_events else 0.5
        return PresenceEvidence(
            events,
            labelled_events,
            weight * self.shares + (1.0 - weight) * other.shares,
            self.excess + other.excess,
            labelled_weight * self.confusion + (1.0 - labelled_weight) * other.confusion,
            self.witnesses + other.witnesses,
            self.means + other.means,
        )

    def aliveness(self, has_anchor: NDArray[np.bool_], kappa: float = 0.002) -> NDArray[np.float64]:
        """How alive each class is: float64 (C,) in (0, 1], 1 for labelled and for present classes.

        Args:
            has_anchor: bool (C,), the labelled classes.
            kappa: κ, the share of the traffic from which on a class counts as present.
        """
        alive = np.minimum(1.0, (self.excess + 1.0) / (kappa * (self.events + len(self.excess))))
        return np.where(has_anchor, 1.0, alive)

    def kinds(self, has_anchor: NDArray[np.bool_], kappa: float = 0.002) -> list[ClassKind]:
        """What each of the C classes is taken for; without any events all but the labelled ones are dormant."""
        present = (self.aliveness(has_anchor, kappa) >= 1.0) & (self.events > 0)
        return [_KINDS[index] for index in np.where(has_anchor, 0, np.where(present, 1, 2)).tolist()]

    def rounded(self) -> "PresenceEvidence":
        """What survives the wire: decimals that mean nothing and classes without evidence are dropped."""
        excess = np.round(self.excess, 2)
        told = (
            (excess >= _LEAST_EXCESS)
            | (self.confusion >= _LEAST_CONFUSION)
            | (self.shares * self.events >= _LEAST_SHARE_EVENTS)
        )
        return PresenceEvidence(
            self.events,
            self.labelled_events,
            np.where(told, np.round(self.shares, 6), 0.0),
            np.where(told, excess, 0.0),
            np.where(told, np.round(self.confusion, 8), 0.0),
            np.where(told, self.witnesses, 0),
            self.means.rounded(),
        )

    def to_json(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Its wire form, by class name: `classes` maps a name to [share, excess, confusion, witnesses].

        `means` are as `TrafficMeans.to_json` gives them. Exact for what `rounded` gives.
        """
        told = np.flatnonzero((self.shares > 0) | (self.excess > 0) | (self.confusion > 0) | (self.witnesses > 0))
        columns = (self.shares[told], self.excess[told], self.confusion[told], self.witnesses[told])
        rows = zip(told.tolist(), *(column.tolist() for column in columns), strict=True)
        return {
            "events": self.events,
            "labelled_events": self.labelled_events,
            "classes": {class_names[index]: figures for index, *figures in rows},
            "means": self.means.to_json(class_names),
        }

    @classmethod
    def from_json(cls, document: object, class_names: Sequence[str], dimension: int) -> "PresenceEvidence":
        """Read a wire form; classes that this vocabulary lacks are dropped, those that the record lacks have nothing.

        Args:
            document: parsed JSON.
            class_names: C names.
            dimension: d, of the encoder's vectors.

        Raises:
            ValueError: it is no such document; the message names what is wrong.
        """
        if not isinstance(document, Mapping):
            raise ValueError(f"class presence must be an object, found {type(document).__name__}")
        events, labelled = _count(document, "events"), _count(document, "labelled_events")
        if labelled > events:
            raise ValueError(f"class presence: {labelled} of {events} events have a label")
        classes = document.get("classes")
        if not isinstance(classes, Mapping):
            raise ValueError(f"class presence: `classes` must be an object, found {classes!r:.80}")
        index_of = {name: index for index, name in enumerate(class_names)}
        figures = np.zeros((4, len(class_names)))
        for name, row in classes.items():
            checked = _figures(name, row)
            if name in index_of:
                figures[:, index_of[name]] = checked
        means = TrafficMeans.from_json(document.get("means", {}), class_names, dimension)
        return cls(events, labelled, figures[0], figures[1], figures[2], figures[3].astype(np.int64), means)

    @property
    def digest(self) -> str:
        """Hex digest of the figures."""
        digest = hashlib.blake2b(repr((self.events, self.labelled_events)).encode(), digest_size=8)
        for column in (self.shares, self.excess, self.confusion, self.witnesses, *self.means.columns()):
            digest.update(column.tobytes())
        return digest.hexdigest()


class HeardEvidence:
    """The newest evidence of each worker slot, and their sum; the order of hearing does not matter.

    Args:
        n_classes: C.
    """

    def __init__(self, n_classes: int) -> None:
        self._by_slot: dict[str, PresenceEvidence] = {}
        self._total = PresenceEvidence.none(n_classes)
        self._nothing = self._total

    @property
    def total(self) -> PresenceEvidence:
        """The sum over the slots."""
        return self._total

    def hear(self, slot: str, evidence: PresenceEvidence | None) -> bool:
        """Take a slot's newest evidence, None to forget the slot; whether the sum has changed.

        Raises:
            ValueError: evidence about another number of classes.
        """
        if evidence is None:
            self._by_slot.pop(slot, None)
        elif len(evidence.excess) != len(self._nothing.excess):
            raise ValueError(
                f"slot {slot}: evidence about {len(evidence.excess)} classes, expected {len(self._nothing.excess)}; "
                "read it with this vocabulary's class names"
            )
        else:
            self._by_slot[slot] = evidence
        before = self._total.digest
        # By slot: a floating-point sum depends on its order.
        self._total = reduce(add, (self._by_slot[name] for name in sorted(self._by_slot)), self._nothing)
        return self._total.digest != before


def _count(document: Mapping[Any, Any], key: str) -> int:
    value = document.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError(f"class presence: `{key}` must be a count, found {value!r:.80}")
    return value


def _figures(name: object, row: object) -> list[float]:
    numbers = isinstance(row, list) and len(row) == 4 and all(type(x) in (int, float) and 0 <= x < 2**53 for x in row)
    if not numbers or not isinstance(row, list) or row[0] > 1 or row[2] > 1:
        raise ValueError(
            f"class presence: {name!r:.80} must have [share, excess, confusion, witnesses], found {row!r:.80}"
        )
    return [float(x) for x in row[:3]] + [float(int(row[3]))]
