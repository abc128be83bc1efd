"""What the monitor tells: alarms with the figures behind them, and the state of every question."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stream_adapter.drift.confidence_sequence import Interval

AlarmKind = Literal[
    "harm", "accuracy", "confidence", "embedding", "label mix", "new class", "novelty", "guard lowered", "guard raised"
]


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """Something was found, or done about it.

    Attributes:
        kind: the question that was answered; "guard …" for what was done.
        group: what it is about: "overall", a class or group name, "unseen", "seen", "near", "far".
        detector: the algorithm that found it.
        observed: events or labels that the finding rests on.
        since: how many of them ago it began, at a guess; 0 where the detector cannot tell.
        e_value: strength of the evidence where the detector has one.
        interval: where the quantity in question lies, where there is one.
        evidence: further figures.
        event_ids: a sample of events behind it, newest last.
    """

    kind: AlarmKind
    group: str
    detector: str
    observed: int
    since: int = 0
    e_value: float | None = None
    interval: Interval | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)
    event_ids: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON values, for the wire and the log."""
        bounds = self.interval
        return {
            "kind": self.kind,
            "group": self.group,
            "detector": self.detector,
            "observed": self.observed,
            "since": self.since,
            "e_value": self.e_value,
            "interval": bounds and {"low": bounds.low, "high": bounds.high, "confidence": bounds.confidence},
            "evidence": dict(self.evidence),
            "event_ids": list(self.event_ids),
        }


@dataclass(frozen=True, slots=True)
class DriftStatus:
    """Where a question stands.

    Attributes:
        kind: the question.
        group: what it is about.
        observed: events or labels that the answer rests on.
        enough: whether they suffice; where not, there is no number, and silence means nothing.
        value: the figure in question; None where there is none or the evidence does not suffice.
        interval: its confidence sequence, where there is one.
    """

    kind: AlarmKind
    group: str
    observed: int
    enough: bool
    value: float | None = None
    interval: Interval | None = None
