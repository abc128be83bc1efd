"""`Place`: this worker's place in its group, and whether it was lost to another worker."""

import time

import structlog
from kafka import KafkaConsumer
from kafka.errors import (
    FencedInstanceIdError,
    IllegalGenerationError,
    MemberIdRequiredError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from stream_adapter.transport.kafka import internals
from stream_adapter.transport.kafka.doubt import Doubt

log = structlog.get_logger(__name__)

# A connection that was reset is there again sooner; a broker that ended is not.
_AWAY_S = 1.0

# For so long after its return the broker that coordinates may still change its mind about what it leads.
SETTLED_S = 10.0

# What a group answers to a join that it did not take; whatever else ends one leaves open whether it did.
_REFUSED = (
    FencedInstanceIdError,
    IllegalGenerationError,
    MemberIdRequiredError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class Place:
    """Tells a worker that was fenced by itself, or by a broker's mistake, from one whose name another worker has.

    A member that joins without a member id gets a new one, and the group fences whoever had its `group_instance_id`
    before: another worker, or the same one, where the answer to a join was lost. Such a join may be taken after the
    one that was sent again. Or it is forgotten: a broker writes down who is in a group only when all have their
    partitions, and whoever takes over from it knows the former id. The group says the same in each case, and Java's
    client always ends (KAFKA-20985). But only a worker with such a join behind it can have fenced itself, or one whose
    coordinator was away: `Doubt`.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._doubt = Doubt()
        self._joined_at: float | None = None
        self._node: str | None = None
        self._gone_at: float | None = None
        self._returned_at: float | None = time.monotonic()  # it may have been away before this process was there
        internals.watch_joins(consumer, self._join_ended)
        internals.watch_coordinator(consumer, self._coordinator_gone, self._coordinator_found)

    def take_back(self) -> bool:
        """Whether this worker was fenced though no other may be there; then its next poll joins anew."""
        doubtful = self._doubt.spend()
        place = self._consumer.group_metadata()
        by_whom = "a lost join or a broker's return: joins anew" if doubtful else "another worker"
        (log.warning if doubtful else log.error)(
            f"fenced by {by_whom}",
            group_instance_id=place.group_instance_id,
            member_id=place.member_id,
            generation=place.generation_id,
            seconds_since_join=self._joined_at and round(time.monotonic() - self._joined_at, 1),
        )
        if doubtful:
            internals.forget_member_id(self._consumer)
        return doubtful

    def spend_return(self) -> bool:
        """Whether the coordinator has settled since it was away, or since the start; true once for each time."""
        if self._returned_at is None or time.monotonic() - self._returned_at < SETTLED_S:
            return False
        self._returned_at = None
        return True

    def put_return_off(self) -> None:
        """Tell of it again, that much later."""
        self._returned_at = time.monotonic()

    def _coordinator_gone(self) -> None:
        """In the client's thread."""
        self._gone_at = time.monotonic()

    def _coordinator_found(self, node: str) -> None:
        """In the client's thread."""
        other = self._node not in (None, node)
        if other or (self._gone_at is not None and time.monotonic() - self._gone_at >= _AWAY_S):
            self._doubt.came_back()
            self._returned_at = time.monotonic()
        self._node, self._gone_at = node, None

    def _join_ended(self, error: BaseException | None) -> None:
        """In the client's thread."""
        if error is None:
            self._joined_at = time.monotonic()
            self._doubt.answered()
        elif not isinstance(error, _REFUSED):
            self._doubt.lost()
