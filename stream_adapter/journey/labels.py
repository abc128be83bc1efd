"""Which labels are a test, which become anchors, and what the changelog must be told of them."""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from sys import intern
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.anchors.ownership import EVERYTHING, NOTHING, Ownership
from stream_adapter.events import AnchorRecord, ImageEvent
from stream_adapter.journey.anchor_records import record_of_event
from stream_adapter.journey.faults import done_apart
from stream_adapter.journey.replica import Replica
from stream_adapter.journey.vocabulary import ClassesNow
from stream_adapter.metrics import Metrics, value_of
from stream_adapter.transport.base import OutRecord
from stream_adapter.transport.changelog import Change


class BatchLabels(NamedTuple):
    """The labels of B events.

    Attributes:
        tests: int64 (B,), the class of each label that is a test of the prediction before it; −1 for all others.
        to_learn: bool (B,), which labels are news: those that are a test, and corrections.
    """

    tests: NDArray[np.int64]
    to_learn: NDArray[np.bool_]


class Labels:
    """Turns labels into anchors; belongs to the thread that owns the adapter.

    Attributes:
        replica: the anchors, as the changelog has them.

    Args:
        replica: see above.
        classes: class names in the vocabulary's order.
        fingerprint: the encoder whose vectors are learned.
        metrics: labels by outcome, changes that others wrote.
        remembered: labelled events that are known again, so that one that is delivered twice is neither scored nor
            taught twice, even where its anchor was pruned or forgotten meanwhile.
    """

    def __init__(
        self,
        replica: Replica,
        classes: Sequence[str],
        *,
        fingerprint: str,
        metrics: Metrics,
        remembered: int,
    ) -> None:
        self.replica = replica
        self._use(classes, {})
        self._fingerprint = fingerprint
        self._metrics = metrics
        self._remembered = remembered
        self._known: OrderedDict[str, str] = OrderedDict()  # anchor id -> label

    def read(self, events: Sequence[ImageEvent]) -> BatchLabels:
        """Tell what each label of a batch is; nothing is learned yet."""
        tests, to_learn = np.full(len(events), -1, np.int64), np.zeros(len(events), np.bool_)
        new: dict[str, str] = {}  # of this batch
        for row, event in enumerate(events):
            if event.label is None:
                continue
            known = new.get(event.anchor_id, self._known.get(event.anchor_id))
            label = self._aliases.get(event.label, event.label)
            if known == label:
                self._metrics.labels.labels(outcome="repeated").inc()
            elif label not in self._class_index and not self.replica.ask_for(label):
                self._metrics.labels.labels(outcome="unknown").inc()
            else:
                to_learn[row] = True
                if known is None:  # a correction is no test: the adapter has seen this very picture
                    tests[row] = self._class_index.get(label, -1)
                new[event.anchor_id] = label
        return BatchLabels(tests, to_learn)

    def learn(
        self,
        events: Sequence[ImageEvent],
        vectors: NDArray[np.float32],
        to_learn: NDArray[np.bool_],
        owned: Ownership = EVERYTHING,
    ) -> list[OutRecord]:
        """Learn a batch, its traffic and its labels: all of it or, if this raises, nothing.

        Args:
            events: B events.
            vectors: float32 (B, d), unit.
            to_learn: bool (B,), from `read`.
            owned: the anchors that this worker decides about.

        Returns:
            What the changelog must be told.
        """
        records = [
            record_of_event(event, vectors[row], self._aliases.get(event.label, event.label), self._fingerprint)
            for row, event in enumerate(events)
            if to_learn[row] and event.label is not None
        ]
        ids = [event.anchor_id for event in events]
        return self._learn(ids, vectors, records, owned)[1]

    def learn_late(
        self, records: Sequence[AnchorRecord], owned: Ownership
    ) -> tuple[dict[str, str], list[OutRecord], dict[str, Exception]]:
        """Learn anchors of events that were traffic before; those at which something fails are left out.

        Returns:
            Why some of them had no effect, by anchor id, what the changelog must be told, and what failed.
        """
        named = [replace(record, label=self._aliases.get(record.label, record.label)) for record in records]
        none = np.zeros((0, self.replica.adapter.dimension), np.float32)
        done, faults = done_apart(
            lambda rows: self._learn((), none, [named[row] for row in rows], owned), range(len(named))
        )
        ignored = {key: why for part, _ in done for key, why in part.items()}
        failed = {named[row].anchor_id: error for row, error in faults.items()}
        return ignored, [output for _, outputs in done for output in outputs], failed

    def _learn(
        self,
        ids: Sequence[str],
        vectors: NDArray[np.float32],
        records: Sequence[AnchorRecord],
        owned: Ownership,
    ) -> tuple[dict[str, str], list[OutRecord]]:
        result, outputs = self.replica.learn(ids, vectors, records, owned)
        for record in records:
            self._remember(record.anchor_id, record.label)
        new = self.replica.set_aside.anchors
        ignored = {one.anchor_id: one.reason for one in result.ignored if one.anchor_id not in new}
        outcomes = Counter(map(value_of, ignored.values()))
        outcomes.update(learned=len(result.added), corrected=len(result.replaced), folded=len(result.folded))
        outcomes.update(set_aside=len(result.ignored) - len(ignored))
        for outcome, number in outcomes.items():
            self._metrics.labels.labels(outcome=outcome).inc(number)
        return dict(ignored), outputs

    def class_of(self, label: str) -> int:
        """The index of the class that a label means; −1 where it means none."""
        return self._class_index.get(self._aliases.get(label, label), -1)

    def fits(self, vector: NDArray[np.float32]) -> bool:
        """Whether a vector (d,) is as long as the anchors' are."""
        return vector.shape == (self.replica.adapter.dimension,)

    def set_classes(self, now: ClassesNow) -> NDArray[np.int64]:
        """Go over to other classes; see `Replica.set_classes`."""
        self._use(now.names, now.aliases)
        return self.replica.set_classes(now)

    def follow(self, changes: Iterable[Change]) -> None:
        """Take in what the changelog says about anchors, in its order."""
        changes = list(changes)
        self._metrics.anchors_followed.inc(self.replica.follow(changes))
        for change in changes:
            if isinstance(change.content, AnchorRecord) and not change.own:
                self._remember(change.key, change.content.label)

    def tidy(self, owned: Ownership = NOTHING) -> list[OutRecord]:
        """Write again what has another name by now or was replaced by an older record, and prune to the budgets.

        Also deletes what was learned of classes that were taken out, and lets the learner do what is due.

        Returns:
            What the changelog must be told.
        """
        removed = self.replica.delete_removed(owned)
        return [*self.replica.reassert(owned), *removed, *self.replica.prune(owned)]

    def undo(self, outputs: Iterable[OutRecord]) -> None:
        """Take back what was learned from events that another worker reads again; `outputs` will never be written."""
        outputs = [output for output in outputs if output.channel == "anchors"]
        for output in outputs:
            self._known.pop((output.key or b"").decode(), None)
        self.replica.undo(outputs)

    def state(self) -> list[tuple[str, str]]:
        """Anchor ids of labelled events that are remembered, oldest first, with their labels."""
        unconfirmed = self.replica.unconfirmed  # if they are never written their events come again, and must teach
        return [item for item in self._known.items() if item[0] not in unconfirmed]

    def restore(self, state: Sequence[tuple[str, str]]) -> None:
        """Take over what `state` gave."""
        self._known = OrderedDict((anchor_id, intern(label)) for anchor_id, label in state[-self._remembered :])

    def _use(self, classes: Sequence[str], aliases: Mapping[str, str]) -> None:
        self._class_index, self._aliases = {name: index for index, name in enumerate(classes)}, aliases

    def _remember(self, anchor_id: str, label: str) -> None:
        self._known[anchor_id] = intern(label)  # one for all that have it
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
