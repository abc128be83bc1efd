"""Records that this worker cannot use, of topics that it goes by: whoever wrote them, they must not stop it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import structlog

from stream_adapter.errors import FingerprintMismatch, NewerFormat
from stream_adapter.events import PRESENCE_PREFIX, AnchorRecord
from stream_adapter.metrics import Metrics
from stream_adapter.throttled_log import ThrottledLog
from stream_adapter.transport.changelog import Change, Unusable

log = structlog.get_logger(__name__)


class LeftAlone:
    """Counts such records by reason, and says so once a minute.

    Args:
        metrics: records that were set aside, by reason.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._say = ThrottledLog(log.warning)

    def __call__(self, error: Exception | str, reason: str = "garbage", **facts: object) -> None:
        """One more; a `NewerFormat` is a reason of its own."""
        reason = "newer_format" if isinstance(error, NewerFormat) else reason
        self._metrics.set_aside.labels(reason=reason).inc()
        self._say("set aside a record that is not this worker's", reason=reason, error=str(error), **facts)


class Foreign:
    """Sets such records of the changelog aside.

    Args:
        fingerprint: the encoder whose vectors are used.
        dimension: d of its vectors.
        left_alone: called for them.
    """

    def __init__(self, *, fingerprint: str, dimension: int, left_alone: LeftAlone) -> None:
        self._fingerprint = fingerprint
        self._dimension = dimension
        self._left_alone = left_alone
        self._starting = True
        self._anchors: dict[str, str] = {}  # of other encoders, while it starts: why, by key

    def sift(self, changes: Sequence[Change]) -> Iterator[Change]:
        """The changes without what cannot be used.

        In the compacted topic such a record replaces the anchor that had its key. So it counts as that one's deletion:
        a worker that starts tomorrow finds nothing else.
        """
        for change in changes:
            why = self._why(change)
            if why is not None:
                reason, error = why
                self._left_alone(error, reason, key=change.key)
            if self._starting:
                self._anchors.pop(change.key, None)
                if why is not None and isinstance(change.content, AnchorRecord):
                    self._anchors[change.key] = why[1]
            if why is None:
                yield change
            elif change.key and not change.key.startswith(PRESENCE_PREFIX):
                yield replace(change, content=None)

    def start_is_over(self, anchors: int) -> None:
        """All that was there is read back.

        Args:
            anchors: how many can be used.

        Raises:
            FingerprintMismatch: most anchors are not this worker's; it would learn everything anew beside them.
        """
        foreign, self._anchors, self._starting = self._anchors, {}, False
        if len(foreign) > anchors:
            raise FingerprintMismatch(
                f"{len(foreign)} of {len(foreign) + anchors} anchors are not this worker's, such as "
                f"{next(iter(foreign.values()))}; use the encoder that made the anchors, or a new anchors topic "
                "(`kafka.topics.anchors`) for the new encoder"
            )

    def _why(self, change: Change) -> tuple[str, str] | None:
        content = change.content
        if content is None:
            return None
        if isinstance(content, Unusable):
            return content.reason, content.error
        if content.fingerprint != self._fingerprint:
            what = f"made by encoder {content.fingerprint}, this worker runs {self._fingerprint}"
            return "other_encoder", f"{change.key}, {what}"
        if isinstance(content, AnchorRecord) and len(content.vector) != self._dimension:
            what = f"of {len(content.vector)} dimensions, this worker's encoder has {self._dimension}"
            return "other_length", f"{change.key}, {what}"
        return None
