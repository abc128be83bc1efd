"""What labels say: is the adapter worse than zero-shot on unseen classes, has zero-shot changed? And what is done."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.adwin import Adwin
from stream_adapter.drift.alarm import LISTED, OVERALL, AlarmKind, DriftAlarm, DriftStatus, Step
from stream_adapter.drift.detector import ALL, Stateful, numbers_now
from stream_adapter.drift.guard import Guard
from stream_adapter.drift.harm_groups import HarmByGroup, paired_differences
from stream_adapter.drift.protecting import ProtectionLevel
from stream_adapter.drift.settings import DriftSettings

_REMEMBERED = 1_000  # events that the adapter got wrong and zero-shot right
_WINDOW = 500  # labels of a group behind the accuracies of a status
_MODELS = ("zero_shot", "adapted", "undamped")


class LabelMonitor(Stateful):
    """Watches the labelled events, and keeps the guard and the level of the protection.

    Args:
        canary: bool (C,), classes that are never learned.

    Raises:
        ValueError: a group names an unknown class or a class twice.
    """

    KEPT = ("_harm", "guard", "protection", "_accuracy", "_hits", "_harmed_ids")

    def __init__(self, class_names: Sequence[str], canary: NDArray[np.bool_], settings: DriftSettings) -> None:
        self._min_labels = settings.min_labels
        groups = self._use(class_names, canary, settings)
        self._harm = HarmByGroup(groups, settings.tolerance, settings.alpha, settings.min_labels)
        self.guard = Guard(
            len(class_names),
            mode=settings.mode,
            scope=settings.scope,
            tolerance=settings.tolerance,
            hold=settings.release_labels,
        )
        steps = settings.protection_steps if settings.mode == "act" else 0
        self.protection = ProtectionLevel(steps, settings.tolerance, settings.alpha, settings.min_labels)
        self._accuracy = {group: Adwin(settings.adwin_delta) for group in ("unseen", "seen")}  # of zero-shot
        self._hits = {group: np.zeros((0, len(_MODELS)), dtype=np.bool_) for group in self._accuracy}  # newest last
        self._harmed_ids: deque[Sequence[Any]] = deque(maxlen=_REMEMBERED)

    def set_classes(
        self,
        class_names: Sequence[str],
        canary: NDArray[np.bool_],
        settings: DriftSettings,
        former: NDArray[np.int64],
    ) -> None:
        """Go over to other classes: int64 (C,), the former one of each or −1; the rest as for the constructor."""
        before, groups = self._groups, self._use(class_names, canary, settings)
        kept = np.flatnonzero(former >= 0)[::-1]  # a group is the one that its first class with a past was in
        former_groups = np.full(len(self._group_names), -1)
        former_groups[groups[kept]] = before[former[kept]]
        self._harm.set_classes(groups, former, former_groups)
        self.guard.set_classes(former)
        now = numbers_now(former)
        harmed = [(event_id, now[label]) for event_id, label in self._harmed_ids if label in now]
        self._harmed_ids = deque(harmed, maxlen=_REMEMBERED)

    def _use(self, class_names: Sequence[str], canary: NDArray[np.bool_], settings: DriftSettings) -> NDArray[np.int64]:
        self._class_names, self._canary = tuple(class_names), canary
        self._group_names, self._groups = settings.groups_of(class_names)
        # What metrics and reports show: a set that the configuration bounds, not the vocabulary.
        canary_groups = {self._group_names[self._groups[index]] for index in np.flatnonzero(canary).tolist()}
        self._shown = frozenset(settings.groups) | canary_groups
        return self._groups

    def observe(
        self,
        labels: NDArray[np.int64],
        zero_shot: NDArray[np.int64],
        adapted: NDArray[np.int64],
        undamped: NDArray[np.int64],
        has_anchor: NDArray[np.bool_],
        event_ids: Sequence[str],
    ) -> list[DriftAlarm]:
        """Take in labelled events, in the order of their labels; then lower or release dampings.

        Args:
            labels: int (T,), true classes.
            zero_shot: int (T,), top class of the untouched model.
            adapted: int (T,), top class as published, after damping.
            undamped: int (T,), top class of the adapted model before damping.
            has_anchor: bool (C,), as of the prediction.
            event_ids: T ids.
        """
        unseen = self._canary[labels] | ~has_anchor[labels]
        hits = np.stack([top == labels for top in (zero_shot, adapted, undamped)], axis=1)  # (T, 3)
        alarms: list[DriftAlarm] = []
        for group, rows in (("unseen", np.flatnonzero(unseen)), ("seen", np.flatnonzero(~unseen))):
            ids = [event_ids[row] for row in rows.tolist()]
            for signal in self._accuracy[group].observe(hits[rows, 0].astype(np.float64)):
                behind = ids[: signal.row + 1]
                alarms.append(DriftAlarm.of(signal, "accuracy", group, "Adwin", behind, labels=signal.observed))
            self._hits[group] = np.concatenate([self._hits[group], hits[rows]])[-_WINDOW:]
        rows = np.flatnonzero(unseen)
        self.guard.forget(np.flatnonzero(has_anchor & ~self._canary).tolist())
        if not len(rows):
            return alarms
        labels = labels[rows]
        differences = paired_differences(labels, zero_shot[rows], adapted[rows])
        self._harmed_ids.extend((event_ids[int(rows[at])], int(labels[at])) for at in np.flatnonzero(differences < 0))
        signals = self._harm.observe(labels, differences)
        # Before what follows from these labels' alarms: their predictions were made under the old dampings.
        unguarded = paired_differences(labels, zero_shot[rows], undamped[rows])
        actions = self.guard.observe(labels, unguarded)
        steps = self.protection.observe(unguarded)
        alarms += [self._done(step, "protection", "ProtectionLevel") for step in steps]
        for signal in signals:
            faulty = self._harm.classes_at_fault(signal.subject)
            name, harmed, n = self._name(signal.subject), self._ids_of(faulty), signal.since
            alarms.append(DriftAlarm.of(signal, "harm", name, "HarmDetector", harmed, labels=n))
            if faulty:
                actions += self.guard.lower(faulty, labels=n, difference=signal.details["difference"], row=signal.row)
                self._harm.reset(faulty)
        return alarms + [self._done(action, "guard", "Guard") for action in actions]

    def status(self) -> list[DriftStatus]:
        """Where every question stands."""
        lines = []
        for group, harm in sorted(self._harm.detectors.items()):
            if group == ALL or self._group_names[group] in self._shown:
                name, interval = self._name(group), harm.interval()
                lines.append(DriftStatus("harm", name, harm.observed, harm.enough, harm.mean, interval))
        lines += [
            DriftStatus("accuracy", group, adwin.observed, adwin.enough, adwin.mean)
            for group, adwin in self._accuracy.items()
        ]
        damped = int((self.guard.damping < 1.0).sum())
        protection = self.protection
        return [
            *lines,
            DriftStatus("guard", OVERALL, self._harm.detectors[ALL].observed, True, float(damped)),
            DriftStatus("protection", OVERALL, protection.observed, True, protection.factor),
        ]

    def report(self) -> list[DriftAlarm]:
        """Figures of kind "status" for a timeline: accuracies of the newest labels, and harm by group."""
        reports = []
        for group, hits in self._hits.items():
            enough = len(hits) >= self._min_labels
            evidence = dict(zip(_MODELS, hits.mean(axis=0).tolist(), strict=True)) if enough else {}
            n = len(hits)
            reports.append(DriftAlarm("status", group, "accuracy", n, labels=n, enough=enough, evidence=evidence))
        damping = self.guard.damping
        for line in self.status():
            if line.kind == "harm":
                evidence = {} if line.value is None else {"difference": line.value}
                if line.group == OVERALL:
                    evidence |= {"damped": float((damping < 1.0).sum()), "lowest_damping": float(damping.min())}
                found = DriftAlarm("status", line.group, "harm", line.observed, labels=line.observed, evidence=evidence)
                reports.append(replace(found, enough=line.enough, interval=line.interval))
        return reports

    def _done(self, step: Step, kind: AlarmKind, by: str) -> DriftAlarm:
        group, ids = OVERALL, tuple[str, ...]()
        if step.subject != ALL:
            group, ids = self._class_names[step.subject], self._ids_of([step.subject])
        evidence = {"before": step.before, "after": step.after, "difference": step.difference}
        found = DriftAlarm(kind, group, by, step.labels, step.labels, evidence=evidence, event_ids=ids)
        return replace(found, interval=step.interval, action=step.action)

    def _name(self, group: int) -> str:
        return OVERALL if group == ALL else self._group_names[group]

    def _ids_of(self, classes: Sequence[int]) -> tuple[str, ...]:
        return tuple(event_id for event_id, label in self._harmed_ids if label in classes)[-LISTED:]
