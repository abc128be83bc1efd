"""All of drift behind one object: traffic and labels in, alarms and dampings out.

    observe_traffic    every event: have pictures, class mix, confidence or novelty changed?
    observe_labels     every label: is the adapter worse than zero-shot on unseen classes, has zero-shot changed?
    observe_presence   at each refit: has a class turned up that nobody labelled?

It belongs to the thread that owns the adapter and knows neither clock nor files. Its memory is bounded: about 2 MB
while a reference window of 500 vectors of 512 numbers is taken, 0.5 MB afterwards, and 5 kB per group with labels.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.class_presence import PresenceEvidence
from stream_adapter.drift.adwin import Adwin
from stream_adapter.drift.alarm import AlarmKind, DriftAlarm, DriftStatus
from stream_adapter.drift.confidence_sequence import Interval
from stream_adapter.drift.detector import Detector, Signal, State
from stream_adapter.drift.embedding_shift import EmbeddingShift
from stream_adapter.drift.guard import Guard, GuardAction
from stream_adapter.drift.harm_groups import OVERALL, HarmByGroup, paired_differences
from stream_adapter.drift.label_mix import LabelMixShift
from stream_adapter.drift.new_class import NewClassNamer
from stream_adapter.drift.novelty import NoveltyRate, maximum_concept_matching
from stream_adapter.drift.page_hinkley import PageHinkley
from stream_adapter.drift.settings import DriftSettings

SPEAKS_FOR = 0.25  # the least probability with which an event is listed as speaking for a class
_LISTED = 20  # event ids in an alarm
_RUN = 64  # events in a row that are tested, or left out
_REMEMBERED = 1_000  # events that spoke for a class without anchors


class DriftMonitor:
    """Watches one worker's stream.

    Args:
        class_names: C names, in the vocabulary's order.
        logit_scale: the model's logit scale.
        canary: bool (C,), classes that are never learned.
        settings: see `DriftSettings`.

    Raises:
        ValueError: a group names an unknown class or a class twice.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        logit_scale: float,
        canary: NDArray[np.bool_],
        settings: DriftSettings | None = None,
    ) -> None:
        settings = settings or DriftSettings()
        n_classes = len(class_names)
        self._class_names = tuple(class_names)
        self._logit_scale = logit_scale
        self._canary = canary.astype(np.bool_, copy=True)
        self._far_cosine = settings.far_cosine
        self._sample_every = settings.sample_every
        self._group_names, groups = settings.groups_of(class_names)
        alpha, seed, reference = settings.alpha, settings.seed, settings.reference_events
        self._harm = HarmByGroup(groups, settings.tolerance, alpha, settings.min_labels)
        self.guard = Guard(
            n_classes,
            mode=settings.mode,
            scope=settings.scope,
            tolerance=settings.tolerance,
            hold=settings.release_labels,
        )
        self._namer = NewClassNamer(n_classes)
        self._novelty = NoveltyRate(reference, alpha, seed)
        self._by_traffic: dict[tuple[AlarmKind, str], Detector] = {
            ("embedding", "overall"): EmbeddingShift(reference, alpha, seed),
            ("label mix", "overall"): LabelMixShift(reference, alpha, seed),
            ("novelty", "overall"): self._novelty,
        }
        self._series: dict[tuple[AlarmKind, str, str], Detector] = {}
        series: tuple[tuple[AlarmKind, str], ...] = (
            ("confidence", "near"),
            ("confidence", "far"),
            ("accuracy", "unseen"),
            ("accuracy", "seen"),
        )
        for kind, group in series:
            self._series[kind, group, "ADWIN"] = Adwin(settings.adwin_delta)
            self._series[kind, group, "Page-Hinkley"] = PageHinkley()
        self._novel_ids: deque[str] = deque(maxlen=_LISTED)
        self._harmed_ids: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)
        self._spoke: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)
        self._seen = 0
        self._seen_at_presence = 0
        self._presence: tuple[int, bool] = (0, False)  # labelled events in the window, whether they suffice

    @property
    def damping(self) -> NDArray[np.float32]:
        """Float32 (C,): how much of the update is applied to events whose zero-shot top class it is."""
        return self.guard.damping

    def observe_traffic(
        self,
        vectors: NDArray[np.float32],
        zero_shot: NDArray[np.float32],
        nearest_cosine: NDArray[np.float32],
        has_anchor: NDArray[np.bool_],
        event_ids: Sequence[str],
    ) -> list[DriftAlarm]:
        """Take in all events of a batch, labelled or not.

        Args:
            vectors: float32 (B, d), unit.
            zero_shot: float32 (B, C), probabilities of the untouched model.
            nearest_cosine: float32 (B,), cosine with the nearest anchor, -inf where there is none.
            has_anchor: bool (C,), as of the prediction.
            event_ids: B ids.
        """
        if not len(vectors):
            return []
        alarms: list[DriftAlarm] = []
        distance = np.clip(1.0 - nearest_cosine, 0.0, 1.0)  # (B,)
        novelty = np.stack([maximum_concept_matching(zero_shot, self._logit_scale), distance], axis=1)  # (B, 2)
        self._novel_ids.extend(event_ids[row] for row in np.flatnonzero(self._novelty.is_novel(novelty)).tolist())
        unlabelled = np.where(has_anchor, 0.0, zero_shot)
        self._spoke.extend((event_ids[row], int(c)) for row, c in np.argwhere(unlabelled >= SPEAKS_FOR).tolist())

        # Whole runs of events: a test costs little more for a run than for a single event.
        numbers = self._seen + np.arange(len(vectors))
        sampled = np.flatnonzero(numbers // _RUN % self._sample_every == 0)
        inputs = (vectors, zero_shot, novelty)
        for ((kind, group), detector), values in zip(self._by_traffic.items(), inputs, strict=True):
            for signal in detector.observe(values[sampled]):
                name = group if signal.subject < 0 else self._class_names[signal.subject]
                latest = tuple(event_ids[: int(sampled[signal.row]) + 1][-_LISTED:])
                ids = tuple(self._novel_ids) if kind == "novelty" else latest
                alarms.append(_alarm(kind, name, type(detector).__name__, signal, ids))
        confidence = zero_shot.max(axis=1)  # (B,)
        far = nearest_cosine[sampled] < self._far_cosine
        for group, rows in (("near", sampled[~far]), ("far", sampled[far])):
            alarms += self._observe_series(
                "confidence", group, confidence[rows], [event_ids[row] for row in rows.tolist()]
            )
        self._seen += len(vectors)
        return alarms

    def observe_labels(
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
        alarms: list[DriftAlarm] = []
        right = (zero_shot == labels).astype(np.float64)
        for group, rows in (("unseen", np.flatnonzero(unseen)), ("seen", np.flatnonzero(~unseen))):
            alarms += self._observe_series("accuracy", group, right[rows], [event_ids[row] for row in rows.tolist()])
        rows = np.flatnonzero(unseen)
        labels, zero_shot, adapted, undamped = labels[rows], zero_shot[rows], adapted[rows], undamped[rows]
        differences = paired_differences(labels, zero_shot, adapted)
        self._harmed_ids.extend((event_ids[int(rows[at])], int(labels[at])) for at in np.flatnonzero(differences < 0))
        signals = self._harm.observe(labels, differences)
        self.guard.forget(np.flatnonzero(has_anchor & ~self._canary).tolist())
        # Before what follows from these labels' alarms: their predictions were made under the old dampings.
        actions = self.guard.observe(labels, paired_differences(labels, zero_shot, undamped))
        for signal in signals:
            alarms.append(self._harm_alarm(signal))
            faulty = self._harm.classes_at_fault(signal.subject)
            if faulty:
                rests_on, difference = int(signal.details["labels"]), signal.details["difference"]
                actions += self.guard.lower(faulty, labels=rests_on, difference=difference, row=signal.row)
                self._harm.reset(faulty)
        return alarms + [self._guard_alarm(action) for action in actions]

    def observe_presence(self, evidence: PresenceEvidence, has_anchor: NDArray[np.bool_]) -> list[DriftAlarm]:
        """Look at class presence, once per refit.

        Args:
            evidence: what the window says.
            has_anchor: bool (C,), as of now.
        """
        self._presence = (evidence.labelled_events, self._namer.enough(evidence))
        signals = self._namer.observe(evidence, has_anchor, self._seen - self._seen_at_presence)
        self._seen_at_presence = self._seen
        return [
            _alarm("new class", self._class_names[s.subject], "NewClassNamer", s, self._ids_for(self._spoke, s.subject))
            for s in signals
        ]

    def status(self) -> list[DriftStatus]:
        """Where every question stands."""
        lines = [
            DriftStatus("harm", self._name(group), observed, mean is not None, mean, self._harm.interval(group))
            for group in self._harm.groups
            for observed, mean in [(self._harm.observed(group), self._harm.mean(group))]
        ]
        lines += [DriftStatus(kind, group, d.observed, d.enough) for (kind, group), d in self._by_traffic.items()]
        lines += [
            DriftStatus(kind, group, d.observed, d.enough, float(d.mean) if d.enough else None)
            for (kind, group, _), d in self._series.items()
            if isinstance(d, Adwin)
        ]
        return [*lines, DriftStatus("new class", "overall", *self._presence)]

    def state(self) -> State:
        """Everything needed to go on, as JSON values."""
        return {
            "traffic": [detector.state() for detector in self._by_traffic.values()],
            "series": [detector.state() for detector in self._series.values()],
            "harm": self._harm.state(),
            "guard": self.guard.state(),
            "namer": self._namer.state(),
            "seen": [self._seen, self._seen_at_presence],
            "presence": list(self._presence),
            "ids": [list(self._novel_ids), [list(i) for i in self._harmed_ids], [list(i) for i in self._spoke]],
        }

    def restore(self, state: State) -> None:
        """Go on from `state`, which a monitor with the same classes and settings handed out."""
        for detector, stored in zip(self._by_traffic.values(), state["traffic"], strict=True):
            detector.restore(stored)
        for detector, stored in zip(self._series.values(), state["series"], strict=True):
            detector.restore(stored)
        self._harm.restore(state["harm"])
        self.guard.restore(state["guard"])
        self._namer.restore(state["namer"])
        self._seen, self._seen_at_presence = (int(number) for number in state["seen"])
        self._presence = (int(state["presence"][0]), bool(state["presence"][1]))
        novel, harmed, spoke = state["ids"]
        self._novel_ids = deque(novel, maxlen=_LISTED)
        self._harmed_ids = deque(((str(i), int(c)) for i, c in harmed), maxlen=_REMEMBERED)
        self._spoke = deque(((str(i), int(c)) for i, c in spoke), maxlen=_REMEMBERED)

    def _observe_series(
        self, kind: AlarmKind, group: str, values: NDArray[np.float64], ids: Sequence[str]
    ) -> list[DriftAlarm]:
        return [
            _alarm(kind, group, algorithm, signal, tuple(ids[: signal.row + 1][-_LISTED:]))
            for algorithm in ("ADWIN", "Page-Hinkley")
            for signal in self._series[kind, group, algorithm].observe(values)
        ]

    def _harm_alarm(self, signal: Signal) -> DriftAlarm:
        faulty = self._harm.classes_at_fault(signal.subject)
        ids = tuple(event_id for event_id, label in self._harmed_ids if label in faulty)[-_LISTED:]
        return _alarm("harm", self._name(signal.subject), "HarmDetector", signal, ids)

    def _guard_alarm(self, action: GuardAction) -> DriftAlarm:
        overall = action.subject == OVERALL
        return DriftAlarm(
            "guard lowered" if action.action == "lowered" else "guard raised",
            "overall" if overall else self._class_names[action.subject],
            "Guard",
            observed=action.labels,
            evidence={"before": action.before, "after": action.after, "difference": action.difference},
            event_ids=() if overall else self._ids_for(self._harmed_ids, action.subject),
        )

    def _name(self, group: int) -> str:
        return "overall" if group == OVERALL else self._group_names[group]

    @staticmethod
    def _ids_for(events: deque[tuple[str, int]], index: int) -> tuple[str, ...]:
        return tuple(event_id for event_id, of_class in events if of_class == index)[-_LISTED:]


def _alarm(kind: AlarmKind, group: str, detector: str, signal: Signal, ids: tuple[str, ...]) -> DriftAlarm:
    figures = dict(signal.details)
    low, high = figures.pop("low", None), figures.pop("high", None)
    bounds = None if low is None or high is None else Interval(low, high, figures.pop("confidence"))
    return DriftAlarm(kind, group, detector, signal.observed, signal.since, signal.e_value, bounds, figures, ids)
