"""What the monitor tells: alarms with the figures behind them, and the state of every question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from stream_adapter.drift.confidence_sequence import Interval
from stream_adapter.drift.detector import ALL, Signal

AlarmKind = Literal[
    "harm",
    "accuracy",
    "confidence",
    "embedding",
    "label_mix",
    "new_class",
    "novelty",
    "guard",
    "protection",
    "at_risk",
    "status",
]
Action = Literal["none", "lowered", "raised"]

OVERALL = "overall"
LISTED = 20
"""Event ids in an alarm at most."""


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """Something was found, done about it, or, of kind "status", is to be plotted.

    Attributes:
        kind: the question that was answered; "guard" and "protection" for what was done.
        group: what it is about: "overall", a class or group name, "unseen", "seen", "near", "far", "traffic".
        observed: events or labels that the finding rests on.
        labels: how many labels it rests on; 0 where it needs none.
        enough: whether those suffice; where not, `evidence` holds no number that needs labels, and `interval` is None.
        since: how many of the observed ago it began, at a guess; 0 where the detector cannot tell.
        e_value: strength of the evidence where the detector has one.
        interval: where the quantity in question lies, where there is one.
        evidence: further figures.
        event_ids: a sample of events behind it, newest last, at most 20.
        action: what was done to a damping or to the protection; "none" for findings, and in mode "alarm_only".
    """

    kind: AlarmKind
    group: str
    detector: str
    observed: int
    labels: int = 0
    enough: bool = True
    since: int = 0
    e_value: float | None = None
    interval: Interval | None = None
    evidence: Mapping[str, float] = field(default_factory=dict)
    event_ids: tuple[str, ...] = ()
    action: Action = "none"

    @classmethod
    def of(
        cls, signal: Signal, kind: AlarmKind, group: str, detector: str, event_ids: Sequence[str], labels: int = 0
    ) -> "DriftAlarm":
        """What a detector found; of the events, oldest first, the newest are named."""
        return cls(
            kind,
            group,
            detector,
            observed=signal.observed,
            labels=labels,
            since=signal.since,
            e_value=signal.e_value,
            interval=signal.interval,
            evidence=signal.details,
            event_ids=tuple(event_ids[-LISTED:]),
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What was done to a damping or to the protection, and why.

    Attributes:
        action: lowered, or raised a step.
        before: the damping, 0..1, or the factor on the protection, before.
        after: the same after.
        labels: labels that it rests on.
        difference: accuracy minus zero-shot's on them, of what is damped or protected; as the alarm saw it, or since.
        row: row of the batch whose label completed it.
        subject: the class, or `ALL`.
        interval: where the difference lies, where that was asked.
    """

    action: Action
    before: float
    after: float
    labels: int
    difference: float
    row: int
    subject: int = ALL
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class DriftStatus:
    """Where a question stands, for metrics.

    Attributes:
        group: what it is about; a fixed set: "overall", "unseen", …, configured groups and canary classes.
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
