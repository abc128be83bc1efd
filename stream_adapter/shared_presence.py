"""What the traffic says about classes that nobody labelled: told to the other workers, and heard from them.

Every worker keeps a window of its own traffic (`adapter.ClassPresence`) and writes what it says to the anchors topic,
under the key of its slot. Evidence adds up, so every worker goes by the sum of the newest record of each slot, its own
included: workers with the same anchors and the same records give the same answers.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.class_presence import ClassPresence
from stream_adapter.adapter.presence_evidence import PresenceEvidence
from stream_adapter.adapter.results import AdapterPrediction
from stream_adapter.adapter.share import Share
from stream_adapter.adapter.traffic_window import TrafficWindow
from stream_adapter.events import PRESENCE_PREFIX, PresenceRecord, anchor_tombstone
from stream_adapter.transport.base import OutRecord
from stream_adapter.transport.changelog import Change

log = structlog.get_logger(__name__)

# Below so few new events nothing can have changed that matters.
_LEAST_EVENTS = 50
# By so much the evidence for a class, or the number of events that it rests on, must have changed.
_NEWS = 0.1
# Cosine of a class's mean with what it was, below which it has moved.
_SAME_MEAN = 0.99
# A record of many means is large: so that it does not crowd the topic, it may only come so often.
_BYTES_PER_S = 50_000
# A slot that said nothing for so long is no worker any more, or one without traffic, which then starts over.
_SILENT_S = 3_600.0


class SharedPresence:
    """Tells and hears; belongs to the thread that owns the adapter.

    Args:
        adapter: keeps the window, and goes by what was heard.
        class_names: the vocabulary.
        slot: this worker's slot: a name that it keeps over restarts, where it has one.
        writer: this process's name in what it writes.
        fingerprint: of the encoder; means of another one's vectors are not heard.
        every_s: least seconds from one record to the next.
        background: works out what the window says.
    """

    def __init__(
        self,
        adapter: Adapter,
        class_names: Sequence[str],
        *,
        slot: str,
        writer: str,
        fingerprint: str,
        every_s: float,
        background: Executor,
    ) -> None:
        self._adapter = adapter
        self._fingerprint = fingerprint
        self._class_names = class_names
        self._slot = slot
        self._writer = writer
        self._every_s = self._pause_s = every_s
        self._background = background
        self._asked: Future[PresenceEvidence] | None = None
        self._remembered = adapter.window
        self._number_of: OrderedDict[str, int] = OrderedDict()  # anchor id -> number in the window
        self._told_s = float("-inf")
        self._told_events = adapter.observed
        self._told: PresenceEvidence | None = None
        self._inherited_events = 0
        self._records: dict[str, PresenceRecord] = {}
        self._heard_s: dict[str, float | None] = {}

    def observe(
        self,
        ids: Sequence[str],
        vectors: NDArray[np.float32],
        answer: AdapterPrediction,
        labelled: NDArray[np.bool_],
    ) -> None:
        """Take a batch into the window. An event that is sent again is no new traffic, but its label may be news.

        Args:
            ids: B anchor ids.
            vectors: float32 (B, d), unit.
            answer: what was predicted for them.
            labelled: bool (B,), whether a label came that is learned: none of a canary's.
        """
        known = [self._number_of.get(one, -1) for one in ids]
        late = [number for number, came in zip(known, labelled, strict=True) if came and number >= 0]
        self._adapter.mark_labelled(np.array(late, np.int64))
        rows: list[int] = []
        for row, one in enumerate(ids):
            if one not in self._number_of:
                self._number_of[one] = self._adapter.observed + len(rows)
                rows.append(row)
        while len(self._number_of) > self._remembered:
            self._number_of.popitem(last=False)
        window = TrafficWindow.of(answer.zero_shot, labelled, answer.adapted, vectors)
        self._adapter.observe(window.at(np.array(rows, np.int64)))

    def tell(self, now_s: float, share: Share) -> list[OutRecord]:
        """What the changelog must be told now; mostly nothing.

        Args:
            now_s: monotonic seconds.
            share: decides which silent slots this worker buries.
        """
        return self._own(now_s) + self._buried(now_s, share)

    def follow(self, changes: Iterable[Change]) -> None:
        """Hear what other workers tell. What this process told is in force already."""
        for change in changes:
            slot = change.key.removeprefix(PRESENCE_PREFIX)
            if change.own:
                continue
            if isinstance(change.content, PresenceRecord):
                self._hear(change.content)
            else:
                self._records.pop(slot, None)
                self._heard_s.pop(slot, None)
                self._adapter.hear(slot, None)

    def state(self) -> dict[str, Any]:
        """What was heard, for a snapshot: JSON; the window is saved apart."""
        return {slot: dict(record.evidence) for slot, record in self._records.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave.

        Raises:
            ValueError: it is no such state; part of it may be in force.
        """
        for slot, evidence in state.items():
            self._read(evidence)
            self._hear(PresenceRecord(slot, evidence))
        self._told_events = self._adapter.observed
        if self._adapter.observed:
            self._inherited_events = 0  # the window is there again, it need not grow first

    def _own(self, now_s: float) -> list[OutRecord]:
        if self._asked is None and self._is_due(now_s):
            self._told_s, self._told_events, self._inherited_events = now_s, self._adapter.observed, 0
            self._asked = self._background.submit(_evidence_of, self._adapter.traffic())
        if self._asked is None or not self._asked.done():
            return []
        evidence, self._asked = self._asked.result(), None
        if self._told is not None and not _is_news(self._told, evidence):
            return []
        self._told = evidence
        record = PresenceRecord(self._slot, {**evidence.to_json(self._class_names), "encoder": self._fingerprint})
        self._records[self._slot] = record
        self._adapter.hear(self._slot, evidence)
        output = record.to_record(self._writer)
        self._pause_s = max(self._every_s, len(output.value or b"") / _BYTES_PER_S)
        return [output]

    def _is_due(self, now_s: float) -> bool:
        if self._adapter.observed - self._told_events < _LEAST_EVENTS or now_s - self._told_s < self._pause_s:
            return False
        # What this slot said before a restart may still rest on more than the new window.
        return min(self._adapter.observed, self._remembered) >= self._inherited_events / 2

    def _hear(self, record: PresenceRecord) -> None:
        try:
            evidence = self._read(record.evidence)
        except ValueError as error:
            log.warning("passed over a presence record that cannot be read", slot=record.slot, error=str(error))
            return
        if record.slot == self._slot:
            self._inherited_events = evidence.events
        self._records[record.slot] = record
        self._heard_s[record.slot] = None
        self._adapter.hear(record.slot, evidence)

    def _read(self, evidence: Mapping[str, Any]) -> PresenceEvidence:
        if evidence.get("encoder") != self._fingerprint:
            evidence = {**evidence, "means": {}}
        return PresenceEvidence.from_json(evidence, self._class_names, self._adapter.dimension)

    def _buried(self, now_s: float, share: Share) -> list[OutRecord]:
        outputs = []
        for slot, heard_s in list(self._heard_s.items()):
            if heard_s is None:
                self._heard_s[slot] = now_s
            elif slot != self._slot and now_s - heard_s > _SILENT_S:
                key = PRESENCE_PREFIX + slot
                if share.holds_id(key):
                    log.info("forgot a worker slot that is silent", slot=slot, seconds=round(now_s - heard_s))
                    del self._records[slot], self._heard_s[slot]
                    self._adapter.hear(slot, None)
                    outputs.append(anchor_tombstone(key, self._writer))
        return outputs


def _evidence_of(window: TrafficWindow) -> PresenceEvidence:
    """What a window says, exactly as it survives the wire: tens of milliseconds, so not in the adapter's thread."""
    presence = ClassPresence(window.zero_shot.shape[1], window.vectors.shape[1], max(1, len(window.labelled)))
    presence.restore(window)
    return presence.evidence().rounded()


def _is_news(before: PresenceEvidence, now: PresenceEvidence) -> bool:
    """Whether another record is worth its place in the topic: a busy stream would write one every second."""
    if abs(now.events - before.events) > _NEWS * before.events:
        return True
    change = np.abs(now.excess - before.excess)  # (C,)
    return bool((change > np.maximum(1.0, _NEWS * before.excess)).any()) or now.means.moved(before.means, _SAME_MEAN)
