"""`KafkaSource`: image events from a topic, as a member of a consumer group."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

import structlog
from kafka import ConsumerGroupMetadata, ConsumerRebalanceListener, TopicPartition
from kafka.errors import KafkaError

from stream_adapter.config import KafkaConfig
from stream_adapter.errors import TransportError
from stream_adapter.transport.base import Partition, Record
from stream_adapter.transport.kafka import internals
from stream_adapter.transport.kafka.answers import Answers
from stream_adapter.transport.kafka.assigning import StickyAssignor
from stream_adapter.transport.kafka.beginning import LatestBeginning
from stream_adapter.transport.kafka.connection import Connection
from stream_adapter.transport.kafka.internals import MemberState
from stream_adapter.transport.kafka.ownership import Ownership
from stream_adapter.transport.kafka.place import Place
from stream_adapter.transport.kafka.polling import Poller
from stream_adapter.transport.kafka.positions import Positions
from stream_adapter.transport.kafka.resuming import Resuming
from stream_adapter.transport.kafka.topics import require_topics

log = structlog.get_logger(__name__)

_LOOK_MS = 1_000


class KafkaSource:
    """Reads the images topic in a consumer group: cooperative-sticky, static membership where it has a name.

    With `kafka.group_instance_id` a restart within `kafka.session_timeout_ms` moves no partition. Offsets are committed
    by the sink only, through `commit`. Used by one thread.

    Attributes:
        before_poll: called at the beginning of each `poll`; for the sink.
        resuming: what is written and read of positions beside the group, where delivery is exactly once.

    Args:
        start_timeout_s: seconds to wait for a first answer from the cluster.
        deadline_s: seconds that a commit waits for the cluster. Not much more than `transaction_timeout_ms`, after
            which a broker undoes a transaction: whoever waits longer waits for nothing, and is not polled meanwhile.

    Raises:
        TransportError: no broker answers, the topic does not exist, or an option is wrong.
    """

    def __init__(self, config: KafkaConfig, *, start_timeout_s: float = 15.0, deadline_s: float = 10.0) -> None:
        self.connection = Connection(config, start_timeout_s=start_timeout_s, deadline_s=deadline_s)
        self._topic = config.topics.images
        partitions = require_topics(self.connection, [self._topic])[self._topic]
        self._ownership = Ownership()
        self._member_id = ""
        self._paused = False
        self.before_poll: Callable[[], None] = lambda: None
        # Members learn of a rebalance from a heartbeat, and all wait for the last one: 1 s, not the client's 3 s.
        heartbeat_ms = config.consumer.get("heartbeat_interval_ms", min(1_000, config.session_timeout_ms // 3))
        self._consumer = self.connection.consumer(
            group_id=config.group_id,
            group_instance_id=config.group_instance_id,
            auto_offset_reset="earliest",  # after what retention took, in any case; `LatestBeginning` does the rest
            session_timeout_ms=config.session_timeout_ms,
            max_poll_interval_ms=config.max_poll_interval_ms,
            heartbeat_interval_ms=heartbeat_ms,
            partition_assignment_strategy=[StickyAssignor],
        )
        self.place = Place(self._consumer)
        self.positions = Positions(self._consumer, self.connection, self.place)
        self._topic_id: str | None = None
        latest = config.auto_offset_reset == "latest"
        self._beginning = (
            LatestBeginning(self._consumer, self._topic, partitions, self.positions.reached) if latest else None
        )
        self.resuming: Resuming | None = None
        if config.delivery == "exactly_once":
            current_id = partial(internals.topic_id, self._consumer, self._topic)
            self.resuming = Resuming(self._consumer, self.connection, self.positions, current_id)
        self._answers = Answers(self._consumer, self.connection, self._topic)
        self._poller = Poller(self._consumer, self.connection, self._topic, self._answers, self.place)
        with self.connection.errors_of(f"cannot subscribe to topic {self._topic!r}"):
            self._consumer.subscribe([self._topic], listener=_Listener(self))
            self._consumer.partitions_for_topic(self._topic)  # or the first join assigns nothing, and a second follows

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """The next records; serves the group whether paused or not. See `Source.poll`.

        Raises:
            TransportError: the topic cannot be read. Where no broker answers, `trouble` says so.
            Fenced: another worker joined with this one's `group_instance_id`.
        """
        if max_records <= 0 and not self._paused:
            self.pause()
            try:
                return self.poll(max_records, timeout_s)
            finally:
                self.resume()
        self.before_poll()
        self._ownership.poll_begins()
        polled = self._poller.poll(max(1, max_records), timeout_s)
        self._decide()
        records = [] if self._was_made_anew() or self._was_expelled() else self._keep(polled)
        if self.positions.settle():
            self._answers.came()
        if records:
            self._answers.came()
        self._answers.look()
        return records

    def pause(self) -> None:
        """Deliver nothing until `resume`; partitions that are assigned meanwhile are paused too."""
        if not self._paused:
            self._paused = True
            self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """Deliver again."""
        if self._paused:
            self._paused = False
            self._let_flow(self._consumer.assignment())

    @property
    def assigned(self) -> frozenset[Partition]:
        """The partitions that this worker owns now."""
        return self._ownership.visible

    @property
    def partition_count(self) -> int:
        """How many partitions the topic has, as of the last metadata."""
        return len(self._consumer.partitions_for_topic(self._topic))

    @property
    def exhausted(self) -> bool:
        """Never: a topic has no end."""
        return False

    @property
    def trouble(self) -> str | None:
        """Why no broker answers, as far as it is known; None while they do."""
        return self._answers.trouble

    def lag(self) -> dict[Partition, int]:
        """Records per owned partition that are not yet read, as of the last fetch."""
        behind = {}
        for at in sorted(self.assigned):
            end = self._consumer.highwater(TopicPartition(*at))
            with self.connection.errors_of(f"cannot tell the position in {at}"):
                position = self._consumer.position(TopicPartition(*at), timeout_ms=0)
            if end is not None and position is not None:
                behind[at] = max(0, end - position)
        return behind

    def close(self) -> None:
        """Leave the group; a static member keeps its partitions until its session times out."""
        if self.resuming is not None:
            self.resuming.close()
        with self.connection.errors_of(f"cannot leave group {self.connection.config.group_id!r}"):
            self._consumer.close(timeout_ms=int(self.connection.deadline_s * 1000))

    # What follows is for the sink.

    def committable(self, positions: Mapping[Partition, int]) -> dict[Partition, int]:
        """Those of `positions` that were delivered since their partition was assigned."""
        return self._ownership.committable(positions)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit positions of owned partitions; see `Positions.commit`."""
        if self.positions.commit(self.committable(positions)):
            self._answers.came()

    def group_metadata(self) -> ConsumerGroupMetadata:
        """This worker's place in the group, for transactions."""
        return self._consumer.group_metadata()

    # What follows is for the rebalance listener. It runs inside `poll`, and must not commit: kafka-python refuses that.

    def _on_assigned(self, partitions: Collection[TopicPartition]) -> None:
        self._ownership.assigned(Partition(*at) for at in partitions)
        for one in self._deciding:
            one.assigned(partitions)
        if self._paused:
            self._consumer.pause(*partitions)
        log.info("partitions assigned", partitions=sorted(str(Partition(*at)) for at in partitions))

    def _on_gone(self, partitions: Iterable[TopicPartition], reason: str) -> None:
        gone = [Partition(*at) for at in partitions]
        self._ownership.revoked(gone)
        for one in self._deciding:
            one.gone(map(TopicPartition._make, gone))
        self.positions.gone(gone)
        log.info("partitions gone", reason=reason, partitions=sorted(map(str, gone)))

    def _was_made_anew(self) -> bool:
        """Whether the topic is another one of the same name; then it is read from its beginning, on every worker.

        The client would go on at the old offsets, or where the new topic ends. What was read of the old one and not
        committed is dropped. The beginning is committed, because batches of the old topic may have been since.
        """
        found = internals.topic_id(self._consumer, self._topic)
        if found is None or self._topic_id in (None, found):
            self._topic_id = found or self._topic_id
            return False
        there = self._consumer.partitions_for_topic(self._topic)
        assignment = [at for at in self._consumer.assignment() if at.partition in there]
        if owned := [at for at in assignment if Partition(*at) in self.assigned]:
            self._on_gone(owned, "the topic was made anew")
        if self.positions.begin_anew(assignment):
            log.warning("the topic was made anew and is read from its beginning", topic=self._topic, was=self._topic_id)
            self._topic_id, self._beginning = found, None  # whatever is in it came after the group began
            self._on_assigned(assignment)
            if not self._paused:
                self._let_flow(assignment)
        return True

    def _was_expelled(self) -> bool:
        """Whether this worker lost its place in the group and has a new one, or none yet; then it begins anew there.

        kafka-python tells the listener of a loss only where it knows of it before it joins again. Where the group says
        so in answer to the join, it goes on where it was, though others have read on meanwhile.
        """
        place = self._consumer.group_metadata()
        if not self._member_id or place.member_id == self._member_id:
            self._member_id = place.member_id
            return False
        assignment = list(self._consumer.assignment())
        self._on_gone(assignment, "expelled")
        if place.state == MemberState.STABLE:
            self._begin_at_committed(assignment)
            self._member_id = place.member_id  # not before: where nobody answers, all of it is done again
            self._on_assigned(assignment)
        return True

    def _begin_at_committed(self, assignment: Collection[TopicPartition]) -> None:
        committed = self.positions.committed(Partition(*at) for at in assignment)
        for at in assignment:
            if at in committed:
                self._consumer.seek(at, committed[at])
            elif self._beginning is None:
                self._consumer.seek_to_beginning(at)

    @property
    def _deciding(self) -> list[Resuming | LatestBeginning]:
        """What decides where a partition is read from that was assigned, in this order."""
        return [one for one in (self.resuming, self._beginning) if one is not None]

    def _decide(self) -> None:
        with self.connection.errors_of(f"cannot tell where to begin in topic {self._topic!r}"):
            waiting = [one for one in self._deciding if one.undecided]
            if waiting and all(one.decide() for one in waiting) and not self._paused:
                self._let_flow(self._consumer.assignment())

    def _let_flow(self, partitions: Iterable[TopicPartition]) -> None:
        undecided = frozenset[TopicPartition]().union(*(one.undecided for one in self._deciding))
        self._consumer.resume(*(at for at in partitions if at not in undecided))

    def _keep(self, polled: Mapping[TopicPartition, list[Record]]) -> list[Record]:
        """The polled records, without those of partitions that left and came back within this poll.

        The worker must see such a partition gone before it gets the same events again.
        """
        records: list[Record] = []
        for at, batch in polled.items():
            if Partition(*at) in self._ownership.came_back:
                self._consumer.seek(at, batch[0].offset)
            elif not self._went_back(at, batch[0].offset):
                self._say_what_is_gone(at, batch[0].offset)
                records += batch
        self._ownership.delivered(records)
        return records

    def _went_back(self, at: TopicPartition, begins: int) -> bool:
        """Whether these events were committed already; then what follows is read next. See `Positions`."""
        reached = self.positions.reached.get(Partition(*at), begins)
        if begins >= reached:
            return False
        if (self._consumer.highwater(at) or 0) < reached:  # the log itself was cut off: they are others
            del self.positions.reached[Partition(*at)]
            return False
        log.warning(
            "the group went back to an earlier position", partition=str(Partition(*at)), to=begins, kept=reached
        )
        self._consumer.seek(at, reached)
        return True

    def _say_what_is_gone(self, at: TopicPartition, begins: int) -> None:
        """Retention may delete events before they are read, of which the client says nothing."""
        partition = Partition(*at)
        with contextlib.suppress(TransportError, KafkaError):  # then it is not said
            due = self._ownership.next_of(partition)
            if due is None:
                due = self.positions.committed([partition]).get(partition, begins)
            # A gap of one is the mark of a transaction.
            if begins > due + 1 and self._consumer.beginning_offsets([at], timeout_ms=_LOOK_MS)[at] > due:
                log.error(
                    "events were deleted before they were read; keep them for longer (`retention.ms`) or add workers",
                    partition=str(partition),
                    first=due,
                    before=begins,
                )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, source: KafkaSource) -> None:
        self._source = source

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._source._on_assigned(assigned)

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._source._on_gone(revoked, "revoked")

    def on_partitions_lost(self, lost: Iterable[TopicPartition]) -> None:
        self._source._on_gone(lost, "lost")
