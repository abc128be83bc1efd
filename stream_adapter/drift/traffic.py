"""What can be said of all events, labelled or not: have pictures, class mix or confidence changed, is something new?"""

from collections import deque
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stream_adapter.drift.adwin import Adwin
from stream_adapter.drift.alarm import LISTED, OVERALL, AlarmKind, DriftAlarm, DriftStatus
from stream_adapter.drift.conformal import ReferenceShift
from stream_adapter.drift.detector import ALL, Stateful
from stream_adapter.drift.embedding_shift import EmbeddingShift
from stream_adapter.drift.label_mix import LabelMixShift
from stream_adapter.drift.new_class import NamedClass, NewClassNamer
from stream_adapter.drift.novelty import NoveltyRate, maximum_concept_matching
from stream_adapter.drift.settings import DriftSettings

_RUN = 64  # events in a row that are tested, or left out


class TrafficMonitor(Stateful):
    """Watches the whole stream without labels."""

    KEPT = ("_shifts", "_confidence", "_namer", "_novel_ids", "_novel", "_seen")

    def __init__(self, class_names: Sequence[str], logit_scale: float, settings: DriftSettings) -> None:
        self._class_names = tuple(class_names)
        self._logit_scale = logit_scale
        self._far_cosine = settings.far_cosine
        self._sample_every = settings.sample_every
        alpha, seed, reference = settings.alpha, settings.seed, settings.reference_events
        self._novelty = NoveltyRate(reference, alpha, seed)
        self._shifts: dict[AlarmKind, ReferenceShift] = {
            "embedding": EmbeddingShift(reference, alpha, seed),
            "label_mix": LabelMixShift(reference, alpha, seed),
            "novelty": self._novelty,
        }
        self._new_confidence = partial(Adwin, settings.adwin_delta)
        self._confidence = {group: self._new_confidence() for group in ("near", "far")}  # of zero-shot
        self._namer = NewClassNamer(len(class_names), alpha)
        self._novel_ids: deque[str] = deque(maxlen=LISTED)
        self._novel = np.zeros(0, dtype=np.bool_)  # of the newest events that were tested
        self._seen = 0

    def set_classes(self, class_names: Sequence[str], former: NDArray[np.int64]) -> None:
        """Go over to other classes: int64 (C,), the former one of each or −1.

        What compares the untouched model's probabilities with earlier ones begins anew: with other classes they are
        others, though the traffic is the same.
        """
        self._class_names = tuple(class_names)
        self._namer.set_classes(former)
        for kind, shift in self._shifts.items():
            if kind != "embedding":
                shift.begin_anew()
        self._confidence = {group: self._new_confidence() for group in self._confidence}

    def observe(
        self,
        vectors: NDArray[np.float32],
        zero_shot: NDArray[np.float32],
        novelty: NDArray[np.float32],
        nearest_cosine: NDArray[np.float32],
        labelled: NDArray[np.bool_],
        known: NDArray[np.bool_],
        event_ids: Sequence[str],
    ) -> list[DriftAlarm]:
        """Take in all events of a batch.

        Args:
            vectors: float32 (B, d), unit.
            zero_shot: float32 (B, C), probabilities of the untouched model.
            novelty: float32 (B,), the adapter's.
            nearest_cosine: float32 (B,), cosine with the nearest anchor, -inf where there is none.
            labelled: bool (B,), whether the event came with a label.
            known: bool (C,), classes with anchors and canaries.
            event_ids: B ids.
        """
        alarms = [self._named(named) for named in self._namer.observe(zero_shot, labelled, known, event_ids)]
        # Whole runs of events: a test costs little more for a run than for a single event.
        numbers = self._seen + np.arange(len(vectors))
        self._seen += len(vectors)
        sampled = np.flatnonzero(numbers // _RUN % self._sample_every == 0)
        if not len(sampled):
            return alarms
        # A view where everything is sampled, as it is with batches of 64.
        rows = slice(None) if len(sampled) == len(vectors) else sampled
        ids = [event_ids[row] for row in sampled.tolist()]
        beliefs = zero_shot[rows]
        unexplained = np.stack([maximum_concept_matching(beliefs, self._logit_scale), novelty[rows]], axis=1)
        is_novel = self._novelty.is_novel(unexplained)
        self._novel_ids.extend(ids[at] for at in np.flatnonzero(is_novel).tolist())
        self._novel = np.concatenate([self._novel, is_novel])[-self._novelty.reference :]
        for (kind, detector), values in zip(self._shifts.items(), (vectors[rows], beliefs, unexplained), strict=True):
            for signal in detector.observe(values):
                group = OVERALL if signal.subject == ALL else self._class_names[signal.subject]
                behind = tuple(self._novel_ids) if kind == "novelty" else ids[: signal.row + 1]
                alarms.append(DriftAlarm.of(signal, kind, group, type(detector).__name__, behind))
        confidence = beliefs.max(axis=1)  # (b,)
        far = nearest_cosine[rows] < self._far_cosine
        for group, chosen in (("near", np.flatnonzero(~far)), ("far", np.flatnonzero(far))):
            for signal in self._confidence[group].observe(confidence[chosen]):
                behind = [ids[at] for at in chosen[: signal.row + 1].tolist()]
                alarms.append(DriftAlarm.of(signal, "confidence", group, "Adwin", behind))
        return alarms

    def status(self) -> list[DriftStatus]:
        """Where every question stands."""
        lines = [
            DriftStatus(kind, OVERALL, d.observed, d.enough) for kind, d in self._shifts.items() if kind != "novelty"
        ]
        share = float(self._novel.mean()) if self._novelty.enough else None
        lines.append(DriftStatus("novelty", OVERALL, self._novelty.observed, self._novelty.enough, share))
        lines += [
            DriftStatus("confidence", group, adwin.observed, adwin.enough, adwin.mean)
            for group, adwin in self._confidence.items()
        ]
        named = float(self._namer.named.sum()) if self._namer.enough else None
        return [*lines, DriftStatus("new_class", OVERALL, self._namer.observed, self._namer.enough, named)]

    def report(self) -> DriftAlarm:
        """Figures of kind "status" for a timeline."""
        known = {
            str(line.kind) if line.group == OVERALL else f"{line.kind}_{line.group}": line.value
            for line in self.status()
            if line.value is not None
        }
        return DriftAlarm("status", "traffic", "TrafficMonitor", observed=self._seen, evidence=known)

    def _named(self, named: NamedClass) -> DriftAlarm:
        return DriftAlarm(
            "new_class",
            self._class_names[named.index],
            "NewClassNamer",
            observed=named.events,
            labels=named.labels,
            since=named.window,
            evidence={
                "share": named.share,
                "witnesses": float(named.witnesses),
                "window": float(named.window),
                "p_value": named.p_value,
            },
            event_ids=named.event_ids[-LISTED:],
        )
