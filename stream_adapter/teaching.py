"""The last leg of the journey: labels score the predictions that were made before them, then become anchors."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors import Anchor
from stream_adapter.adapter.results import AdapterPrediction
from stream_adapter.adapter.share import EVERYTHING, Share
from stream_adapter.drift.prequential import PrequentialAccuracy
from stream_adapter.errors import SnapshotError
from stream_adapter.events import PRESENCE_PREFIX, AnchorRecord, ImageEvent
from stream_adapter.metrics import GROUPS, MODELS, Metrics, value_of
from stream_adapter.replica import Replica
from stream_adapter.shared_presence import SharedPresence
from stream_adapter.taught_state import TaughtState
from stream_adapter.transport.base import OutRecord
from stream_adapter.transport.changelog import Change
from stream_adapter.watch import Watch

# Labelled events remembered, so that one that is delivered again is neither scored nor taught twice, even where its
# anchor was pruned or forgotten meanwhile. About 200 bytes each.
_REMEMBERED_LABELS = 100_000


class Teacher:
    """Scores and teaches the adapter; belongs to the thread that owns it.

    Attributes:
        positions: how far the changelog was followed, by its partitions.

    Args:
        adapter: what is taught.
        classes: class names in the vocabulary's order.
        canaries: classes whose labels are scored and never learned.
        accuracy: prequential accuracy of adapted and zero-shot.
        fingerprint: the encoder whose vectors the adapter holds.
        writer: names this process in what is written to the changelog.
        presence: tells and hears what the traffic says about classes.
        watch: sees every labelled event before it is learned.
        background: runs refits and index rebuilds.
        metrics: labels, accuracy, anchors.
    """

    def __init__(
        self,
        adapter: Adapter,
        classes: Sequence[str],
        *,
        canaries: Iterable[str],
        accuracy: PrequentialAccuracy,
        fingerprint: str,
        writer: str,
        presence: SharedPresence,
        watch: Watch,
        background: Executor,
        metrics: Metrics,
    ) -> None:
        self._adapter = adapter
        self._class_index = {name: index for index, name in enumerate(classes)}
        self._canaries = frozenset(canaries)
        self._accuracy = accuracy
        self._fingerprint = fingerprint
        self._presence = presence
        self._watch = watch
        self._background = background
        self._metrics = metrics
        self._replica = Replica(adapter, fingerprint=fingerprint, writer=writer, metrics=metrics)
        self._labels_seen: OrderedDict[str, str] = OrderedDict()  # anchor id -> label
        self.positions: dict[int, int] = {}

    def teach(
        self,
        events: Sequence[ImageEvent],
        vectors: NDArray[np.float32],
        answer: AdapterPrediction,
        share: Share = EVERYTHING,
    ) -> list[OutRecord]:
        """Score the labelled events of a batch, then learn them.

        Args:
            events: B events, labelled or not.
            vectors: float32 (B, d), unit.
            answer: what was predicted for them.
            share: the anchors that this worker decides about.

        Returns:
            What the changelog must be told, and what drift was found.
        """
        self._observe(events, vectors, answer)
        lessons: list[int] = []
        tests: list[int] = []
        for row, event in enumerate(events):
            if event.label is None:
                continue
            known = self._labels_seen.get(event.anchor_id)
            if event.label not in self._class_index:
                self._metrics.labels.labels(outcome="unknown").inc()
            elif known == event.label:
                self._metrics.labels.labels(outcome="repeated").inc()
            else:
                lessons.append(row)
                if known is None:  # a correction is no test: the adapter has seen this very picture
                    tests.append(row)
                self._remember(event.anchor_id, event.label)
        labels = np.full(len(events), -1, np.int64)  # (B,)
        labels[tests] = [self._class_index[events[row].label or ""] for row in tests]
        self._score(labels, answer)
        found = self._watch.observe(events, vectors, answer, labels)
        return self._learn(events, vectors, lessons, share) + found

    def apply(
        self, changes: Sequence[Change], share: Share | None = None, positions: Mapping[int, int] | None = None
    ) -> list[OutRecord]:
        """Follow the changelog, in its order.

        Args:
            changes: what it says.
            positions: how far it was followed with them.
            share: the anchors that this worker decides about; None while it has no place among the workers yet.

        Returns:
            What the changelog must be told in turn: what is over the budgets, and what an older record replaced.

        Raises:
            FingerprintMismatch: an anchor comes from another encoder.
        """
        anchors = [change for change in changes if not change.key.startswith(PRESENCE_PREFIX)]
        self._presence.follow(change for change in changes if change.key.startswith(PRESENCE_PREFIX))
        self._metrics.anchors_followed.inc(self._replica.follow(anchors))
        for change in anchors:
            if isinstance(change.content, AnchorRecord) and not change.own:
                self._remember(change.key, change.content.label)
        self.positions |= positions or {}
        if share is None:
            return []
        return self._replica.reassert(share) + self._replica.learn([], share)[1]

    def forget(self, anchor_ids: Sequence[str]) -> tuple[list[str], list[OutRecord]]:
        """Delete anchors, here at once and everywhere by what the changelog must be told; no event teaches them again.

        Returns:
            The ids that were there, and what the changelog must be told.
        """
        return self._replica.forget(anchor_ids)

    def undo(self, outputs: Iterable[OutRecord]) -> None:
        """Take back what was learned from events that another worker reads again; `outputs` will never be written."""
        outputs = [output for output in outputs if output.channel == "anchors"]
        for output in outputs:
            self._labels_seen.pop((output.key or b"").decode(), None)
        self._replica.undo(outputs)

    @property
    def unconfirmed(self) -> dict[str, Anchor | None]:
        """Anchors that the changelog may not have yet, and what it has of each."""
        return self._replica.unconfirmed

    def state(self) -> TaughtState:
        """What is known beside the anchors, for a snapshot; nothing in it changes any more."""
        unconfirmed = self._replica.unconfirmed  # if they are never written their events come again, and must teach
        return TaughtState(
            labels=[item for item in self._labels_seen.items() if item[0] not in unconfirmed],
            window=self._adapter.traffic(),
            presence=self._presence.state(),
            accuracy=self._accuracy.state(),
            drift=self._watch.state(),
        )

    def restore(self, state: TaughtState) -> None:
        """Take over what `state` gave.

        Raises:
            SnapshotError: it does not fit this vocabulary.
        """
        try:
            if state.window is not None:
                self._adapter.restore_traffic(state.window)
            self._presence.restore(state.presence)
            self._accuracy.restore(state.accuracy)
        except ValueError as error:
            raise SnapshotError(f"what the worker knew beside its anchors cannot be used: {error}") from error
        self._watch.restore(state.drift)
        self._labels_seen = OrderedDict(state.labels)

    def maintain(self, now_s: float, share: Share = EVERYTHING) -> list[OutRecord]:
        """Swap in what the background finished, start what is due, and show the adapter's state.

        Returns:
            What the changelog must be told about the traffic, and where the watch stands.
        """
        told = self._presence.tell(now_s, share) + self._watch.tell(now_s)
        fits_before = self._adapter.fit_number
        self._adapter.maintain(self._background, now_s)
        metrics = self._metrics
        metrics.refits.inc(self._adapter.fit_number - fits_before)
        metrics.unfitted.set(self._adapter.changes_since_fit)
        metrics.anchors.set(self._adapter.n_anchors)
        metrics.set_digest(self._adapter.anchors_digest)
        metrics.seen_classes.set(int(self._adapter.has_anchor.sum()))
        if self._adapter.fitted_at_s is not None:
            metrics.refit_age.set(now_s - self._adapter.fitted_at_s)
        recall = self._adapter.index_statistics.recall
        if recall is not None:
            metrics.index_recall.set(recall)
        metrics.set_kinds(Counter(self._adapter.kinds))
        return told

    def _observe(self, events: Sequence[ImageEvent], vectors: NDArray[np.float32], answer: AdapterPrediction) -> None:
        learnable = self._class_index.keys() - self._canaries
        labelled = np.array([event.label in learnable for event in events], np.bool_)  # (B,)
        self._presence.observe([event.anchor_id for event in events], vectors, answer, labelled)

    def _remember(self, anchor_id: str, label: str) -> None:
        self._labels_seen[anchor_id] = label
        if len(self._labels_seen) > _REMEMBERED_LABELS:
            self._labels_seen.popitem(last=False)

    def _score(self, labels: NDArray[np.int64], answer: AdapterPrediction) -> None:
        rows = np.flatnonzero(labels >= 0)  # (T,)
        if not len(rows):
            return
        labels = labels[rows]
        adapted, zero_shot = answer.adapted[rows].argmax(axis=1), answer.zero_shot[rows].argmax(axis=1)  # (T,), (T,)
        self._accuracy.update(labels, zero_shot, adapted, answer.has_anchor)
        for label, hit_adapted, hit_zero_shot in zip(labels, adapted == labels, zero_shot == labels, strict=True):
            group = self._accuracy.group_of(int(label), answer.has_anchor)
            self._metrics.scored.labels(group=group).inc()
            self._metrics.correct.labels(group=group, model="adapted").inc(float(hit_adapted))
            self._metrics.correct.labels(group=group, model="zero_shot").inc(float(hit_zero_shot))
        for group in GROUPS:
            figures = self._accuracy.of(group)
            for model, value in zip(MODELS, (figures.window_adapted, figures.window_zero_shot), strict=True):
                if value is not None:
                    self._metrics.accuracy.labels(group=group, model=model).set(value)

    def _learn(
        self, events: Sequence[ImageEvent], vectors: NDArray[np.float32], rows: Sequence[int], share: Share
    ) -> list[OutRecord]:
        lessons: list[AnchorRecord] = []
        with self._metrics.stage("learn", len(rows)):
            for row in rows:
                if events[row].label in self._canaries:
                    self._metrics.labels.labels(outcome="canary").inc()
                else:
                    lessons.append(self._anchor_record(events[row], vectors[row]))
            result, outputs = self._replica.learn(lessons, share)
        outcomes = Counter(value_of(ignored.reason) for ignored in result.ignored)
        outcomes.update(learned=len(result.added), corrected=len(result.replaced), folded=len(result.folded))
        for outcome, number in outcomes.items():
            self._metrics.labels.labels(outcome=outcome).inc(number)
        return outputs

    def _anchor_record(self, event: ImageEvent, vector: NDArray[np.float32]) -> AnchorRecord:
        assert event.label is not None
        at = event.record.partition
        return AnchorRecord(
            anchor_id=event.anchor_id,
            vector=vector,
            label=event.label,
            event_time_ms=event.time_ms,
            event_source=event.source,
            event_id=event.id,
            topic=at.topic,
            partition=at.number,
            offset=event.record.offset,
            fingerprint=self._fingerprint,
        )
