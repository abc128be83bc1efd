"""What the learner tells other workers beside its anchors: published under keys of the anchors topic, and followed.

Every worker hands its learner the newest record of each key, its own included: workers with the same anchors and the
same records give the same answers.
"""

from collections.abc import Iterable, Mapping

import structlog

from stream_adapter.adapter.adapter import Adapter
from stream_adapter.adapter.anchors.ownership import Ownership
from stream_adapter.errors import StreamAdapterError
from stream_adapter.events import PRESENCE_PREFIX, PresenceRecord, anchor_tombstone
from stream_adapter.journey.foreign import LeftAlone
from stream_adapter.transport.base import OutRecord
from stream_adapter.transport.changelog import Change

log = structlog.get_logger(__name__)

# A slot that said nothing for so long is no worker any more, or one without traffic, which then starts over.
_SILENT_S = 3_600.0


class Sharing:
    """Publishes and follows; belongs to the thread that owns the adapter.

    Attributes:
        vocabulary: hash of the vocabulary, as it is at present.

    Args:
        adapter: whose learner has something to say.
        slot: this worker's slot, as the learner knows it.
        writer: this process's name in what it writes.
        fingerprint: of the encoder.
        vocabulary: hash of the vocabulary.
        left_alone: called for records that the learner cannot read.
    """

    def __init__(
        self, adapter: Adapter, *, slot: str, writer: str, fingerprint: str, vocabulary: str, left_alone: LeftAlone
    ) -> None:
        self._adapter = adapter
        self._slot = slot
        self._writer = writer
        self._fingerprint = fingerprint
        self.vocabulary = vocabulary
        self._left_alone = left_alone
        self._records: dict[str, bytes] = {}
        self._written: dict[str, bytes] = {}  # of keys that all workers share: what the changelog has
        self._followed_s: dict[str, float | None] = {}  # slots' keys; None: since the last look at the clock

    def publish(self) -> list[OutRecord]:
        """What the learner has to say now, in force here at once; mostly nothing: how often is its own affair."""
        own = dict(self._adapter.records())
        if not own:
            return []
        self._records |= own
        self._adapter.follow((), own)
        return [self._record(key, value) for key, value in own.items()]

    def withdraw_silent(self, now_s: float, owned: Ownership) -> list[OutRecord]:
        """Withdraw what slots said that have been silent for an hour, as far as this worker decides about them.

        Args:
            now_s: monotonic seconds.
            owned: decides about keys as about anchors.
        """
        outputs = []
        for key, followed_s in list(self._followed_s.items()):
            if followed_s is None:
                self._followed_s[key] = now_s
            elif now_s - followed_s > _SILENT_S and owned.owns_id(PRESENCE_PREFIX + key):
                log.info("withdrew the record of a silent worker slot", key=key, seconds=round(now_s - followed_s))
                self._withdraw(key)
                outputs.append(anchor_tombstone(PRESENCE_PREFIX + key, self._writer))
        return outputs

    def follow(self, changes: Iterable[Change]) -> None:
        """Take in what workers published, in the changelog's order.

        What this slot says is in force since it was published. Of a key that all workers share the last record counts,
        which may be this worker's own after one that came in between.
        """
        for change in changes:
            key = change.key.removeprefix(PRESENCE_PREFIX)
            if _slot_of(key) is None and isinstance(change.content, PresenceRecord):
                self._written[key] = change.content.value
            if change.own and _slot_of(key) == self._slot:
                continue
            if not isinstance(change.content, PresenceRecord):
                self._withdraw(key)
            else:
                self._take_in(key, change.content.value)

    def undo(self, outputs: Iterable[OutRecord]) -> None:
        """Take back what was published under shared keys and will never be written: all workers must have the same.

        What this worker's own slot says stays in force here; it says something newer soon.
        """
        for output in (output for output in outputs if output.channel == "anchors"):  # a dead letter's key is anybody's
            key = (output.key or b"").decode().removeprefix(PRESENCE_PREFIX)
            if output.value is None or _slot_of(key) is not None or self._records.get(key) != output.value:
                continue
            if key in self._written:
                self._take_in(key, self._written[key])
            else:
                self._withdraw(key)

    def state(self) -> Mapping[str, bytes]:
        """The newest record of each key, for a snapshot."""
        return dict(self._records)

    def restore(self, state: Mapping[str, bytes]) -> None:
        """Take over what `state` gave."""
        for key, value in state.items():
            self._take_in(key, value)

    def _take_in(self, key: str, value: bytes) -> None:
        if _slot_of(key) not in (None, self._slot):
            self._followed_s[key] = None
        if self._records.get(key) == value:
            return
        try:
            self._adapter.follow((), {key: value})
        except (StreamAdapterError, ValueError) as error:
            self._left_alone(error, key=key)
            return
        self._records[key] = value

    def _withdraw(self, key: str) -> None:
        self._followed_s.pop(key, None)
        if self._records.pop(key, None) is not None:
            self._adapter.follow((), {key: None})

    def _record(self, key: str, value: bytes) -> OutRecord:
        return PresenceRecord(key, value, self._fingerprint, self.vocabulary).to_record(self._writer)


def _slot_of(key: str) -> str | None:
    """The worker slot whose words a key holds; None where all workers share it."""
    return key.partition("/")[2] or None
