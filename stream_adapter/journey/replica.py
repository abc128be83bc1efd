"""The anchors of one worker, and how they stay the same as everybody's.

The changelog is the truth: for each anchor, what follows from its records in their order there (a deletion deletes; of
two records the one with the larger stamp counts). Every worker reads the whole changelog, so all come to the same.

A worker does not wait for the changelog to use what it has just learned itself. Until its own record comes back, it
holds on to its own view of that one anchor, and keeps beside it what the changelog says so far. When the last of its
records has come back, the changelog's word counts.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.anchor import Anchor
from stream_adapter.adapter.anchors.ownership import Ownership
from stream_adapter.adapter.anchors.results import LearnResult, Removed
from stream_adapter.events import AnchorRecord, anchor_tombstone
from stream_adapter.journey.anchor_records import anchor_of, record_of_anchor, same_anchor
from stream_adapter.journey.set_aside import KEPT_REMOVED_S, SetAside
from stream_adapter.journey.vocabulary import ClassesNow
from stream_adapter.metrics import Metrics, value_of
from stream_adapter.transport.base import OutRecord, Partition
from stream_adapter.transport.changelog import Change


@dataclass(slots=True)
class _InFlight:
    """Own records of one anchor that have not come back yet.

    Attributes:
        records: how many.
        settled: what the changelog says about the anchor so far.
    """

    records: int
    settled: Anchor | None


class Replica:
    """Learns into the adapter, follows the changelog, and brings the two together.

    Belongs to the thread that owns the adapter.

    Attributes:
        adapter: holds the anchors that have a class.
        set_aside: anchors that have no class at present.
        ask_for: asks for a class of a name that is none; whether there will be one.

    Args:
        fingerprint: the encoder whose vectors it holds.
        writer: this process's name in what it writes.
        metrics: removals.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        adapter: Adapter,
        *,
        fingerprint: str,
        writer: str,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        removed_kept_s: float = KEPT_REMOVED_S,
    ) -> None:
        self.set_aside = SetAside(clock, removed_kept_s)
        self.ask_for: Callable[[str], bool] = lambda _: False
        self.adapter = adapter
        self._class_of: Callable[[str], str] = str
        self._removed: frozenset[str] = frozenset()
        self._fingerprint = fingerprint
        self._writer = writer
        self._metrics = metrics
        self._in_flight: dict[str, _InFlight] = {}
        self._overruled: set[str] = set()

    def learn(
        self,
        event_ids: Sequence[str],
        vectors: NDArray[np.float32],
        records: Sequence[AnchorRecord],
        owned: Ownership,
    ) -> tuple[LearnResult, list[OutRecord]]:
        """Learn what came to this worker, and prune what it decides about: all of it or, if this raises, nothing.

        Args:
            event_ids: anchor ids of B events.
            vectors: float32 (B, d), unit, of the events.
            records: the anchors that their labels, or labels of earlier events, make.
            owned: the anchors that this worker decides about.

        Returns:
            What became of the anchors, and what the changelog must be told.

        Raises:
            AnchorError: a vector cannot be used.
        """
        by_id = {record.anchor_id: record for record in records}
        anchors = [anchor_of(record, self._class_of(record.label)) for record in by_id.values()]
        result = self.adapter.update(event_ids, vectors, anchors, owned)
        unknown = [one.anchor_id for one in result.ignored if one.reason == "unknown label"]
        new_classes = {anchor_id for anchor_id in unknown if self.ask_for(by_id[anchor_id].label)}
        replaced = self._put_aside([anchor for anchor in anchors if anchor.anchor_id in new_classes])
        self.set_aside.drop(result.written)
        because_of = {change.previous_id: change.anchor_id for change in result.replaced}
        outputs = [by_id[anchor_id].to_record(self._writer) for anchor_id in (*result.written, *new_classes)]
        for removed in result.removed:
            # Also for one that came and went within this batch: then its label has left a trace.
            cause = by_id.get(because_of.get(removed.anchor_id, ""))
            source = Partition(cause.topic, cause.partition) if cause is not None else None
            outputs.append(anchor_tombstone(removed.anchor_id, self._writer, source))
        for output in outputs:
            self._wrote(output, result.before.get(_id(output)) or replaced.get(_id(output)))
        self._count(result.removed)
        return result, outputs

    def prune(self, owned: Ownership) -> list[OutRecord]:
        """Prune to the budgets, and let the learner do what is due; returns what the changelog must be told."""
        return self.learn((), np.zeros((0, self.adapter.dimension), np.float32), (), owned)[1]

    def record(self, anchor_id: str) -> AnchorRecord | None:
        """The anchor of this id, as it is written; None where there is none."""
        anchor = self._known(anchor_id)
        return None if anchor is None else record_of_anchor(anchor, self._fingerprint)

    def reassert(self, owned: Ownership) -> list[OutRecord]:
        """Write again what an older record has replaced in the compacted topic, as far as this worker decides."""
        outputs = []
        for anchor_id in sorted(self._overruled):
            anchor = self._known(anchor_id)
            if anchor is None or owned.owns_id(anchor_id):
                self._overruled.discard(anchor_id)
            if anchor is not None and owned.owns_id(anchor_id):
                # It is ours to write whoever owns the partition that it once came from.
                outputs.append(
                    replace(record_of_anchor(anchor, self._fingerprint).to_record(self._writer), source=None)
                )
                self._wrote(outputs[-1], anchor)
        return outputs

    def follow(self, changes: Iterable[Change]) -> int:
        """Take in what the changelog says about anchors, in its order; returns how many changes were not our own."""
        foreign = 0
        learned: dict[str, Anchor] = {}  # by id, what counts since it was deleted: no record says anything of others
        deleted: dict[str, None] = {}
        for change in changes:
            anchor = None
            if isinstance(change.content, AnchorRecord):
                anchor = anchor_of(change.content, change.content.label)
                # One whose class has another name by now is written again with it.
                renamed = self._class_of(anchor.label) != anchor.label
                (self._overruled.add if renamed else self._overruled.discard)(change.key)
            foreign += not change.own
            if change.key in self._in_flight:
                self._follow_in_flight(change.key, anchor, own=change.own)
            elif anchor is not None:
                if change.key in learned and anchor.stamp < learned[change.key].stamp:
                    self._overruled.add(change.key)
                else:
                    learned[change.key] = anchor
            else:
                learned.pop(change.key, None)
                deleted[change.key] = None
        self._delete(list(deleted))
        self._put(list(learned.values()))
        return foreign

    def forget(self, anchor_ids: Iterable[str], *, forgotten: bool = False) -> tuple[list[str], list[OutRecord]]:
        """Delete anchors because somebody asks for it, whoever decides about them; `forgotten` as `anchor_tombstone`.

        Returns:
            The ids that were there, and what the changelog must be told.
        """
        outputs = []
        for anchor_id in dict.fromkeys(anchor_ids):
            before = self._known(anchor_id)
            if before is not None:
                outputs.append(anchor_tombstone(anchor_id, self._writer, forgotten=forgotten))
                self._wrote(outputs[-1], before)
        gone = [_id(output) for output in outputs]
        self._delete(gone)
        return gone, outputs

    def set_classes(self, now: ClassesNow) -> NDArray[np.int64]:
        """Go over to other classes: anchors that have none any more are set aside, those that have one now are back.

        Returns:
            Int64 (C,), which of the former classes each one is; −1 where it is new.
        """
        before, adapter = self.adapter.classes, self.adapter
        names = frozenset(now.names)
        renamed = {name: now.class_of(name) for name in before.names if name not in names and name in now.aliases}
        if renamed:
            old = np.array([name in renamed for name in before.names])
            listing = adapter.anchors.listing()
            self._overruled.update(listing.ids[slot] for slot in np.flatnonzero(old[listing.classes]).tolist())
        forgotten = adapter.set_classes(now.texts, now.names, renamed, now.canaries)
        self._class_of, self._removed = now.class_of, now.removed
        self.set_aside.put(forgotten)
        waiting = [(one.label, self._in_class(one)) for one in self.set_aside.anchors.values()]
        back = [one for _, one in waiting if one.label in names and one.label not in now.canaries]
        self._overruled.update(one.anchor_id for label, one in waiting if one.label != label)
        self.set_aside.drop(one.anchor_id for one in back)
        self._put(back)
        return adapter.classes.former(before, renamed)

    def delete_removed(self, owned: Ownership) -> list[OutRecord]:
        """Delete, for good, what was learned of classes that were taken out, as far as this worker decides about it."""
        ids = self.set_aside.of_removed(self._removed, self._class_of)
        return self.forget([anchor_id for anchor_id in ids if owned.owns_id(anchor_id)])[1]

    def undo(self, outputs: Iterable[OutRecord]) -> None:
        """Forget what was written and will never be in the changelog: its partition has moved to another worker."""
        for output in outputs:
            if output.channel == "anchors" and _id(output) in self._in_flight:
                self._one_less(_id(output))

    @property
    def unconfirmed(self) -> dict[str, Anchor | None]:
        """Anchors of which own records are on their way, and what the changelog says about each so far."""
        settled = {anchor_id: in_flight.settled for anchor_id, in_flight in self._in_flight.items()}
        return {anchor_id: one and self._in_class(one) for anchor_id, one in settled.items()}

    def _wrote(self, output: OutRecord, before: Anchor | None) -> None:
        self._in_flight.setdefault(_id(output), _InFlight(0, before)).records += 1

    def _follow_in_flight(self, anchor_id: str, anchor: Anchor | None, *, own: bool) -> None:
        in_flight = self._in_flight[anchor_id]
        if anchor is not None and in_flight.settled is not None and anchor.stamp < in_flight.settled.stamp:
            self._overruled.add(anchor_id)
        else:
            in_flight.settled = anchor
        if own:
            self._one_less(anchor_id)

    def _one_less(self, anchor_id: str) -> None:
        in_flight = self._in_flight[anchor_id]
        in_flight.records -= 1
        if not in_flight.records:
            del self._in_flight[anchor_id]
            self._settle(anchor_id, in_flight.settled)

    def _settle(self, anchor_id: str, settled: Anchor | None) -> None:
        """The changelog's word on one anchor replaces ours."""
        ours = self.adapter.anchors.get(anchor_id)
        if settled is None:
            self.set_aside.drop([anchor_id])
        same = ours is not None and settled is not None and same_anchor(ours, self._in_class(settled))
        if ours is not None and not same:
            self.adapter.forget([anchor_id])
        if settled is not None and not same:
            self._put([settled])

    def _put(self, anchors: Sequence[Anchor]) -> None:
        """Take these in, under the names that their classes have by now.

        What has no class stays under the name that it was written with: an alias may be taken back.
        """
        if anchors:
            older = {one.anchor_id for one in anchors if self.set_aside.has_newer(one)}
            known = [self._in_class(one) for one in anchors if one.anchor_id not in older]
            ignored = self.adapter.follow(known).ignored
            homeless = {one.anchor_id for one in ignored if one.reason in ("unknown label", "canary")}
            self.set_aside.drop(one.anchor_id for one in known)
            self._put_aside([anchor for anchor in anchors if anchor.anchor_id in homeless])
            older.update(one for one in homeless if self.adapter.anchors.get(one) is not None)  # or it were forgotten
            older.update(one.anchor_id for one in ignored if one.reason == "outdated")
            self._overruled |= older

    def _known(self, anchor_id: str) -> Anchor | None:
        """The anchor of this id, whether it has a class or not."""
        return self.adapter.anchors.get(anchor_id) or self.set_aside.anchors.get(anchor_id)

    def _delete(self, anchor_ids: Sequence[str]) -> None:
        """Forget these at once."""
        if anchor_ids:
            self.set_aside.drop(anchor_ids)
            self._count(self.adapter.forget(anchor_ids).removed)

    def _put_aside(self, anchors: Sequence[Anchor]) -> dict[str, Anchor]:
        """Set aside what has no class, and forget what it replaces: that is returned, by id."""
        live = {one.anchor_id: self.adapter.anchors.get(one.anchor_id) for one in anchors}
        newer = [one for one in anchors if (ours := live[one.anchor_id]) is None or ours.stamp <= one.stamp]
        replaced = {one.anchor_id: ours for one in newer if (ours := live[one.anchor_id]) is not None}
        if replaced:
            self.adapter.forget(list(replaced))
        self.set_aside.put(newer)
        return replaced

    def _in_class(self, anchor: Anchor) -> Anchor:
        label = self._class_of(anchor.label)
        return anchor if label == anchor.label else replace(anchor, label=label)

    def _count(self, removed: Iterable[Removed]) -> None:
        for anchor in removed:
            self._metrics.anchors_removed.labels(reason=value_of(anchor.reason)).inc()


def _id(output: OutRecord) -> str:
    return (output.key or b"").decode()
