"""The drift monitor looks on: what it finds becomes drift events, log lines and metrics.

Each worker watches the events of its own partitions. It gives no orders: the guard that holds answers back belongs to
the monitor and is around the learner, see `drift.guarded`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from stream_adapter.adapter.prediction import Prediction
from stream_adapter.drift.alarm import DriftAlarm
from stream_adapter.drift.guard import Guard
from stream_adapter.drift.monitor import DriftMonitor
from stream_adapter.drift.protecting import ProtectionLevel
from stream_adapter.drift.settings import DriftSettings
from stream_adapter.events import DriftEvent, ImageEvent
from stream_adapter.journey.vocabulary import ClassesNow
from stream_adapter.metrics import Metrics
from stream_adapter.transport.base import OutRecord

log = structlog.get_logger(__name__)

_SHOWN_EVERY_S = 1.0


def log_alarm(alarm: DriftAlarm) -> None:
    """A finding or an action as a line in the log."""
    interval = alarm.interval
    log.warning(
        "drift" if alarm.kind != "guard" else "guard",
        kind=alarm.kind,
        group=alarm.group,
        action=alarm.action,
        observed=alarm.observed,
        labels=alarm.labels,
        interval=None if interval is None else [round(interval.low, 4), round(interval.high, 4)],
        **{name: round(value, 4) for name, value in alarm.evidence.items()},
    )


class Watching:
    """Shows the monitor each batch and reports; belongs to the thread that owns the adapter.

    Args:
        monitor: makes what judges.
        source: CloudEvents source of the drift events: which worker found it.
        status_every_s: seconds between two `status` events.
        metrics: alarms, figures, damping.
        notify: called with every finding and action, for people.
    """

    def __init__(
        self,
        monitor: Callable[[], DriftMonitor],
        *,
        source: str,
        status_every_s: float,
        metrics: Metrics,
        notify: Callable[[DriftAlarm], None] = log_alarm,
    ) -> None:
        self._new_monitor = monitor
        self._monitor = monitor()
        self._source = source
        self._status_every_s = status_every_s
        self._metrics = metrics
        self._notify = notify
        self._newest_ms = 0
        self._news = False
        self._shown_s = float("-inf")
        self._status_due_s: float | None = None

    def set_classes(
        self, monitor: Callable[[], DriftMonitor], now: ClassesNow, settings: DriftSettings, former: NDArray[np.int64]
    ) -> None:
        """Go over to other classes.

        Args:
            monitor: makes what judges, from nothing.
            now: C classes.
            settings: with groups of these classes alone.
            former: int64 (C,), which of the former classes each one is; −1 where it is new.
        """
        self._new_monitor = monitor
        self._monitor.set_classes(now.names, now.canary, settings, former)

    @property
    def guard(self) -> Guard:
        """The guard that is in force."""
        return self._monitor.guard

    @property
    def protection(self) -> ProtectionLevel:
        """How much of the protection should be in force."""
        return self._monitor.protection

    def observe(
        self,
        events: Sequence[ImageEvent],
        vectors: NDArray[np.float32],
        prediction: Prediction,
        labels: NDArray[np.int64],
    ) -> list[OutRecord]:
        """Show the monitor a batch, before it is learned.

        Args:
            events: B events.
            vectors: float32 (B, d), unit.
            prediction: what was said about them.
            labels: int64 (B,), class indices of labels that are a test; −1 for all others.

        Returns:
            What was found and done, for the drift topic.
        """
        if not events:
            return []
        nearest = prediction.neighbour_cosines[:, :1]  # (B, 1), or (B, 0) without neighbours
        alarms = self._monitor.observe(
            vectors=vectors,
            zero_shot=prediction.zero_shot,
            adapted=prediction.undamped,
            has_anchor=prediction.has_anchor,
            presence=prediction.standing.presence,
            novelty=prediction.novelty,
            nearest_cosine=nearest.max(axis=1, initial=-np.inf).astype(np.float32),
            event_ids=[event.id for event in events],
            labels=labels,
        )
        self._newest_ms = max(self._newest_ms, *(event.time_ms for event in events))
        return self._found(alarms)

    def observe_labels(
        self,
        labels: NDArray[np.int64],
        zero_shot: NDArray[np.int64],
        adapted: NDArray[np.int64],
        undamped: NDArray[np.int64],
        has_anchor: NDArray[np.bool_],
        event_ids: Sequence[str],
    ) -> list[OutRecord]:
        """Show the monitor labels of events that it saw without them; arguments as `LabelMonitor.observe`."""
        return self._found(self._monitor.observe_labels(labels, zero_shot, adapted, undamped, has_anchor, event_ids))

    def report(self, now_s: float) -> list[OutRecord]:
        """Show where every question stands, and what the drift topic is to hold of it now; mostly nothing.

        Args:
            now_s: monotonic seconds.
        """
        if self._news and now_s - self._shown_s >= _SHOWN_EVERY_S:
            self._shown_s, self._news = now_s, False
            self._metrics.set_drift(self._monitor.status(), self.guard.damping)
        if self._status_due_s is None:
            self._status_due_s = now_s + self._status_every_s
        if now_s < self._status_due_s or not self._newest_ms:
            return []
        self._status_due_s = now_s + self._status_every_s
        return self._records(self._monitor.report())

    def state(self) -> dict[str, Any]:
        """The monitor's state, JSON, for a snapshot."""
        return dict(self._monitor.state())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave; where it does not fit, begin anew and say so."""
        try:
            self._monitor.restore(dict(state))
        except ValueError as error:
            log.warning("the drift monitor begins anew", reason=str(error))
            self._monitor = self._new_monitor()

    def _found(self, alarms: Sequence[DriftAlarm]) -> list[OutRecord]:
        self._news = True
        for alarm in alarms:
            self._metrics.drift_alarms.labels(kind=alarm.kind).inc()
            self._notify(alarm)
        return self._records(alarms)

    def _records(self, alarms: Iterable[DriftAlarm]) -> list[OutRecord]:
        return [DriftEvent(alarm, self._newest_ms, self._source).to_record() for alarm in alarms]
