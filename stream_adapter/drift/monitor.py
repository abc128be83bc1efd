"""All of drift behind one object: batches in, alarms and dampings out.

    published = monitor.guard.damp(answer.zero_shot, answer.adapted)     what the worker predicts
    alarms = monitor.observe(…)                                          once per batch, after it was predicted
    alarms += monitor.report()                                           every now and then, for the timeline
    monitor.state(), monitor.restore(…)                                  part of a snapshot

It belongs to the thread that owns the adapter and knows neither clock nor files. docs/drift.md says what
memory it takes.
"""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.alarm import LISTED, OVERALL, DriftAlarm, DriftStatus
from stream_adapter.drift.at_risk import ENOUGH, ClassesAtRisk
from stream_adapter.drift.detector import State, Stateful
from stream_adapter.drift.labelled import LabelMonitor
from stream_adapter.drift.settings import DriftSettings
from stream_adapter.drift.traffic import TrafficMonitor


class DriftMonitor(Stateful):
    """Watches one worker's stream.

    Attributes:
        guard: damps predictions, see `Guard.damp`.
        protection: how much of the protection should be in force.

    Args:
        canary: bool (C,), classes that are never learned.

    Raises:
        ValueError: a group names an unknown class or a class twice.
    """

    KEPT = ("_labels", "_traffic", "_at_risk")

    def __init__(
        self,
        class_names: Sequence[str],
        logit_scale: float,
        canary: NDArray[np.bool_],
        settings: DriftSettings | None = None,
    ) -> None:
        settings = settings or DriftSettings()
        self._canary = canary.astype(np.bool_, copy=True)
        self._traffic = TrafficMonitor(class_names, logit_scale, settings)
        self._labels = LabelMonitor(class_names, self._canary, settings)
        self.guard, self.protection = self._labels.guard, self._labels.protection
        self._class_names = tuple(class_names)
        self._at_risk = ClassesAtRisk(len(class_names))
        self.observe_labels = self._labels.observe  # of events that were observed without theirs
        self._made_for = _description(class_names, canary, settings)

    def set_classes(
        self,
        class_names: Sequence[str],
        canary: NDArray[np.bool_],
        settings: DriftSettings,
        former: NDArray[np.int64],
    ) -> None:
        """Go over to other classes: int64 (C,), the former one of each or −1; the rest as for the constructor.

        Raises:
            ValueError: as the constructor; nothing has changed.
        """
        made_for = _description(class_names, canary, settings)
        settings.groups_of(class_names)
        self._canary, self._made_for = canary.astype(np.bool_, copy=True), made_for
        self._traffic.set_classes(class_names, former)
        self._labels.set_classes(class_names, self._canary, settings, former)
        self._class_names = tuple(class_names)
        self._at_risk.set_classes(former)

    def observe(
        self,
        *,
        vectors: NDArray[np.float32],
        zero_shot: NDArray[np.float32],
        adapted: NDArray[np.float32],
        has_anchor: NDArray[np.bool_],
        presence: NDArray[np.float32],
        novelty: NDArray[np.float32],
        nearest_cosine: NDArray[np.float32],
        event_ids: Sequence[str],
        labels: NDArray[np.int64],
    ) -> list[DriftAlarm]:
        """Take in a batch that was predicted under the present dampings; then lower or release some.

        Args:
            vectors: float32 (B, d), unit.
            zero_shot: float32 (B, C), probabilities of the untouched model.
            adapted: float32 (B, C), probabilities of the adapter, before `guard.damp`.
            has_anchor: bool (C,), as of the prediction.
            presence: float32 (C,), how far each class is held to be in the traffic.
            novelty: float32 (B,), the adapter's.
            nearest_cosine: float32 (B,), cosine with the nearest anchor, -inf where there is none.
            event_ids: B ids.
            labels: int (B,), the label's class, −1 where there is none or it is no test (a correction).

        Returns:
            What was found and done, none of kind "status".
        """
        if not len(vectors):
            return []
        labelled = labels >= 0
        alarms = self._traffic.observe(
            vectors, zero_shot, novelty, nearest_cosine, labelled, has_anchor | self._canary, event_ids
        )
        published = self.guard.damp(zero_shot, adapted)
        unlabelled = ~has_anchor & ~self._canary
        risks = self._at_risk.observe(zero_shot, published, presence, has_anchor, unlabelled, event_ids)
        for risk in risks:
            kept, after = {"kept": risk.kept}, risk.kept_after
            evidence = {"lost": risk.lost} | kept if after is None else kept | {"kept_after": after}
            name, ids = self._class_names[risk.index], risk.event_ids[-LISTED:]
            found = DriftAlarm("at_risk", name, "ClassesAtRisk", risk.events, evidence=evidence, event_ids=ids)
            alarms.append(found)
        rows = np.flatnonzero(labelled)
        if len(rows):
            alarms += self._labels.observe(
                labels[rows],
                zero_shot[rows].argmax(axis=1),
                published[rows].argmax(axis=1),
                adapted[rows].argmax(axis=1),
                has_anchor,
                [event_ids[row] for row in rows.tolist()],
            )
        return alarms

    def status(self) -> list[DriftStatus]:
        """Where every question stands, for metrics; the groups are bounded by the configuration."""
        risks, observed = float((self._at_risk.lost >= ENOUGH).sum()), self._at_risk.observed
        line = DriftStatus("at_risk", OVERALL, observed, observed > 0, risks if observed else None)
        return [*self._labels.status(), *self._traffic.status(), line]

    def report(self) -> list[DriftAlarm]:
        """The same for the timeline of `stream-adapter drift report`: alarms of kind "status"."""
        return [*self._labels.report(), self._traffic.report()]

    def state(self) -> State:
        """Everything needed to go on, as JSON values."""
        return {"made_for": self._made_for, **super().state()}

    def restore(self, state: State) -> None:
        """Go on from `state`.

        Raises:
            ValueError: it was handed out by a monitor with other classes, canaries or settings, or is broken; this
                monitor is then to be thrown away.
        """
        if state.get("made_for") != self._made_for:
            raise ValueError(
                "the drift monitor's state was made for other classes, canaries or `drift` settings; begin without it"
            )
        try:
            super().restore(state)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            raise ValueError(f"the drift monitor's state is broken: {error!r}; begin without it") from error


def _description(class_names: Sequence[str], canary: NDArray[np.bool_], settings: DriftSettings) -> str:
    """What a state fits to; when a status is due is nobody's state."""
    described = [list(class_names), canary.tolist(), settings.model_dump(exclude={"status_every_s"})]
    return hashlib.blake2b(json.dumps(described).encode(), digest_size=16).hexdigest()
