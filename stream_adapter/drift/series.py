"""Mean of one series of values in [0, 1], watched by ADWIN."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from stream_adapter.drift.adwin import Adwin
from stream_adapter.drift.alarm import LISTED, AlarmKind, DriftAlarm, DriftStatus
from stream_adapter.drift.detector import State


class WatchedSeries:
    """Zero-shot accuracy or confidence of a group of events.

    Args:
        kind: the question.
        group: whose values they are.
        delta: δ of ADWIN.
        of_labels: whether each value rests on a label.
    """

    def __init__(self, kind: AlarmKind, group: str, delta: float, *, of_labels: bool) -> None:
        self._kind = kind
        self._group = group
        self._of_labels = of_labels
        self._adwin = Adwin(delta)

    def observe(self, values: NDArray[Any], event_ids: Sequence[str]) -> list[DriftAlarm]:
        """Take in values, float (B,), of the events `event_ids`."""
        return [
            DriftAlarm(
                self._kind,
                self._group,
                "Adwin",
                observed=signal.observed,
                labels=signal.observed if self._of_labels else 0,
                since=signal.since,
                evidence=signal.details,
                event_ids=tuple(event_ids[: signal.row + 1][-LISTED:]),
            )
            for signal in self._adwin.observe(values)
        ]

    def status(self) -> DriftStatus:
        """The mean since the last change."""
        enough = self._adwin.enough
        mean = float(self._adwin.mean) if enough else None
        return DriftStatus(self._kind, self._group, self._adwin.observed, enough, mean)

    def state(self) -> State:
        """Everything needed to go on."""
        return self._adwin.state()

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self._adwin.restore(state)
